"""`TableModel`, the interface of functions on tables to live, exported and served models."""

import abc
import io
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from PIL import Image

from tf_jmvae._utils import checks, gaps, names
from tf_jmvae.columns import kind_of
from tf_jmvae.columns.base import FIRST_ROW, Kind
from tf_jmvae.evaluation import joint_log_likelihood
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import request
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.specs import Columns
from tf_jmvae.tables import predictive
from tf_jmvae.tables.predictive import PROBABILITY, SPREAD, Cells

if TYPE_CHECKING:
    import pandas as pd

_SAMPLES = 100

Model = MultimodalVAE | InferenceModel


class TableModel(abc.ABC):
    """Base class of models of tables; methods take a batch of rows, except `score`, which takes any number.

    Attributes:
      kinds: dict of the `Kind` of columns by modality.
      latent_size: number of entries of z.
    """

    kinds: Mapping[str, Kind]
    latent_size: int

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return [column for kind in self.kinds.values() for column in kind.columns.names]

    @abc.abstractmethod
    def fill(self, rows: "pd.DataFrame", folder: str | os.PathLike, row_seeds: np.ndarray) -> Cells:
        """Computes expected cells by column, and uncertainties by `(column, "probability")` or `(column, "spread")`."""

    @abc.abstractmethod
    def encode(self, rows: "pd.DataFrame", folder: str | os.PathLike) -> np.ndarray:
        """Computes the mean of q(z | row), `[B, D]`; 0 for rows without known cells."""

    @abc.abstractmethod
    def score(
        self, rows: "pd.DataFrame", folder: str | os.PathLike, seed: int, batch_size: int, verbose: int
    ) -> np.ndarray:
        """Estimates the log-likelihood of each row, `[N]`; NaN for rows without known cells."""


def table_model(model: Model, num_samples: int | None = None) -> TableModel:
    """Returns the `TableModel` of a model.

    Args:
      model: `MultimodalVAE`, or exported or served model, whose modalities have columns.
      num_samples: number of samples of z for each result of a live model; by default 100. For other models it is fixed
        at export and must be None.

    Raises:
      ValueError: if a modality has no columns, or `num_samples` is given although it is fixed.
      TypeError: if `model` is not a model.
    """
    if isinstance(model, MultimodalVAE):
        return _Live(model, checks.positive_integer("num_samples", _SAMPLES if num_samples is None else num_samples))
    if not isinstance(model, InferenceModel):
        raise TypeError(f"Expected a model, or what open_model returns; got {type(model).__name__}.")
    if num_samples is not None:
        raise ValueError("num_samples was fixed when the model was exported: leave it out, or export it anew.")
    return Exported(model)


def kinds_of(columns: Mapping[str, Columns | None]) -> dict[str, Kind]:
    """Returns the kinds of modalities' columns; raises `ValueError` if a modality has none."""
    if without := [name for name, own in columns.items() if own is None]:
        raise ValueError(
            f"{checks.listed(without)}: not made of a table's columns. Make the modalities with data.from_table, or "
            "give Modality(..., columns=...)."
        )
    return {name: kind_of(own) for name, own in columns.items()}


def naming_files(kinds: Mapping[str, Kind]) -> list[str]:
    """Returns the columns whose cells name files."""
    return [column for kind in kinds.values() if kind.names_files for column in kind.columns.names]


def parts(rows: "pd.DataFrame", batch_size: int, verbose: int) -> Iterator[tuple[int, "pd.DataFrame"]]:
    """Yields batches of rows, each with the number of its first row."""
    batch_size = checks.positive_integer("batch_size", batch_size)
    progress = keras.utils.Progbar(len(rows), verbose=verbose, unit_name="row")
    for start in range(0, len(rows), batch_size):
        part = rows.iloc[start : start + batch_size]
        part.attrs[FIRST_ROW] = start
        yield start, part
        progress.update(min(start + batch_size, len(rows)))


class _Live(TableModel):
    def __init__(self, model: MultimodalVAE, num_samples: int):
        self.model, self.num_samples, self.latent_size = model, num_samples, model.latent_size
        self.kinds = kinds_of({name: modality.columns for name, modality in model.modalities.items()})
        self._say = predictive.of(model, num_samples)

    def fill(self, rows, folder, row_seeds):
        return self._say(self._values(rows, folder), row_seeds)

    def encode(self, rows, folder):
        values = self._values(rows, folder)
        held = gaps.rows_with_any(values.values())
        z = np.zeros((len(held), self.latent_size), np.float32)
        if held.any():
            observed = self.model.preprocess({name: array[held] for name, array in values.items()})
            z[held] = self.model.posterior(observed, seed=0).mean().numpy()
        return z

    def score(self, rows, folder, seed, batch_size, verbose):
        values = self._values(rows, folder)
        held = gaps.rows_with_any(values.values())
        found = np.full(len(rows), np.nan)
        if held.any():
            of_held = {name: array[held] for name, array in values.items()}
            options = {"num_samples": self.num_samples, "seed": seed, "verbose": verbose}
            found[held] = _scores(joint_log_likelihood(self.model, of_held, **options).values)
        return found

    def _values(self, rows: "pd.DataFrame", folder: str | os.PathLike) -> dict[str, np.ndarray]:
        return {name: kind.encode(rows, folder) for name, kind in self.kinds.items()}


class Exported(TableModel):
    """Exported or served model, called by its signatures of cells.

    Args:
      model: `InferenceModel`, as `open_model` returns it.
    """

    def __init__(self, model: InferenceModel):
        self.model, self.latent_size = model, model.latent_size
        self.kinds = kinds_of({name: spec.columns for name, spec in model.modalities.items()})

    def fill(self, rows, folder, row_seeds):
        found, said = self.model.fill_cells(self._cells(rows, folder), seed=row_seeds), {}
        for name, kind in self.kinds.items():
            said |= self._said(name, kind, found)
        return said

    def encode(self, rows, folder):
        return self.model.encode_cells(self._cells(rows, folder))["mean"]

    def score(self, rows, folder, seed, batch_size, verbose):
        row_seeds = request.row_seeds(seed, len(rows))
        found = [
            self.scores(part, folder, row_seeds[start : start + len(part)])
            for start, part in parts(rows, batch_size, verbose)
        ]
        return np.concatenate(found)

    def scores(self, rows: "pd.DataFrame", folder: str | os.PathLike, row_seeds: np.ndarray) -> np.ndarray:
        """Estimates the log-likelihoods of a batch of rows, `[B]`, with int32 seeds `[B, 2]`."""
        cells = self._cells(rows, folder)
        return np.where(_held(cells), _scores(self.model.log_likelihood_of_cells(cells, seed=row_seeds)), np.nan)

    def _cells(self, rows: "pd.DataFrame", folder: str | os.PathLike) -> dict[str, np.ndarray]:
        return {name: kind.requested(rows, folder) for name, kind in self.kinds.items()}

    def _said(self, name: str, kind: Kind, found: Mapping[str, np.ndarray]) -> Cells:
        columns = kind.columns.names
        if names.probability(name) in found:  # a text
            texts = np.array([text.decode() for text in found[names.text(name)]], object)
            return {columns[0]: texts, (columns[0], PROBABILITY): found[names.probability(name)]}
        values = found[name]
        if self.model.modalities[name].is_image:
            values = np.stack([_pixels(png, kind.columns.shape) for png in values])
        said: dict[Any, np.ndarray] = dict(kind.decode(values))
        said |= {(column, PROBABILITY): p for column, p in kind.sureness(values).items()}
        if names.spread(name) in found:
            said |= {(column, SPREAD): own for column, own in zip(columns, found[names.spread(name)].T, strict=True)}
        return said


def _scores(log_likelihoods: np.ndarray) -> np.ndarray:
    """Replaces NaN by minus infinity, for numbers so extreme that their density cannot be computed."""
    return np.where(np.isnan(log_likelihoods), -np.inf, log_likelihoods)


def _pixels(png: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).reshape(shape)


def _held(cells: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns which rows have a known cell, Boolean `[B]`."""
    of_each = [values != b"" if values.dtype == object else ~gaps.missing_rows(values) for values in cells.values()]
    return np.any(of_each, axis=0)
