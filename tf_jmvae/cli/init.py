"""`tf-jmvae init`: drafts a description of a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tf_jmvae._utils.files import write_text
from tf_jmvae._utils.tables import aligned
from tf_jmvae.cli.common import Common, default, load_tensorflow, metavar


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Inspect a table and write a commented draft of what to learn from it, for tf-jmvae train --data.

    Examples:
      tf-jmvae init pets.csv
      tf-jmvae init measured.csv --decimal , --output measured.toml
    """

    table: Annotated[Path, tyro.conf.Positional, metavar("TABLE")]
    """A CSV or Parquet file."""
    output: Annotated[Path | None, default("the table's name, with .toml")] = None
    """File to write the draft to."""
    delimiter: Annotated[str | None, default("the one that fits the header")] = None
    """Character between the cells of a CSV file."""
    decimal: str = "."
    """Decimal point of a CSV file."""
    encoding: str = "utf-8"
    """Encoding of a CSV file."""
    overwrite: bool = False
    """Replace an existing draft."""


def run(options: Options) -> None:
    """Writes the draft and prints the inferred kinds of columns."""
    if options.table.is_dir():
        raise ValueError(f"{options.table} is a folder; expected a CSV or Parquet file.")
    output = options.output or options.table.with_suffix(".toml")
    if output.exists() and not options.overwrite:
        raise ValueError(f"{output} already exists: name another file with --output, or pass --overwrite.")
    load_tensorflow(debug=options.debug)
    from tf_jmvae.columns import read_table
    from tf_jmvae.tables import draft

    table = read_table(options.table, delimiter=options.delimiter, decimal=options.decimal, encoding=options.encoding)
    reading = {"delimiter": options.delimiter, "decimal": options.decimal, "encoding": options.encoding}
    changed = {key: value for key, value in reading.items() if value not in (None, ".", "utf-8")}
    found = draft.guesses(table)
    file = options.table.resolve()
    if folder := draft.folder_of_files(table, found, file.parent):
        changed["folder"] = folder if file.parent == output.resolve().parent else str(file.parent / folder)
    beside = file.name if file.parent == output.resolve().parent else str(file)
    write_text(output, draft.draft(table, beside, found, changed))
    said = {g.column: f"{g.kind or 'left out'}: {'; '.join([g.reason, *g.remarks])}" for g in found}
    print(f"{options.table}: {len(table):,} rows.\n{aligned(said, indent='  ')}\n")
    print(f"The draft is in {output}. Review it, then run: tf-jmvae train --data {output}")
