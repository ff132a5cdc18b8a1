"""What a model says of a table's rows: what stands in the gaps, latents, and how likely a row is."""

import os
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae.columns.base import Kind, is_gap
from tf_jmvae.columns.numbers import as_numbers
from tf_jmvae.data.table import check_columns, opened
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import request
from tf_jmvae.tables import predictive
from tf_jmvae.tables.askable import Askable, Model, askable, kinds_of, parts
from tf_jmvae.tables.cells import rounded, with_answers

if TYPE_CHECKING:
    import pandas as pd

Table = "pd.DataFrame | str | os.PathLike"
_SAID = (predictive.PROBABILITY, predictive.SPREAD)
SCORE = "log_likelihood"  # the column of it


def fill(
    model: Model,
    table: Table,
    *,
    folder: str | os.PathLike | None = None,
    num_samples: int | None = None,
    seed: int = 0,
    batch_size: int = 256,
    verbose: int = 1,
    **reading: str,
) -> "pd.DataFrame":
    """Fills the gaps of a table with what the model says, and says how sure it is.

    Each gap gets what is expected there given all that its row holds: the mean of a number, the most probable class,
    yes or no, and the text or picture of the mean of q(z | row). A row that holds nothing gets the mean of all. Samples
    of z are weighted by importance, so that answers are those of the model where its encoder is not exact, unless a
    modality is a picture, a text or an array.

    Args:
      model: Model whose modalities have columns, and whose posterior starts from any of them, such as a `JMVAEKL`; or
        what `open_model` gives of one that was exported or is served.
      table: `pandas.DataFrame`, or path of a CSV or Parquet file, with the modalities' columns and any others.
      folder: Folder of the files that cells name; by default that of the table, or the current one.
      num_samples: Number of samples of z behind each mean, probability and spread; by default 100. Of a model that is
        exported or served it was fixed at export, and must be left out.
      seed: Integer seed of the samples; by default 0. A row's answer does not depend on the other rows.
      batch_size: Number of rows at once; by default 256.
      verbose: 1, the default, shows a progress bar, 0 does not.
      **reading: Options of `data.read_table`.

    Returns:
      A new `DataFrame` with the table's columns and, beside each that had gaps, `"NAME probability"` of classes,
      attributes and texts, or `"NAME spread"`, the standard deviation of numbers and counts, where there was a gap.

    Raises:
      ValueError: the model has no columns, or the table lacks some of them or holds what is not of their kind.
    """
    asked = askable(model, num_samples)
    rows, folder = _opened(asked, table, folder, reading)
    row_seeds = request.row_seeds(seed, len(rows))
    found = [
        asked.fill(part, folder, row_seeds[start : start + len(part)])
        for start, part in parts(rows, batch_size, verbose)
    ]
    return filled(rows, asked.kinds, {key: np.concatenate([part[key] for part in found]) for key in found[0]})


def encode(
    model: Model,
    table: Table,
    *,
    folder: str | os.PathLike | None = None,
    batch_size: int = 256,
    verbose: int = 1,
    **reading: str,
) -> np.ndarray:
    """Gives the mean of q(z | row) of each row of a table.

    Args:
      model: Model as for `fill`.
      table: Table as for `fill`.
      folder: Folder of the files that cells name, as for `fill`.
      batch_size: Number of rows at once; by default 256.
      verbose: 1, the default, shows a progress bar, 0 does not.
      **reading: Options of `data.read_table`.

    Returns:
      Array `[N, D]`, float32; 0, the mean of the prior, in rows that hold nothing.

    Raises:
      ValueError: as for `fill`.
    """
    asked = askable(model)
    rows, folder = _opened(asked, table, folder, reading)
    return np.concatenate([asked.encode(part, folder) for _, part in parts(rows, batch_size, verbose)])


def score(
    model: Model,
    table: Table,
    *,
    folder: str | os.PathLike | None = None,
    num_samples: int | None = None,
    seed: int = 0,
    batch_size: int = 256,
    verbose: int = 1,
    **reading: str,
) -> np.ndarray:
    """Gives the log-likelihood of what each row of a table holds, by importance sampling.

    Log-densities are of the values that the model reads, standardised ones of numbers. A row that lacks something has
    fewer terms, so compare rows that hold the same.

    Args:
      model: Model as for `fill`.
      table: Table as for `fill`.
      folder: Folder of the files that cells name, as for `fill`.
      num_samples: Number of samples of z for each row, as for `fill`.
      seed: Integer seed of the samples; by default 0.
      batch_size: Number of rows that an exported or served model is asked at once; by default 256.
      verbose: 1, the default, shows a progress bar, 0 does not.
      **reading: Options of `data.read_table`.

    Returns:
      Array `[N]`, in nats; NaN of rows that hold nothing.

    Raises:
      ValueError: as for `fill`.
    """
    asked = askable(model, num_samples)
    rows, folder = _opened(asked, table, folder, reading)
    return asked.score(rows, folder, seed, batch_size, verbose)


def to_table(model: MultimodalVAE, values: Mapping[str, Any]) -> "pd.DataFrame":
    """Writes what a model generates as a table: names of classes, numbers in their units, texts.

    Args:
      model: Model whose modalities have columns.
      values: Arrays or tensors `[N, *event_shape]` by modality, such as `generate` gives.

    Returns:
      A `pandas.DataFrame` of N rows with the columns of these modalities; pictures as uint8 arrays `[H, W, C]`.

    Raises:
      ValueError: a modality has no columns.
    """
    import pandas as pd

    cells: dict[str, np.ndarray] = {}
    for name, array in model.postprocess(values).items():
        cells |= kinds_of({name: model.modalities[name].columns})[name].decode(np.asarray(array))
    return pd.DataFrame(cells)


def _opened(
    asked: Askable, table: Table, folder: str | os.PathLike | None, reading: Mapping[str, str]
) -> tuple["pd.DataFrame", Any]:
    """The table, which has all columns of the model's, and the folder of files."""
    rows, folder = opened(table, folder, reading)
    for name, kind in asked.kinds.items():
        check_columns(rows, kind.columns.names, name)
    return rows, folder


def filled(rows: "pd.DataFrame", kinds: Mapping[str, Kind], answers: Mapping[Any, np.ndarray]) -> "pd.DataFrame":
    """Puts answers into a table's gaps, and what is said of them beside each column that had some.

    Known cells stay what they are. Counts become whole numbers. In a column of texts, as of a CSV file, numbers become
    texts, and in one of numbers or of True and False so do attributes.

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
        sure = {what: rounded(answers[column, what]) for what in _SAID if (column, what) in answers}
        told = gap & np.all([np.isfinite(said) for said in sure.values()], axis=0)
        untold |= gap & ~told
        found[column] = with_answers(cells, told, answers[column], of_column[column])
        for what, said in sure.items():
            name = f"{column} {what}"
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
