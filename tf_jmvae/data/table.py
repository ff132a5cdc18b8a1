"""Tables as datasets: columns become modalities, and a fraction of the rows is held out."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae._utils.checks import listed
from tf_jmvae._utils.gaps import missing_rows, rows_with_any
from tf_jmvae.columns import kind_of, read_table
from tf_jmvae.columns.base import FIRST_ROW, is_gap
from tf_jmvae.data.prepared import cache_folder, load_or_prepare
from tf_jmvae.data.sources import Source
from tf_jmvae.modality import Modality
from tf_jmvae.registry import COLUMNS, DATASETS
from tf_jmvae.specs import Columns

if TYPE_CHECKING:
    import pandas as pd

Description = str | Mapping[str, Any]

_LAYOUT = 2  # version of the cached files; a new number invalidates all copies
_COPIED = 2048  # number of pictures from which their pixels are cached, and number read at once


def from_table(
    table: "pd.DataFrame | str | os.PathLike",
    modalities: Mapping[str, Description],
    *,
    folder: str | os.PathLike | None = None,
    validation: float = 0.1,
    seed: int = 0,
    **reading: str,
) -> tuple[dict[str, Modality], Source]:
    """Makes modalities from a table's columns, and a dataset from its rows.

    Properties of the columns, such as their words, are learned from the training rows alone. Empty cells, `NA` and
    missing files are missing values: the modalities are `optional`, numbers and attributes entry by entry.

    Args:
      table: `pandas.DataFrame`, or path of a CSV or Parquet file.
      modalities: dict by modality of the kind of its columns, `"numbers"`, `"category"`, `"attributes"`, `"counts"`,
        `"text"`, `"image"` or `"array"`; or of a dict with the `kind`, the `columns`, by default the one with the
        modality's name, options of the kind (`size` and `channels` of images, `length`, `max_words` and `min_count` of
        texts, `shape` of arrays), and any overriding argument of `Modality.from_settings`.
      folder: folder of the files that cells name; by default the folder of the table's file, or the current one.
      validation: fraction of the rows to hold out, between 0 and 1; by default 0.1.
      seed: integer seed of the held-out rows; by default 0.
      **reading: options of `data.read_table`.

    Returns:
      Tuple of a dict of `Modality` objects by name, and a `Source` whose `test` rows are the held-out rows.

    Raises:
      ImportError: if pandas is missing, which comes with the extra `tables`.
      OSError: if the table's file cannot be read.
      ValueError: if the table or a description is invalid; the message says what to do.

    Examples:
      >>> modalities, data = from_table("pets.csv", {"photo": "image", "age": "numbers", "kind": "category"})
    """
    table, folder = opened(table, folder, reading)
    learned = learn(table, modalities, folder=folder, validation=validation, seed=seed)
    columns = {name: own for name, (own, _) in learned.items()}
    made = {name: Modality.from_settings(settings, columns=own) for name, (own, settings) in learned.items()}
    return made, _source(table, columns, folder, validation, seed)


@DATASETS.register("table")
def table(
    data_dir: str | os.PathLike | None = None,
    table: str | os.PathLike | None = None,
    columns: Mapping[str, Columns] | None = None,
    validation: float = 0.1,
    seed: int = 0,
    delimiter: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Source:
    """Loads the rows of a table whose `Columns` are known; see `from_table`.

    Args:
      data_dir: folder of the files that cells name; by default the folder of the table's file.
      table: path of the CSV or Parquet file.
      columns: dict of `Columns` by modality.
      validation: fraction of the rows to hold out, between 0 and 1; 0.1 by default.
      seed: integer seed of the held-out rows; 0 by default.
      delimiter: delimiter of a CSV file, as for `read_table`; None by default.
      decimal: decimal point of a CSV file; `"."` by default.
      encoding: encoding of a CSV file; `"utf-8"` by default.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if `table` or `columns` is missing, or as for `from_table`.
    """
    if table is None or not columns:
        raise ValueError("The dataset table needs a table and columns: tf-jmvae init writes a file that names both.")
    rows, folder = opened(table, data_dir, {"delimiter": delimiter, "decimal": decimal, "encoding": encoding})
    return _source(rows, columns, folder, validation, seed)


def opened(
    table: "pd.DataFrame | str | os.PathLike", folder: str | os.PathLike | None, reading: Mapping[str, Any]
) -> tuple["pd.DataFrame", pathlib.Path]:
    """Returns a table, read if it is a file, and the folder of the files that its cells name."""
    if isinstance(table, str | os.PathLike):
        return read_table(table, **reading), pathlib.Path(table).parent if folder is None else pathlib.Path(folder)
    if not hasattr(table, "columns") or not hasattr(table, "iloc"):
        raise ValueError(f"Expected a pandas DataFrame, or the path of a table; got {type(table).__name__}.")
    if not len(table):
        raise ValueError("The table has no rows. Expected at least one.")
    names = list(table.columns)
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"Columns must have strings as names; got {listed(wrong[:3])}. Set table.columns = [...].")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"The table has several columns with the same name: {listed(repeated)}. Rename all but one of each."
        )
    return table, pathlib.Path("." if folder is None else folder)


def learn(
    table: "pd.DataFrame",
    modalities: Mapping[str, Description],
    *,
    folder: str | os.PathLike = ".",
    validation: float = 0.1,
    seed: int = 0,
) -> dict[str, tuple[Columns, dict[str, Any]]]:
    """Learns `Columns` and the modality's settings from a table's training rows, by described modality."""
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"Say which modalities the columns form, such as {{'age': 'numbers'}}; got {modalities!r}.")
    train, found = table.iloc[_parts(len(table), validation, seed)[0]], {}
    for name, description in modalities.items():
        description = {"kind": description} if isinstance(description, str) else description
        if not isinstance(description, Mapping):
            raise ValueError(f"{name}: expected a kind such as 'numbers', or a dict of it; got {description!r}.")
        description = dict(description)
        if "kind" not in description:
            raise ValueError(f"{name}: kind is missing. Expected one of {listed(COLUMNS.names())}.")
        kind = COLUMNS.get(description.pop("kind"))
        names = description.pop("columns", [name])
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list | tuple) or not all(isinstance(column, str) for column in names):
            raise ValueError(f"{name}: columns must be the name of a column, or a list of names; got {names!r}.")
        names = list(names)
        check_columns(table, names, name)
        options = {key: description.pop(key) for key in kind.options() if key in description}
        try:
            own = kind.adapt(train, names, folder, **options)
        except TypeError as error:
            raise ValueError(f"{name}: an option is of the wrong type: {options} ({error}).") from error
        found[name] = own, {**kind(own).settings, **description}
    return found


def check_columns(table: "pd.DataFrame", names: Sequence[str], of: str) -> None:
    """Raises `ValueError` unless the table has these columns, at least one and each once."""
    if missing := [name for name in names if name not in table.columns]:
        raise ValueError(f"{of}: the table has no column {listed(missing)}; it has {listed(table.columns)}.")
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{of}: columns must name columns, each once; got {listed(names)}.")


def _source(
    table: "pd.DataFrame", columns: Mapping[str, Columns], folder: pathlib.Path, validation: float, seed: int
) -> Source:
    for name, own in columns.items():
        check_columns(table, own.names, name)
    empty = np.all([is_gap(table[column]) for own in columns.values() for column in own.names], axis=0)
    train, held_out = (rows[~empty[rows]] for rows in _parts(len(table), validation, seed))
    order, size = np.concatenate([train, held_out]), len(train)
    values = {name: _values(table, own, folder, order) for name, own in columns.items()}
    holds = rows_with_any(values.values())
    if not (holds[:size].any() and holds[size:].any()):
        raise ValueError(f"The table has {holds.sum()} rows that hold something: too few to hold some of them out.")
    if not holds.all():  # unreadable files may leave rows without any value
        order, size = order[holds], int(holds[:size].sum())
        values = {
            # Memory-mapped values are read again, because indexing would load them into memory.
            name: _values(table, columns[name], folder, order) if isinstance(array, np.memmap) else array[holds]
            for name, array in values.items()
        }
    train, test = ({name: array[rows] for name, array in values.items()} for rows in (slice(size), slice(size, None)))
    report = {"rows": len(table), "empty": len(table) - len(order)}
    return Source(train, test, columns=dict(columns), report=report)


def _values(table: "pd.DataFrame", own: Columns, folder: pathlib.Path, order: np.ndarray) -> np.ndarray:
    """Returns the values of columns, with rows in the given order; many pictures come from a cached copy."""
    if own.kind == "image" and len(order) >= _COPIED:
        return _pictures(table, own, folder, order)
    return kind_of(own).encode(table, folder)[order]


def _pictures(table: "pd.DataFrame", own: Columns, folder: pathlib.Path, order: np.ndarray) -> np.ndarray:
    """Returns a column's pixels, memory-mapped from a cached copy: uint8, or float16 if some are missing."""
    content = hashlib.blake2b(f"{_LAYOUT} {own!r} {folder.resolve()}".encode(), digest_size=8)
    for cell in table[own.names[0]].to_numpy(object)[order]:
        _add(content, cell, folder)
    shape = (len(order), *own.shape)

    def prepare(temporary: pathlib.Path) -> None:
        pixels = np.lib.format.open_memmap(temporary / "pixels.npy", "w+", np.uint8, shape)
        missing = np.zeros(len(order), bool)
        place = np.full(len(table), -1)
        place[order] = np.arange(len(order))
        for start in range(0, len(table), _COPIED):
            part = table.iloc[start : start + _COPIED]
            part.attrs[FIRST_ROW] = start
            rows = place[start : start + _COPIED]
            values = kind_of(own).encode(part, folder)[rows >= 0]
            rows = rows[rows >= 0]
            missing[rows] = missing_rows(values)
            pixels[rows] = np.nan_to_num(values)
        pixels.flush()
        if missing.any():
            with_gaps = np.lib.format.open_memmap(temporary / "with_gaps.npy", "w+", np.float16, shape)
            for start in range(0, len(order), _COPIED):
                part = slice(start, start + _COPIED)
                with_gaps[part] = pixels[part]
                with_gaps[part][missing[part]] = np.nan
            with_gaps.flush()
            (temporary / "with_gaps.npy").replace(temporary / "pixels.npy")

    def load(place: pathlib.Path) -> np.ndarray:
        pixels = np.load(place / "pixels.npy", mmap_mode="r")
        if pixels.shape != shape:
            raise ValueError(f"{place} is damaged.")
        return pixels

    return load_or_prepare(cache_folder() / f"pictures-{content.hexdigest()}", prepare, load)


def _add(content: "hashlib.blake2b", cell: Any, folder: pathlib.Path) -> None:
    """Adds what a picture's pixels depend on to a hash: the file's name, size and time, or the bytes or array."""
    if isinstance(cell, np.ndarray):
        content.update(f"array {cell.shape} {cell.dtype} ".encode())
        content.update(np.ascontiguousarray(cell))
    elif isinstance(cell, bytes):
        content.update(b"bytes %d " % len(cell) + cell)
    else:
        content.update(f"{cell!r} ".encode(errors="surrogatepass"))
        if isinstance(cell, str | os.PathLike):
            with contextlib.suppress(OSError, ValueError):
                found = (folder / cell).stat()
                content.update(f"{found.st_size} {found.st_mtime_ns} ".encode())


def _parts(size: int, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers of the training rows and of the held-out rows, each in the table's order."""
    if not isinstance(validation, int | float) or not 0 < validation < 1:
        raise ValueError(
            f"validation must be a fraction between 0 and 1, that of the rows held out; got {validation!r}."
        )
    if size < 2:
        raise ValueError(f"The table has {size} row; expected at least 2, of which one is held out.")
    held_out = np.zeros(size, bool)
    number = min(max(round(validation * size), 1), size - 1)
    held_out[np.random.default_rng(seed).permutation(size)[:number]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
