"""Answers merged into the table that was asked about: gaps filled in the type of their column, and scores."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae.columns.attributes import Attributes
from tf_jmvae.columns.base import Kind, is_gap
from tf_jmvae.columns.counts import Counts
from tf_jmvae.columns.numbers import Numbers, as_numbers
from tf_jmvae.tables.predictive import PROBABILITY, SPREAD

if TYPE_CHECKING:
    import pandas as pd

SCORE = "log_likelihood"  # the column of it
_DIGITS = 6  # that say something of a number of 32 bits


def filled(rows: "pd.DataFrame", kinds: Mapping[str, Kind], answers: Mapping[Any, np.ndarray]) -> "pd.DataFrame":
    """Puts answers into a table's gaps, and what is said of them beside each column that had some.

    Known cells stay what they are. What is filled in has the type of its column: numbers are texts in a column of
    texts, as of a CSV file, and attributes are numbers, or True and False, in one of these. Counts are whole numbers.

    Args:
      rows: `DataFrame` of N rows.
      kinds: The kinds of columns by modality.
      answers: Arrays `[N]` by column, `(column, "probability")` and `(column, "spread")`, of which the gaps count.

    Returns:
      A new `DataFrame`; a gap stays, with a warning, where probability or spread is no finite number.
    """
    found: dict[str, Any] = {}
    untold = np.zeros(len(rows), bool)
    of_column = {column: kind for kind in kinds.values() for column in kind.columns.names}
    for column in rows.columns:
        if column in found:  # what was said of a column that is filled anew
            continue
        cells = found[column] = rows[column]
        if column not in of_column or not (gap := is_gap(cells)).any():
            continue
        sure = {what: rounded(answers[column, what]) for what in (PROBABILITY, SPREAD) if (column, what) in answers}
        told = gap & np.all([np.isfinite(said) for said in sure.values()], axis=0)
        untold |= gap & ~told
        found[column] = with_answers(cells, told, answers[column], of_column[column])
        for what, said in sure.items():
            name = f"{column} {what}"
            if name in of_column:  # a column that the model reads keeps its cells
                continue
            found[name] = np.where(told, said, as_numbers(rows[name]) if name in rows else np.nan)
    if untold.any():
        warnings.warn(
            f"{int(untold.sum())} row(s) keep gaps, first row {int(np.argmax(untold)) + 1:,}: a number in them is so "
            "far from those of the training rows that the model expects nothing. Mend or empty it.",
            stacklevel=3,
        )
    return type(rows)(found, index=rows.index)


def scored(table: "pd.DataFrame", scores: np.ndarray) -> "pd.DataFrame":
    """Puts log-likelihoods, `[N]`, before a table's columns, and the least likely rows first; NaN comes last.

    A column of log-likelihoods that is there already is replaced.
    """
    found = table.drop(columns=SCORE, errors="ignore")
    found.insert(0, SCORE, scores)
    return found.iloc[scores.argsort(kind="stable")]


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
