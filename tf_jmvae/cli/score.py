"""`tf-jmvae score`: estimates the log-likelihood of each row of a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tf_jmvae._utils.tables import lines
from tf_jmvae.cli.common import default, require_at_least
from tf_jmvae.cli.of_table import OfTable, opened

_SHOWN, _COLUMNS = 10, 8


@dataclass(frozen=True, kw_only=True)
class Options(OfTable):
    """Compute the log-likelihood of each row of a table, in nats, and sort the table by it, least likely rows first.

    Only the cells that a row holds are scored, so compare rows with the same gaps; numbers are scored in standardised
    units.

    Examples:
      tf-jmvae score pets.csv --run runs/pets --output scored.csv
    """

    output: Path
    """File for the table with its new column log_likelihood, .csv or .parquet."""
    num_samples: Annotated[int | None, default("100; for an exported model, as it was exported")] = None
    """Samples of z for each row, by importance sampling."""
    seed: int = 0
    """Seed of the samples."""


def run(options: Options) -> None:
    """Scores the rows, writes the table and prints the least likely rows."""
    require_at_least(1, num_samples=options.num_samples)
    model, table, asking = opened(options, options.output)
    from tf_jmvae import tables
    from tf_jmvae.tables import writing
    from tf_jmvae.tables.merging import check_scored, scored
    from tf_jmvae.tables.table_model import naming_files, table_model

    kinds = table_model(model).kinds
    check_scored(column for kind in kinds.values() for column in kind.columns.names)
    scores = tables.score(model, table, num_samples=options.num_samples, seed=options.seed, **asking)
    table = scored(table, scores)
    table = writing.moved(table, naming_files(kinds), asking["folder"], options.output)
    writing.write(table, options.output)
    first = table.iloc[:_SHOWN, :_COLUMNS]
    rows = [[_shown(cell) for cell in cells] for cells in first.itertuples(index=False)]
    print(lines(list(first.columns), rows))
    print(f"\n{options.output}: {len(table):,} rows, the least likely first.")


def _shown(cell: object) -> str:
    if cell is None or cell != cell:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)[:20]
