"""`tf-jmvae fill`: fills the missing cells of a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tf_jmvae.cli.common import default, require_at_least
from tf_jmvae.cli.of_table import OfTable, opened


@dataclass(frozen=True, kw_only=True)
class Options(OfTable):
    """Fill every gap in a table with what the run's model expects there, and say how certain it is.

    Each column with gaps gets another, with the probability of what was filled in, or the spread of a number.
    Pictures are written to a folder NAME-files beside the output.

    Examples:
      tf-jmvae fill pets.csv --run runs/pets --output filled.csv
    """

    output: Path
    """The filled table, as .csv or .parquet."""
    num_samples: Annotated[int | None, default("100; for an exported model, as it was exported")] = None
    """Samples of z for each row."""
    seed: int = 0
    """Seed of the samples."""


def run(options: Options) -> None:
    """Fills the missing cells, writes the table and prints their number."""
    require_at_least(1, num_samples=options.num_samples)
    model, table, asking = opened(options, options.output)
    from tf_jmvae import tables
    from tf_jmvae.columns.base import is_gap
    from tf_jmvae.tables import writing
    from tf_jmvae.tables.table_model import naming_files, table_model

    filled = tables.fill(model, table, num_samples=options.num_samples, seed=options.seed, **asking)
    kinds = table_model(model).kinds
    columns = [name for kind in kinds.values() if not kind.names_files for name in kind.columns.names]
    filled_in = {name: int((is_gap(table[name]) & ~is_gap(filled[name])).sum()) for name in columns}
    filled = writing.moved(filled, naming_files(kinds), asking["folder"], options.output)
    pictures = writing.write(filled, options.output)
    said = ", ".join(f"{number:,} of {column}" for column, number in filled_in.items() if number)
    print(f"{options.output}: {len(filled):,} rows; filled {said or 'no number, class or text'}.")
    if pictures:
        print(f"{writing.folder_of_files(options.output)}: {pictures:,} files that cells name.")
