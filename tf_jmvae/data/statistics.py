"""Mean and stddev of every entry over a training split, for standardisation."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

_SMALLEST = float(np.finfo(np.float32).eps)  # smallest stddev relative to the mean


class Statistics(NamedTuple):
    """Statistics for the standardisation `(value - mean) / stddev`, elementwise (section 4.1 of the paper).

    Attributes:
      mean: float32 array `[*event_shape]`.
      stddev: float32 array `[*event_shape]`, positive.
    """

    mean: np.ndarray
    stddev: np.ndarray

    @classmethod
    def of_batches(cls, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, "Statistics"]:
        """Computes the statistics of several modalities from batches of dicts, ignoring NaN.

        Entries that never vary have stddev 1.
        """
        totals: dict[str, np.ndarray] = {}
        shifts: dict[str, np.ndarray] = {}  # means of the first batch, against loss of precision for large means
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
            # float32 cannot distinguish smaller differences.
            stddev = np.sqrt(np.where(variance > np.square(_SMALLEST * mean), variance, 1.0))
            found[name] = cls(mean.astype(np.float32), stddev.astype(np.float32))
        return found
