"""Columns of arrays: names of .npy and .npz files, such as features of another network."""

import os
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae.columns.base import Kind, is_gap, one_column
from tf_jmvae.columns.files import reported
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns

if TYPE_CHECKING:
    import pandas as pd


@COLUMNS.register("array")
class Array(Kind):
    """Column of arrays of real numbers of one shape, given as file names or arrays; the first array of an .npz file."""

    averages = False
    names_files = True

    @classmethod
    def adapt(cls, table, names, folder=".", *, shape=None):
        name = one_column("array", names)
        if shape is None:
            shape = _first_shape(table[name][~is_gap(table[name])], folder)
        if not shape:
            raise ValueError(
                f"Column {name!r} has no array, or only single numbers: leave it out, or take kind = 'numbers'."
            )
        return Columns("array", (name,), tuple(shape))

    @property
    def settings(self):
        return {
            "event_shape": self.columns.shape,
            "likelihood": "gaussian",
            "standardized": True,
            "optional": True,
            "encoder": (256,),
            "decoder": (256,),
        }

    def encode(self, table, folder="."):
        (name,) = self.columns.names
        gaps, cells = is_gap(table[name]), table[name].to_numpy(object)
        values, problems = np.full((len(cells), *self.columns.shape), np.nan, np.float32), {}
        for row in np.flatnonzero(~gaps):
            try:
                array = array_of(cells[row], folder)
                if array.shape != self.columns.shape:
                    raise ValueError(f"{cells[row]} has shape {array.shape}; expected {self.columns.shape}")
                values[row] = array
            except (OSError, ValueError, TypeError) as error:
                problems[row] = str(error)
        reported(table[name], "array", problems, ~gaps)
        return values

    def decode(self, values):
        (name,) = self.columns.names
        found = np.empty(len(values), object)
        found[:] = list(np.asarray(values))
        return {name: found}


def _first_shape(cells: "pd.Series", folder: str | os.PathLike) -> tuple[int, ...] | None:
    """Returns the shape of the first readable array; None without cells. `encode` reports unreadable ones."""
    problem = None
    for cell in cells:
        try:
            return array_of(cell, folder).shape
        except (OSError, ValueError, TypeError) as error:
            problem = problem or error
    if problem:
        raise ValueError(
            f"Column {cells.name!r}: none of the {len(cells):,} arrays can be read ({problem}). Say where the files "
            "are with folder = '...' under [data], or --folder."
        ) from problem
    return None


def array_of(cell: Any, folder: str | os.PathLike = ".") -> np.ndarray:
    """Returns the array of a cell, which is an array or a file name.

    Args:
      cell: array, or name of a .npy or .npz file; the first array of an .npz file is read.
      folder: folder of the file; by default the current one.

    Returns:
      Float32 array.

    Raises:
      OSError: if the file cannot be opened.
      ValueError: if the file holds no array of numbers.
      TypeError: if the cell is not an array.
    """
    if not isinstance(cell, str | os.PathLike):
        return np.asarray(cell, np.float32)
    with (pathlib.Path(folder) / cell).open("rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
            array = found if isinstance(found, np.ndarray) else found[found.files[0]]
        except Exception as error:  # NumPy's parsers raise many classes of errors for damaged files
            raise ValueError(f"{cell} is not a .npy or .npz file: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{cell} holds values of type {array.dtype}; expected real numbers.")
    with np.errstate(over="ignore"):  # becomes inf, which the checks of data report
        return array.astype(np.float32)
