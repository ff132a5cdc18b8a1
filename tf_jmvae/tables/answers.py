"""Applications of a model to a table's rows: filled cells, latents and log-likelihoods."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae.data.table import check_columns, opened
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import request
from tf_jmvae.tables.merging import filled
from tf_jmvae.tables.table_model import Model, TableModel, kinds_of, parts, table_model

if TYPE_CHECKING:
    import pandas as pd

Table = "pd.DataFrame | str | os.PathLike"


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
    """Fills the missing cells of a table with the model's predictions, with their uncertainty.

    Each missing cell gets its conditional expectation given the known cells of its row: the mean of a number, the most
    probable class, yes or no, and the text or picture at the mean of q(z | row). For rows without known cells z is
    sampled from the prior. Samples of z have importance weights, so that results are those of the model even if its
    encoder is not exact, unless a modality is a picture, a text or an array.

    Args:
      model: `MultimodalVAE` whose modalities have columns and that has a posterior given any of them, such as a
        `JMVAEKL`; or an exported or served model, as `open_model` returns it.
      table: `pandas.DataFrame`, or path of a CSV or Parquet file, with the modalities' columns and any others.
      folder: folder of the files that cells name; by default the folder of the table's file, or the current one.
      num_samples: number of samples of z for each mean, probability and stddev; by default 100. For exported and served
        models it is fixed at export and must be None.
      seed: integer seed of the samples; by default 0. The results of a row do not depend on other rows.
      batch_size: number of rows in a batch, a positive integer; by default 256.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.
      **reading: options of `data.read_table`.

    Returns:
      New `DataFrame` with the table's columns and, next to each that had missing cells, `"NAME probability"` of
      classes, attributes and texts, or `"NAME spread"`, the stddev of numbers and counts, in the rows of missing cells.

    Raises:
      ValueError: if the model has no columns, or the table lacks some of them or has cells of another kind.
    """
    asked = table_model(model, num_samples)
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
    """Computes the mean of q(z | row) for each row of a table.

    Args:
      model: model, as for `fill`.
      table: table, as for `fill`.
      folder: folder of the files that cells name, as for `fill`.
      batch_size: number of rows in a batch, a positive integer; by default 256.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.
      **reading: options of `data.read_table`.

    Returns:
      Float32 array `[N, D]`; 0, the mean of the prior, in rows without known cells.

    Raises:
      ValueError: as for `fill`.
    """
    asked = table_model(model)
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
    """Estimates the log-likelihood of the known cells of each row of a table, by importance sampling.

    Log-densities are those of the model's own values, such as standardised numbers. Rows with missing cells have fewer
    terms, so compare only rows with the same known cells.

    Args:
      model: model, as for `fill`.
      table: table, as for `fill`.
      folder: folder of the files that cells name, as for `fill`.
      num_samples: number of samples of z for each row, as for `fill`.
      seed: integer seed of the samples; by default 0.
      batch_size: number of rows in a batch of an exported or served model; by default 256.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.
      **reading: options of `data.read_table`.

    Returns:
      Float array `[N]`, in nats; NaN for rows without known cells.

    Raises:
      ValueError: as for `fill`.
    """
    asked = table_model(model, num_samples)
    rows, folder = _opened(asked, table, folder, reading)
    return asked.score(rows, folder, seed, batch_size, verbose)


def to_table(model: MultimodalVAE, values: Mapping[str, Any]) -> "pd.DataFrame":
    """Converts generated values to a table: class names, numbers in their units, texts.

    Args:
      model: `MultimodalVAE` whose modalities have columns.
      values: dict of arrays or tensors `[N, *event_shape]` by modality, as `generate` returns them.

    Returns:
      `pandas.DataFrame` of N rows with the columns of these modalities; pictures are uint8 arrays `[H, W, C]`.

    Raises:
      ValueError: if a modality has no columns, or values have another shape.
    """
    import pandas as pd

    cells: dict[str, np.ndarray] = {}
    for name, array in model.postprocess(values).items():
        event_shape = model.modalities[name].event_shape
        if np.shape(array)[1:] != event_shape:
            raise ValueError(
                f"{name}: expected values of shape [N, {', '.join(map(str, event_shape))}]; got "
                f"{list(np.shape(array))}. Of several samples, pass one at a time, as in value[:, 0]."
            )
        cells |= kinds_of({name: model.modalities[name].columns})[name].decode(np.asarray(array))
    return pd.DataFrame(cells)


def _opened(
    asked: TableModel, table: Table, folder: str | os.PathLike | None, reading: Mapping[str, str]
) -> tuple["pd.DataFrame", Any]:
    """Returns the table, checked to have all the model's columns, and the folder of files."""
    rows, folder = opened(table, folder, reading)
    for name, kind in asked.kinds.items():
        check_columns(rows, kind.columns.names, name)
    return rows, folder
