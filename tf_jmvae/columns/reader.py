"""Reader of tables from CSV and Parquet files, with errors that say what to do."""

import codecs
import csv
import os
import pathlib
import re
from typing import TYPE_CHECKING, TextIO

from tf_jmvae._utils.checks import listed
from tf_jmvae._utils.extras import extra

if TYPE_CHECKING:
    import pandas as pd

_DELIMITERS = ",;\t|"
_PARQUET = (".parquet", ".pq")
# A number with a decimal character other than a point, and perhaps points between thousands.
_NUMBER = r"[+-]?(\d{{1,3}}(\.\d{{3}})+|\d+|(?={decimal}\d))({decimal}\d*)?([eE][+-]?\d+)?"
_HEAD = 2**16  # number of characters from which the delimiter is inferred


def read_table(
    path: str | os.PathLike, *, delimiter: str | None = None, decimal: str = ".", encoding: str = "utf-8"
) -> "pd.DataFrame":
    """Reads a table from a CSV or Parquet file.

    Empty cells, and those that pandas takes as missing, such as `NA`, `nan` and `null`, are missing.

    Args:
      path: path of the file: Parquet if its suffix is `.parquet` or `.pq`, else CSV.
      delimiter: delimiter of a CSV file; by default the one of `,`, `;`, tab and `|` that is most frequent in the
        header.
      decimal: decimal point of a CSV file, `"."` by default; `","` reads numbers such as 3,5.
      encoding: encoding of a CSV file; `"utf-8"` by default.

    Returns:
      `pandas.DataFrame`; all cells of a CSV file are texts.

    Raises:
      ImportError: if pandas is missing, which comes with the extra `tables`.
      OSError: if the file does not exist.
      ValueError: if the file is not a table; the message says why, and what to do.
    """
    with extra("tables", "A table"):
        import pandas as pd
    if len(decimal) != 1 or decimal.isalnum() or decimal in "+-_ ":
        raise ValueError(f"decimal must be one character, such as '.' or ','; got {decimal!r}.")
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; expected a CSV or Parquet file.")
    if path.suffix.lower() in _PARQUET:
        with extra("tables", "A Parquet file"):
            import pyarrow
        try:
            table = pd.read_parquet(path)
        except (pyarrow.ArrowException, ValueError) as error:
            raise ValueError(f"{path} is not a Parquet file, or is damaged: {error}") from error
        names = list(map(str, table.columns))
        table.columns = names
    else:
        table, names = _read_csv(path, delimiter, decimal, encoding)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"{path} has several columns with the same name: {listed(repeated)}. Rename all but one of each."
        )
    if not len(table):
        raise ValueError(f"{path} has no rows under its header. Expected at least one.")
    return table


def _read_csv(path: pathlib.Path, delimiter: str | None, decimal: str, encoding: str) -> tuple["pd.DataFrame", list]:
    import pandas as pd

    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise ValueError(f"There is no encoding {encoding!r}. Expected one such as 'utf-8' or 'latin-1'.") from error
    try:
        with path.open(encoding=encoding, newline="") as file:
            head = file.read(_HEAD)
            if "\0" in head:
                raise ValueError(f"{path} is not a CSV file: it holds zero bytes. Save the table as CSV or Parquet.")
            if not head.strip("\ufeff \t\r\n"):
                raise ValueError(f"{path} is empty. Expected a header with the columns' names, and rows under it.")
            header = head.lstrip("\ufeff \r\n").splitlines()[0]
            delimiter = delimiter or max(_DELIMITERS, key=header.count)
            file.seek(0)
            names = _checked_rows(path, file, delimiter)
        names = [name.strip() for name in names]
        if unnamed := [number for number, name in enumerate(names, 1) if not name]:
            raise ValueError(f"{path}: column {unnamed[0]} has no name in the header. Give each column one.")
        table = pd.read_csv(
            path, sep=delimiter, encoding=encoding, dtype=str, skipinitialspace=True, header=0, index_col=False,
            names=list(range(len(names))), engine="c", encoding_errors="strict", on_bad_lines="error",
        )  # fmt: skip
    except UnicodeError as error:
        raise ValueError(
            f"{path} is not in the encoding {encoding} ({error}). Name the encoding with encoding = '...' under "
            "[data], or with --encoding, such as 'latin-1' or 'utf-16'; Excel writes UTF-8 as 'CSV UTF-8'."
        ) from error
    except (csv.Error, pd.errors.ParserError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as CSV with {delimiter!r} between the cells: {error}.") from error
    table.columns = names
    if decimal != ".":
        table = table.map(lambda text: _with_point(text, decimal), na_action="ignore")
    return table, names


def _checked_rows(path: pathlib.Path, file: TextIO, delimiter: str) -> list[str]:
    """Returns the names in the header; raises `ValueError` for rows of another length, which pandas would adapt."""
    rows = csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)
    names = next(row for row in rows if len(row) > 1 or "".join(row).strip("\ufeff "))  # as pandas skips blank lines
    names[0] = names[0].lstrip("\ufeff")
    for row in rows:
        if row and len(row) != len(names):
            raise ValueError(
                f"{path}, line {rows.line_num}: {len(row)} cells, but the header names {len(names)} columns. Quote "
                f"cells that hold {delimiter!r}, or name the delimiter with delimiter = '...' under [data], or "
                "with --delimiter."
            )
    return names


def _with_point(text: str, decimal: str) -> str:
    """Replaces the decimal character of a number by a point, and removes points between thousands, as in 1.234,5.

    Other texts, such as dates, are unchanged.
    """
    if not re.fullmatch(_NUMBER.format(decimal=re.escape(decimal)), text.strip()):
        return text
    return text.strip().replace(".", "").replace(decimal, ".")
