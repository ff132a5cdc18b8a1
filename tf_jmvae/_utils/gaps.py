"""Gaps in data as people have them: what says that something is missing, how much is, and whether a model takes it.

Inside the package NaN says it. `None`, the `NA` of pandas and the masks of `numpy.ma` become NaN on the way in.
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

_CHUNK = 2**20  # entries that are looked at at once


def as_numbers(value: Any) -> Any:
    """Values of pandas, and arrays of objects, as float32 with NaN in their gaps; others, and texts, as they are."""
    if hasattr(value, "to_numpy") and not tf.is_tensor(value):
        try:
            if any(getattr(dtype, "kind", "O") in "mM" for dtype in np.ravel(getattr(value, "dtypes", ()))):
                return value  # dates are no numbers, and NaT would be one
            return value.to_numpy(dtype=np.float32, na_value=np.nan)
        except (TypeError, ValueError):
            return value
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        try:
            found = np.asarray(value, object if isinstance(value, np.ndarray) else None)
            if found.dtype == object:
                pandas = sys.modules.get("pandas")  # without it nothing can be its NA
                return np.where(pandas.isna(found), np.nan, found).astype(np.float32) if pandas else found.astype("f4")
        except (TypeError, ValueError):
            return value
    return value


def filled(value: Any) -> Any:
    """A masked array of `numpy.ma` as float32, with NaN for what is masked; anything else as it is."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    return value.astype(np.float32).filled(np.nan) if np.ma.count_masked(value) else value.data


def stacked(value: Any) -> Any:
    """A list of which a row is masked as one masked array: NumPy would forget the mask. Anything else as it is."""
    if isinstance(value, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in value):
        return np.ma.stack(value)
    return value


def filled_batch(batch: Any) -> Any:
    """What Keras takes as a batch of a generator or `PyDataset`: dicts of arrays, also of other mappings and lists.

    Masked arrays and values of pandas become float32, with NaN in their gaps, also where there are none, so that all
    batches are of one type. Empty containers, which stand for no targets, stay.
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
    """Which rows of `[N, *event_shape]` are NaN throughout, Boolean `[N]`."""
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
    """Whether something is missing, as far as values are known."""
    if not (isinstance(values, np.ndarray) or tf.executing_eagerly()):
        return False
    return any(np.isnan(chunk).any() for chunk in _chunks(np.asarray(values)))


def rows_with_any(values: Iterable[np.ndarray]) -> np.ndarray:
    """Which rows hold something of one array or more, Boolean `[N]`."""
    return ~np.all([missing_rows(np.asarray(one)) for one in values], axis=0)


def rows_without(names: Iterable[str], batch: Mapping[str, Any]) -> np.ndarray:
    """Which rows of a batch lack one of these modalities or more, Boolean `[N]`."""
    nothing = np.zeros(len(next(iter(batch.values()))), bool)
    return np.any([nothing, *(missing_rows(np.asarray(batch[name])) for name in names)], axis=0)


def _num_gaps(values: np.ndarray) -> int:
    return sum(int(np.isnan(chunk).sum()) for chunk in _chunks(values))


def _chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """A few MiB at a time of what may hold NaN: an array that is on the disk stays there."""
    step = max(_CHUNK // max(math.prod(values.shape[1:]), 1), 1)
    for start in range(0, len(values), step) if values.dtype.kind == "f" else ():
        yield values[start : start + step]


@dataclass
class Counts:
    """How much is missing of what has been seen so far, by modality: rows altogether, and single entries.

    A model that leaves out rows is named, with the modalities that it needs.
    """

    model: str = ""
    needed: Iterable[str] = ()
    rows: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    num_rows: int = 0
    num_used: int = 0
    sizes: dict[str, int] = field(default_factory=dict)  # entries of a row

    def add(self, modalities: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """The next rows, of modalities with an event shape of which some are `optional`."""
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
        """Raises `ValueError` if there are rows, and the model leaves all of them out."""
        if self.num_rows and not self.num_used:
            needed = " and ".join(map(repr, self.needed))
            raise ValueError(f"No row holds {needed}, and a {self.model} leaves out rows without.")

    def __str__(self) -> str:
        """Such as `"w: 59,400 of 60,000 rows missing; CVAE uses the 600 rows with w"`; empty if nothing is."""
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
    """Raises `ValueError` if a row holds nothing, or lacks what the model cannot do without, where values are known.

    Rows that lack modalities in `may_lack` are for the caller to leave out. Messages say where in the data a batch of a
    pipeline stands by `first_row`, the number of its first row there.
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
        of_batch = "" if first_row is None else f" This is of the batch of rows {start} to {start + len(rows) - 1}."
        row, number = start + int(np.argmax(rows)), int(rows.sum())
        raise ValueError(f"Row {row:,} {what} ({number:,} such in all). {advice}{of_batch}")
