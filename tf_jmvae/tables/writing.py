"""Writing of tables, latents and pictures to files."""

import os
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.images.preprocessing import as_picture

if TYPE_CHECKING:
    import pandas as pd

_TABLES = (".csv", ".parquet", ".pq")


def check_name(path: pathlib.Path, *others: str) -> None:
    """Raises `ValueError` unless the path is a file with a table's suffix, or one of `others`."""
    allowed = (*_TABLES, *others)
    if path.suffix.lower() not in allowed:
        raise ValueError(f"--output must end with one of {', '.join(allowed)}; got {path}.")
    if path.is_dir():
        raise ValueError(f"--output must be a file; {path} is a folder.")


def folder_of_files(path: pathlib.Path) -> pathlib.Path:
    """Returns the folder next to a written table for the files that its cells name."""
    return path.with_name(f"{path.stem}-files")


def write(table: "pd.DataFrame", path: pathlib.Path) -> int:
    """Writes a table, and its arrays to a folder next to it, `NAME-files`; returns the number of these files.

    Named indices become columns.
    """
    number = 0
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    cells: dict[str, Any] = {name: table[name] for name in table.columns}
    for name in [name for name in cells if cells[name].dtype == object]:
        column = cells[name].to_numpy(object).copy()
        for row in [row for row, cell in enumerate(column) if isinstance(cell, np.ndarray)]:
            files = folder_of_files(path)
            files.mkdir(parents=True, exist_ok=True)
            column[row] = _write_array(column[row], files / f"{name}-{row + 1}").relative_to(path.parent).as_posix()
            number += 1
        cells[name] = column
    table = type(table)(cells, index=table.index)

    def write_to(temporary: str) -> None:
        if path.suffix.lower() == ".csv":
            table.to_csv(temporary, index=False)
        else:
            with extra("tables", "A Parquet file"):
                table.to_parquet(temporary, index=False)

    replace_atomically(path, write_to)
    return number


def moved(table: "pd.DataFrame", columns: Iterable[str], folder: pathlib.Path, path: pathlib.Path) -> "pd.DataFrame":
    """Rewrites names of files relative to the folder that a table is written to.

    Args:
      table: `DataFrame` whose cells name files in `folder`.
      columns: names of these columns.
      folder: folder of the files.
      path: path that the table is written to.
    """
    if folder.resolve() == path.parent.resolve():
        return table

    def seen(cell: Any) -> Any:
        if not isinstance(cell, str) or not cell.strip() or pathlib.PurePath(cell).is_absolute():
            return cell
        return pathlib.PurePath(os.path.relpath(folder / cell, path.parent)).as_posix()

    return table.assign(**{column: table[column].map(seen, na_action="ignore") for column in columns})


def write_latents(z: np.ndarray, path: pathlib.Path) -> None:
    """Writes z, `[N, D]`, as .npy, or as a table with the columns z0, z1, ..."""
    if path.suffix.lower() == ".npy":

        def save(temporary: str) -> None:
            with pathlib.Path(temporary).open("wb") as file:
                np.save(file, z)

        replace_atomically(path, save)
        return
    import pandas as pd

    write(pd.DataFrame(z, columns=[f"z{number}" for number in range(z.shape[1])]), path)


def _write_array(array: np.ndarray, path: pathlib.Path) -> pathlib.Path:
    if array.dtype == np.uint8 and array.ndim == 3:
        path = path.with_name(path.name + ".png")
        replace_atomically(path, lambda temporary: as_picture(array).save(temporary, format="PNG"))
        return path
    path = path.with_name(path.name + ".npy")
    write_latents(array, path)
    return path
