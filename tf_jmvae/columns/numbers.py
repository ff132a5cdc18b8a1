"""Columns of real numbers, each of which may be missing separately."""

import re

import numpy as np

from tf_jmvae.columns.base import Kind, is_gap, refuse
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_COMMA = re.compile(r"[-+]?\d+(\.\d{3})*,\d+")
_TOLD = 16  # smallest stddev of a column, in float32 steps at its largest number
_LARGEST = float(np.finfo(np.float32).max)


@COLUMNS.register("numbers")
class Numbers(Kind):
    """Columns of numbers in any unit, which the model standardises; outputs are in the original unit."""

    @classmethod
    def adapt(cls, table, names, folder="."):
        numbers = np.stack([as_numbers(table[name]) for name in names], axis=1)
        for name, column in zip(names, numbers.T, strict=True):
            if len(np.unique(column[~np.isnan(column)])) < 2:
                raise ValueError(
                    f"Column {name!r} has one value in all training rows, or none: there is nothing to learn from it. "
                    "Leave it out."
                )
            known = column[~np.isnan(column)]
            if np.std(known) < _TOLD * np.spacing(np.float32(np.abs(known).max())):
                raise ValueError(
                    f"Column {name!r}: its numbers differ by less than 32 bits can resolve for numbers this large. "
                    f"Subtract one such as {np.median(known):.6g} from all of them."
                )
        return Columns("numbers", tuple(names), (len(names),))

    @property
    def settings(self):
        return {
            "event_shape": self.columns.shape,
            "likelihood": "gaussian",
            "standardized": True,
            "optional": "entries",
            "entry_names": self.columns.names,
            "encoder": (128,),
            "decoder": (64,),
        }

    def encode(self, table, folder="."):
        return np.stack([as_numbers(table[name]) for name in self.columns.names], axis=1).astype(np.float32)

    def decode(self, values):
        return dict(zip(self.columns.names, np.asarray(values, np.float64).T, strict=True))


def as_numbers(cells) -> np.ndarray:
    """Converts cells to float64 `[N]`, NaN if missing; raises `ValueError` for cells that are not numbers."""
    import pandas as pd

    gaps = is_gap(cells)
    if cells.dtype.kind in "mM":
        refuse(cells, ~gaps, "is a date", _OF_DATES)
    if cells.dtype.kind == "c":
        refuse(cells, ~gaps, "is a complex number", "Make a column for each part.")
    numbers = pd.to_numeric(cells.where(~gaps), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.isnan(numbers) & ~gaps
    if wrong.any():
        first = str(cells.iloc[int(np.argmax(wrong))]).strip()
        advice = "Correct the cell, empty it, or take another kind for the column, such as 'category' or 'text'."
        if is_date(first):
            advice = _OF_DATES
        elif _COMMA.fullmatch(first):
            advice = "If the table has commas as decimal points, say decimal = ',' under [data], or --decimal ','."
        refuse(cells, wrong, "is not a number", advice)
    refuse(cells, np.abs(np.nan_to_num(numbers)) > _LARGEST, "is too large a number", "Correct the cell, or empty it.")
    return numbers


def is_date(text: str) -> bool:
    """Returns whether a cell looks like a date, such as 2024-05-17 or 17.5.2024."""
    return bool(_DATE.fullmatch(text.strip()))


_OF_DATES = "Turn dates into numbers, such as the days since the first one, or leave the column out."
