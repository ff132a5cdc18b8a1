"""What a model says of a table's rows: what stands in the gaps, latents, and how likely a row is."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tf_jmvae._utils import checks, gaps
from tf_jmvae.columns.base import is_gap
from tf_jmvae.data.table import check_columns, opened
from tf_jmvae.evaluation import joint_log_likelihood
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import request
from tf_jmvae.tables import predictive

if TYPE_CHECKING:
    import pandas as pd

Arrays = dict[str, np.ndarray]
Table = "pd.DataFrame | str | os.PathLike"


def fill(
    model: MultimodalVAE,
    table: Table,
    *,
    folder: str | os.PathLike | None = None,
    num_samples: int = 100,
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
      model: Model whose modalities have columns, and whose posterior starts from any of them, such as a `JMVAEKL`.
      table: `pandas.DataFrame`, or path of a CSV or Parquet file, with the modalities' columns and any others.
      folder: Folder of the files that cells name; by default that of the table, or the current one.
      num_samples: Number of samples of z behind each mean, probability and spread; by default 100.
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
    rows, folder = opened(table, folder, reading)
    modalities, num_samples = _of_columns(model), checks.positive_integer("num_samples", num_samples)
    for name, modality in modalities.items():
        check_columns(rows, modality.columns.names, name)
    say = predictive.of(model, num_samples)
    row_seeds = request.row_seeds(seed, len(rows))
    parts = [
        say(values, row_seeds[start : start + batch_size])
        for start, values in _batches(model, rows, folder, batch_size, verbose)
    ]
    return _filled(rows, modalities, {key: np.concatenate([part[key] for part in parts]) for key in parts[0]})


def encode(
    model: MultimodalVAE,
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
    rows, folder = opened(table, folder, reading)
    _of_columns(model)
    found = []
    for _, values in _batches(model, rows, folder, batch_size, verbose):
        held = gaps.rows_with_any(values.values())
        z = np.zeros((len(held), model.latent_dim), np.float32)
        if held.any():
            observed = model.preprocess({name: array[held] for name, array in values.items()})
            z[held] = model.posterior(observed, seed=0).mean().numpy()
        found.append(z)
    return np.concatenate(found)


def score(
    model: MultimodalVAE,
    table: Table,
    *,
    folder: str | os.PathLike | None = None,
    num_samples: int = 100,
    seed: int = 0,
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
      num_samples: Number of samples of z for each row; by default 100.
      seed: Integer seed of the samples; by default 0.
      verbose: 1, the default, shows a progress bar, 0 does not.
      **reading: Options of `data.read_table`.

    Returns:
      Array `[N]`, in nats; NaN of rows that hold nothing.

    Raises:
      ValueError: as for `fill`.
    """
    rows, folder = opened(table, folder, reading)
    values = {name: modality.cells.encode(rows, folder) for name, modality in _of_columns(model).items()}
    held = gaps.rows_with_any(values.values())
    found = np.full(len(rows), np.nan)
    held_values = {name: array[held] for name, array in values.items()}
    found[held] = joint_log_likelihood(model, held_values, num_samples=num_samples, seed=seed, verbose=verbose).values
    return found


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
        cells |= _of_columns(model, [name])[name].cells.decode(np.asarray(array))
    return pd.DataFrame(cells)


def _of_columns(model: MultimodalVAE, names: Any = None) -> dict[str, Any]:
    """The modalities of these names, by default all; raises `ValueError` if one has no columns."""
    modalities = {name: model.modalities[name] for name in (model.modalities if names is None else names)}
    if without := [name for name, modality in modalities.items() if modality.columns is None]:
        raise ValueError(
            f"{checks.listed(without)}: made of no table's columns. Make the modalities by data.from_table, or give "
            "Modality(..., columns=...)."
        )
    return modalities


def _batches(
    model: MultimodalVAE, rows: "pd.DataFrame", folder: Any, batch_size: int, verbose: int
) -> Iterator[tuple[int, Arrays]]:
    """The number of the first row and the values of a few rows at a time."""
    batch_size = checks.positive_integer("batch_size", batch_size)
    progress = keras.utils.Progbar(len(rows), verbose=verbose, unit_name="row")
    for start in range(0, len(rows), batch_size):
        part = rows.iloc[start : start + batch_size]
        yield start, {name: modality.cells.encode(part, folder) for name, modality in model.modalities.items()}
        progress.update(min(start + batch_size, len(rows)))


def _filled(rows: "pd.DataFrame", modalities: Mapping[str, Any], answers: Mapping[Any, np.ndarray]) -> "pd.DataFrame":
    """The table with the answers in its gaps, and what is said of them beside each column that had some."""
    found: dict[str, Any] = {}
    own = [column for modality in modalities.values() for column in modality.columns.names]
    for column in rows.columns:
        cells = found[column] = rows[column]
        if column not in own or not (gap := is_gap(cells)).any():
            continue
        answer = answers[column]
        if cells.dtype.kind in "iufb":
            found[column] = cells.where(~gap, answer)
        else:
            found[column] = cells.astype(object).where(~gap, answer)
        for what in (predictive.PROBABILITY, predictive.SPREAD):
            if (column, what) in answers:
                found[f"{column} {what}"] = np.where(gap, answers[column, what], np.nan)
    return type(rows)(found, index=rows.index)
