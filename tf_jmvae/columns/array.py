"""A column of arrays: names of .npy and .npz files, such as features that another network made."""

import os
import pathlib

import numpy as np

from tf_jmvae.columns.base import Kind, is_gap, one_column
from tf_jmvae.columns.files import reported
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns


@COLUMNS.register("array")
class Array(Kind):
    """Arrays of real numbers of one shape, by their files' names, or as they are; of an .npz file the first one."""

    averages = False
    names_files = True

    @classmethod
    def adapt(cls, table, names, folder=".", *, shape=None):
        name = one_column("array", names)
        if shape is None:
            shape = next((_read(cell, folder).shape for cell in table[name][~is_gap(table[name])]), None)
        if not shape:
            raise ValueError(f"Column {name!r} has no array, or single numbers: leave it out, or say 'numbers'.")
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
                array = _read(cells[row], folder)
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


def _read(cell, folder: str | os.PathLike) -> np.ndarray:
    if not isinstance(cell, str | os.PathLike):
        return np.asarray(cell, np.float32)
    found = np.load(pathlib.Path(folder) / cell, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found.astype(np.float32)
    with found:
        return found[found.files[0]].astype(np.float32)
