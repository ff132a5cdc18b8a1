"""Mean and stddev of every entry over a training split, for standardisation."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

_CHUNK = 4096
_SMALLEST = float(np.finfo(np.float32).eps)  # stddev, beside the mean


class Statistics(NamedTuple):
    """What standardises a modality: `(value - mean) / stddev`, entry by entry (section 4.1 of the paper).

    Attributes:
      mean: `[*event_shape]`, float32.
      stddev: `[*event_shape]`, float32, positive.
    """

    mean: np.ndarray
    stddev: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Statistics":
        """Statistics of `[N, *event_shape]`, in chunks, so that whole numbers need not fit in memory as floats.

        An entry that never varies has stddev 1, whatever its unit.
        """
        chunks = ({"": values[start : start + _CHUNK]} for start in range(0, len(values), _CHUNK))
        return cls.of_batches(chunks)[""]

    @classmethod
    def of_batches(cls, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, "Statistics"]:
        """The same of several modalities that come in batches of dicts. What is NaN does not count."""
        totals: dict[str, np.ndarray] = {}
        shifts: dict[str, np.ndarray] = {}  # means of the first batches, so that no digits are lost to large means
        for batch in batches:
            for name, values in batch.items():
                chunk = np.asarray(values, np.float64)
                there = ~np.isnan(chunk)
                if name not in shifts:
                    shifts[name] = np.where(there, chunk, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
                chunk = np.where(there, chunk - shifts[name], 0.0)
                sums = np.stack([there.sum(axis=0), chunk.sum(axis=0), np.square(chunk).sum(axis=0)])
                totals[name] = totals.get(name, 0) + sums
        found = {}
        for name, (count, *sums) in totals.items():
            shifted, mean_square = (total / np.maximum(count, 1) for total in sums)
            mean, variance = shifts[name] + shifted, mean_square - np.square(shifted)
            # Numbers of 32 bits tell no smaller differences from none.
            stddev = np.sqrt(np.where(variance > np.square(_SMALLEST * mean), variance, 1.0))
            found[name] = cls(mean.astype(np.float32), stddev.astype(np.float32))
        return found
