"""Missing data: conversion of markers to NaN, counts, and checks of what a model accepts.

Within the package missing values are NaN. `None`, the `NA` of pandas and masked values of `numpy.ma` become NaN.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from tf_jmvae.models import MultimodalVAE

_CHUNK = 2**20  # number of entries to process at once


def as_numbers(value: Any) -> Any:
    """Converts pandas values and object arrays to float32, NaN if missing; texts and others are unchanged."""
    if hasattr(value, "to_numpy") and not tf.is_tensor(value):
        try:
            if any(getattr(dtype, "kind", "O") in "mM" for dtype in np.ravel(getattr(value, "dtypes", ()))):
                return value  # dates are not numbers, but NaT would be converted
            return value.to_numpy(dtype=np.float32, na_value=np.nan)
        except (TypeError, ValueError):
            return value
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        try:
            found = np.asarray(value, object if isinstance(value, np.ndarray) else None)
            if found.dtype == object:
                pandas = sys.modules.get("pandas")  # without pandas there is no NA
                return np.where(pandas.isna(found), np.nan, found).astype(np.float32) if pandas else found.astype("f4")
        except (TypeError, ValueError):
            return value
    return value


def filled(value: Any) -> Any:
    """Converts a masked array of `numpy.ma` to float32 with NaN for masked values; others are unchanged."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    return value.astype(np.float32).filled(np.nan) if np.ma.count_masked(value) else value.data


def stacked(value: Any) -> Any:
    """Stacks a list with masked rows to one masked array, as NumPy would drop the mask; others are unchanged."""
    if isinstance(value, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in value):
        return np.ma.stack(value)
    return value


def filled_batch(batch: Any) -> Any:
    """Converts a batch of a generator or `PyDataset` to what Keras accepts: dicts of arrays, also from other mappings.

    Masked arrays and pandas values become float32, NaN if missing, even if nothing is missing, so that all batches have
    the same dtypes. Empty containers, which represent no targets, are unchanged.
    """
    if isinstance(batch, tuple):
        return tuple(map(filled_batch, batch))
    if isinstance(batch, Mapping):
        return {name: filled_batch(value) for name, value in batch.items()}
    batch = stacked(batch)
    if isinstance(batch, np.ma.MaskedArray):
        return filled(batch.astype(np.float32))
    batch = as_numbers(batch)
    return np.asarray(batch) if isinstance(batch, list) and batch else batch


def missing_rows(values: np.ndarray) -> np.ndarray:
    """Returns which rows of `[N, *event_shape]` are all NaN, Boolean `[N]`."""
    missing = np.zeros(len(values), bool)
    if values.dtype.kind == "f" and values.size:
        flat = values.reshape(len(values), -1)
        candidates = np.flatnonzero(np.isnan(flat[:, 0]))
        step = max(_CHUNK // flat.shape[1], 1)
        for start in range(0, len(candidates), step):
            rows = candidates[start : start + step]
            missing[rows] = np.isnan(flat[rows]).all(axis=1)
    return missing


def has_any(values: np.ndarray | tf.Tensor) -> bool:
    """Returns whether any value is missing; False if values are not known."""
    if not (isinstance(values, np.ndarray) or tf.executing_eagerly()):
        return False
    return any(np.isnan(chunk).any() for chunk in _chunks(np.asarray(values)))


def rows_with_any(values: Iterable[np.ndarray]) -> np.ndarray:
    """Returns which rows are not missing in at least one of the arrays, Boolean `[N]`."""
    return ~np.all([missing_rows(np.asarray(one)) for one in values], axis=0)


def rows_without(names: Iterable[str], batch: Mapping[str, Any]) -> np.ndarray:
    """Returns which rows of a batch lack at least one of these modalities, Boolean `[N]`."""
    nothing = np.zeros(len(next(iter(batch.values()))), bool)
    return np.any([nothing, *(missing_rows(np.asarray(batch[name])) for name in names)], axis=0)


def _num_gaps(values: np.ndarray) -> int:
    return sum(int(np.isnan(chunk).sum()) for chunk in _chunks(values))


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yields chunks of a few MiB of a float array, so that a memory-mapped array is not loaded whole."""
    step = max(_CHUNK // max(math.prod(values.shape[1:]), 1), 1)
    for start in range(0, len(values), step) if values.dtype.kind == "f" else ():
        yield values[start : start + step]


@dataclass
class Counts:
    """Counts of missing rows and single entries of all data so far, by modality.

    `model` and `needed` name a model that leaves out rows, and the modalities that it needs.
    """

    model: str = ""
    needed: Iterable[str] = ()
    rows: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    num_rows: int = 0
    num_used: int = 0
    sizes: dict[str, int] = field(default_factory=dict)  # number of entries of a row

    def add(self, modalities: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Adds the counts of the next rows."""
        optional = [name for name in arrays if modalities[name].optional]
        self.num_rows += len(next(iter(arrays.values())))
        self.num_used += int((~rows_without(self.needed, arrays)).sum())
        for name in optional:
            values, modality = np.asarray(arrays[name]), modalities[name]
            lacking = missing_rows(values)
            self.rows[name] = self.rows.get(name, 0) + int(lacking.sum())
            if modality.optional == "entries":
                self.sizes[name] = math.prod(modality.event_shape)
                gaps = _num_gaps(values) - int(lacking.sum()) * self.sizes[name]
                self.entries[name] = self.entries.get(name, 0) + gaps
        return self

    def check_used(self) -> None:
        """Raises `ValueError` if the model leaves out all rows."""
        if self.num_rows and not self.num_used:
            needed = " and ".join(map(repr, self.needed))
            raise ValueError(f"No row holds {needed}, and a {self.model} leaves out rows that lack it.")

    def __str__(self) -> str:
        """Formats counts, e.g. `"w: 59,400 of 60,000 rows missing; CVAE uses the 600 rows with w"`; empty if none."""
        said = []
        for name, rows in self.rows.items():
            if rows:
                said.append(f"{name}: {rows:,} of {self.num_rows:,} rows missing")
            if entries := self.entries.get(name, 0):
                held = (self.num_rows - rows) * self.sizes[name]
                said.append(f"{name}: {entries:,} of {held:,} entries missing in {'the other' if rows else 'its'} rows")
        if self.num_used < self.num_rows:
            said.append(f"{self.model} uses the {self.num_used:,} rows with {' and '.join(self.needed)}")
        return "; ".join(said)


def check_rows(
    model: "MultimodalVAE", batch: Mapping[str, Any], first_row: int | None = None, *, may_lack: Iterable[str] = ()
) -> None:
    """Raises `ValueError` if a row has no known value or lacks a modality that the model needs, if values are known.

    Rows that lack modalities in `may_lack` are left to the caller. `first_row`, the number of a batch's first row in a
    pipeline, locates errors in messages.
    """
    optional = [name for name in batch if model.modalities[name].optional]
    if not optional or not all(isinstance(batch[name], np.ndarray) or tf.executing_eagerly() for name in optional):
        return
    lacking = {name: missing_rows(np.asarray(batch[name])) for name in optional}
    if len(optional) == len(batch):
        _refuse(np.all(list(lacking.values()), axis=0), first_row, "holds nothing", "Leave such rows out.")
    for name, rows in lacking.items():
        if model.modalities[name].optional is True and not model.incomplete_rows and name not in may_lack:
            advice = (
                f"A {type(model).__name__} reads every modality: leave such rows out, or train a JMVAEKL, which learns "
                "from rows that lack some."
            )
            _refuse(rows, first_row, f"lacks modality {name!r}", advice)


def _refuse(rows: np.ndarray, first_row: int | None, what: str, advice: str) -> None:
    if rows.any():
        start = first_row or 0
        of_batch = (
            "" if first_row is None else f" This occurred in the batch of rows {start} to {start + len(rows) - 1}."
        )
        row, number = start + int(np.argmax(rows)), int(rows.sum())
        raise ValueError(f"Row {row:,} {what} ({number:,} such in all). {advice}{of_batch}")
