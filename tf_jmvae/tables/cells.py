"""Answers as cells of the column that they fill, in the type of what it holds."""

from typing import TYPE_CHECKING

import numpy as np

from tf_jmvae.columns.attributes import Attributes
from tf_jmvae.columns.base import Kind
from tf_jmvae.columns.counts import Counts
from tf_jmvae.columns.numbers import Numbers

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 6  # that say something of a number of 32 bits


def with_answers(cells: "pd.Series", gap: np.ndarray, answers: np.ndarray, kind: Kind) -> "pd.Series":
    """The cells of a column with answers in its gaps.

    Args:
      cells: Column of N cells of any type.
      gap: Which are gaps, Boolean `[N]`.
      answers: What `kind` says, `[N]`, of which the gaps count: numbers, words, or arrays.
      kind: The kind of the column.

    Returns:
      A column of numbers if `cells` holds some and all answers are numbers, of True and False likewise; else of
      objects, of which numbers are texts where `cells` holds texts.
    """
    import pandas as pd

    if isinstance(kind, Numbers):
        answers = rounded(answers)
    if isinstance(kind, Counts):
        answers = np.where(gap, np.rint(answers.astype(np.float64)), np.nan)
    of_truth = pd.api.types.is_bool_dtype(cells.dtype)
    if of_truth or pd.api.types.is_numeric_dtype(cells.dtype):
        numbers = _as_numbers(cells.name, answers, kind)
        if not np.isnan(numbers[gap]).any():
            known = cells.to_numpy(np.float64, na_value=np.nan)
            merged = pd.Series(np.where(gap, numbers, known), index=cells.index, name=cells.name)
            return merged.astype(bool) if of_truth else merged
    elif isinstance(kind, Numbers) and any(isinstance(cell, str) for cell in cells[~gap]):
        answers = np.array([f"{number:.{_DIGITS}g}" for number in answers], object)
    return cells.astype(object).where(~gap, answers)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """Numbers of 32 bits, or None, as float64 `[N]` without digits that say nothing; NaN of None."""
    return np.array([float(f"{number:.{_DIGITS}g}") if number is not None else np.nan for number in numbers])


def _as_numbers(column: str, answers: np.ndarray, kind: Kind) -> np.ndarray:
    """Answers as float64 `[N]`; NaN of words that are no number."""
    import pandas as pd

    if isinstance(kind, Attributes):
        yes = kind.columns.words[2 * kind.columns.names.index(column) + 1]
        return np.array([np.nan if answer is None else float(answer == yes) for answer in answers])
    return pd.to_numeric(pd.Series(answers), errors="coerce").to_numpy(np.float64, na_value=np.nan)
