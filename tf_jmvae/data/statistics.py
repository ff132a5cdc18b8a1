"""Mean and deviation of every entry over a training split, for standardisation."""

from typing import NamedTuple

import numpy as np

__all__ = ["Statistics"]

_CHUNK = 4096


class Statistics(NamedTuple):
    """What standardises a modality: `(value - mean) / deviation`, entry by entry (section 4.1 of the paper).

    Attributes:
      mean: `[*event_shape]`, float32.
      deviation: `[*event_shape]`, float32, positive.
    """

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Statistics":
        """Statistics of `[N, *event_shape]`, in chunks, so that whole numbers need not fit in memory as floats.

        An entry that never varies has deviation 1.
        """
        total = np.zeros(values.shape[1:])
        squares = np.zeros(values.shape[1:])
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK].astype(np.float64)
            total += chunk.sum(axis=0)
            squares += np.square(chunk).sum(axis=0)
        mean = total / len(values)
        variance = np.maximum(squares / len(values) - np.square(mean), 0.0)
        deviation = np.sqrt(np.where(variance > 1e-9 * (1.0 + np.square(mean)), variance, 1.0))
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    def standardize(self, values: np.ndarray) -> np.ndarray:
        """Raw values `[N, *event_shape]` as float32 of mean 0 and deviation 1."""
        standardized = values.astype(np.float32)
        standardized -= self.mean
        standardized /= self.deviation
        return standardized
