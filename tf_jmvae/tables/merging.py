"""Merging of results into tables: missing cells filled in the dtype of their column, and scores."""

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae.columns.attributes import Attributes
from tf_jmvae.columns.base import Kind, is_gap
from tf_jmvae.columns.counts import Counts
from tf_jmvae.columns.numbers import Numbers, as_numbers
from tf_jmvae.tables.predictive import PROBABILITY, SPREAD

if TYPE_CHECKING:
    import pandas as pd

SCORE = "log_likelihood"  # name of the column of scores
_DIGITS = 6  # significant digits of float32


def filled(rows: "pd.DataFrame", kinds: Mapping[str, Kind], answers: Mapping[Any, np.ndarray]) -> "pd.DataFrame":
    """Fills a table's missing cells, with their uncertainty next to each column that had some.

    Known cells are unchanged. Filled cells have the dtype of their column: numbers are texts in a column of texts, as
    of a CSV file, and attributes are numbers, or True and False, in a column of these. Counts are whole numbers.

    Args:
      rows: `DataFrame` of N rows.
      kinds: dict of the `Kind` of columns by modality.
      answers: dict of arrays `[N]` by column, `(column, "probability")` and `(column, "spread")`, used in missing
        cells.

    Returns:
      New `DataFrame`; a cell stays missing, with a warning, if its probability or spread is not finite.
    """
    found: dict[str, Any] = {}
    untold = np.zeros(len(rows), bool)
    of_column = {column: kind for kind in kinds.values() for column in kind.columns.names}
    for column in rows.columns:
        if column in found:  # an earlier column of uncertainties, which was replaced
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
            if name in of_column:  # a column that the model reads is not replaced
                continue
            found[name] = np.where(told, said, as_numbers(rows[name]) if name in rows else np.nan)
    if untold.any():
        warnings.warn(
            f"{int(untold.sum())} row(s) keep gaps, first row {int(np.argmax(untold)) + 1:,}: each of them has a "
            "number so far from those of the training rows that the model predicts nothing. Correct or empty the cell.",
            stacklevel=3,
        )
    return type(rows)(found, index=rows.index)


def scored(table: "pd.DataFrame", scores: np.ndarray) -> "pd.DataFrame":
    """Inserts log-likelihoods, `[N]`, as the first column, and sorts the least likely rows first, NaN last.

    An existing column of log-likelihoods is replaced, so a model must not read it: `check_scored`.
    """
    found = table.drop(columns=SCORE, errors="ignore")
    found.insert(0, SCORE, scores)
    return found.iloc[scores.argsort(kind="stable")]


def check_scored(columns: Iterable[str]) -> None:
    """Raises `ValueError` if scores would replace one of the columns that a model reads."""
    if SCORE in columns:
        raise ValueError(
            f"The model reads a column {SCORE!r}, which the scores would replace: rename that column in the table and "
            "in its description, and train anew; or call tables.score, which returns the scores alone."
        )


def with_answers(cells: "pd.Series", gap: np.ndarray, answers: np.ndarray, kind: Kind) -> "pd.Series":
    """Fills the missing cells of a column.

    Args:
      cells: series of N cells of any dtype.
      gap: Boolean array `[N]`, which cells to fill.
      answers: array `[N]` of numbers, words, or arrays, used where `gap` is True.
      kind: `Kind` of the column.

    Returns:
      Numeric series if `cells` is numeric and all answers are numbers, Boolean series likewise; else a series of
      objects, in which numbers are texts if `cells` holds texts.
    """
    import pandas as pd

    if isinstance(kind, Numbers):
        answers = rounded(answers)
    if isinstance(kind, Counts):
        answers = np.where(gap, np.rint(answers.astype(np.float64)), np.nan)
    dtype = cells[~is_gap(cells)].infer_objects().dtype  # pandas reads True, False and gaps as objects
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        numbers = _as_numbers(cells.name, answers, kind)
        if not np.isnan(numbers[gap]).any():
            if pd.api.types.is_bool_dtype(dtype):
                return cells.astype(object).where(~gap, numbers == 1).infer_objects()
            known = pd.to_numeric(cells).to_numpy(np.float64, na_value=np.nan)
            return pd.Series(np.where(gap, numbers, known), index=cells.index, name=cells.name)
    elif isinstance(kind, Numbers) and any(isinstance(cell, str) for cell in cells[~gap]):
        answers = np.array([f"{number:.{_DIGITS}g}" for number in answers], object)
    return cells.astype(object).where(~gap, answers)


def rounded(numbers: np.ndarray) -> np.ndarray:
    """Rounds float32 numbers to their significant digits, as float64 `[N]`; None becomes NaN."""
    return np.array([float(f"{number:.{_DIGITS}g}") if number is not None else np.nan for number in numbers])


def _as_numbers(column: str, answers: np.ndarray, kind: Kind) -> np.ndarray:
    """Converts answers to float64 `[N]`; NaN for words that are not numbers."""
    import pandas as pd

    if isinstance(kind, Attributes):
        yes = kind.columns.words[2 * kind.columns.names.index(column) + 1]
        return np.array([np.nan if answer is None else float(answer == yes) for answer in answers])
    return pd.to_numeric(pd.Series(answers), errors="coerce").to_numpy(np.float64, na_value=np.nan)
