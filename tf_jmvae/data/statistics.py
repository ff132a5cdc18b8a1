"""Mean and stddev of every entry over a training split, for standardisation."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

_CHUNK = 4096


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

        An entry that never varies has stddev 1.
        """
        chunks = ({"": values[start : start + _CHUNK]} for start in range(0, len(values), _CHUNK))
        return cls.of_batches(chunks)[""]

    @classmethod
    def of_batches(cls, batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, "Statistics"]:
        """The same of several modalities that come in batches of dicts. What is NaN does not count."""
        totals: dict[str, np.ndarray] = {}
        for batch in batches:
            for name, values in batch.items():
                chunk = np.asarray(values, np.float64)
                there = ~np.isnan(chunk)
                chunk = np.where(there, chunk, 0.0)
                sums = np.stack([there.sum(axis=0), chunk.sum(axis=0), np.square(chunk).sum(axis=0)])
                totals[name] = totals.get(name, 0) + sums
        found = {}
        for name, (count, *sums) in totals.items():
            mean, mean_square = (total / np.maximum(count, 1) for total in sums)
            variance = np.maximum(mean_square - np.square(mean), 0.0)
            stddev = np.sqrt(np.where(variance > 1e-9 * (1.0 + np.square(mean)), variance, 1.0))
            found[name] = cls(mean.astype(np.float32), stddev.astype(np.float32))
        return found
