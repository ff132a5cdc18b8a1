"""What a model says of a table's rows: what stands in the gaps, latents, and how likely a row is."""

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
    """Fills the gaps of a table with what the model says, and says how sure it is.

    Each gap gets what is expected there given all that its row holds: the mean of a number, the most probable class,
    yes or no, and the text or picture of the mean of q(z | row). Of a row that holds nothing z is sampled from the
    prior. Samples of z are weighted by importance, so that answers are those of the model where its encoder is not
    exact, unless a modality is a picture, a text or an array.

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
    asked = table_model(model, num_samples)
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
    asked: TableModel, table: Table, folder: str | os.PathLike | None, reading: Mapping[str, str]
) -> tuple["pd.DataFrame", Any]:
    """The table, which has all columns of the model's, and the folder of files."""
    rows, folder = opened(table, folder, reading)
    for name, kind in asked.kinds.items():
        check_columns(rows, kind.columns.names, name)
    return rows, folder
