"""Assignment of rows to the batches of an epoch, and pairing of rows of the same class across modalities."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

# Folded into an epoch's seed, above every batch number: with the number of the round, for the order of repeated rows;
# with the number of the modality, for the pairing of rows.
_REPEATED = 1 << 29
_REDRAWN = 3 << 29


@dataclass(frozen=True)
class Batching:
    """Assignment of `size` rows to batches.

    If complete rows are rare, a model forgets what it learns from one before the next: if most rows lack a label, its
    latents lose the label. So each batch holds a fraction of complete rows, repeated as often as needed in a new order
    each time. An epoch has every incomplete row once.

    Attributes:
      size: N, the number of rows, a positive integer.
      batch_size: B, the number of rows of all batches but the last.
      complete: int64 array of the numbers of the complete rows if they are repeated; None by default.
      incomplete: int64 array of the numbers of the other rows if complete ones are repeated; None by default.
    """

    size: int
    batch_size: int
    complete: np.ndarray | None = None
    incomplete: np.ndarray | None = None
    _per_batch: int = 0  # number of complete rows per batch

    @classmethod
    def of(cls, complete: np.ndarray, batch_size: int, fraction: float) -> "Batching":
        """Makes batches with at least a fraction of complete rows, given by the Boolean mask `complete`, `[N]`."""
        size, number = len(complete), int(complete.sum())
        per_batch = min(math.ceil(fraction * batch_size), batch_size - 1)
        if number in (0, size) or number * batch_size >= per_batch * size:
            return cls(size, batch_size)
        return cls(size, batch_size, np.flatnonzero(complete), np.flatnonzero(~complete), per_batch)

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch."""
        if self.complete is None:
            return -(-self.size // self.batch_size)
        return -(-len(self.incomplete) // (self.batch_size - self._per_batch))

    def num_rows(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the number of rows, int64, of the batch with this index."""
        if self.complete is None:
            return tf.minimum(self.size - index * self.batch_size, self.batch_size)
        fresh = self.batch_size - self._per_batch
        return self._per_batch + tf.minimum(len(self.incomplete) - index * fresh, fresh)

    def rows(self, index: tf.Tensor, epoch_seed: tf.Tensor | None) -> tf.Tensor:
        """Returns the row numbers, int64, of the batch with this index; without a seed in their original order."""
        if self.complete is None:
            start = index * self.batch_size
            rows = tf.range(start, start + self.num_rows(index))
            return rows if epoch_seed is None else _shuffled(rows, epoch_seed, self.size)
        first = index * (self.batch_size - self._per_batch)
        fresh = tf.range(first, first + self.num_rows(index) - self._per_batch)
        place, number = tf.range(index * self._per_batch, (index + 1) * self._per_batch), len(self.complete)
        rounds = tf.cast(place // number, tf.int32)  # a batch may span several rounds

        def shuffled_in(one: tf.Tensor) -> tf.Tensor:
            return _shuffled(place % number, tf.random.fold_in(epoch_seed, _REPEATED + one), number)

        orders = tf.map_fn(shuffled_in, tf.range(rounds[0], rounds[-1] + 1), fn_output_signature=tf.int64)
        repeated = tf.gather_nd(orders, tf.stack([rounds - rounds[0], tf.range(self._per_batch)], axis=1))
        fresh = _shuffled(fresh, epoch_seed, len(self.incomplete))
        return tf.concat([tf.gather(self.complete, repeated), tf.gather(self.incomplete, fresh)], axis=0)


@dataclass(frozen=True)
class Redrawing:
    """Pairing of each row with another row of its class, by a permutation within each class for every epoch.

    Attributes:
      order: int64 array `[N]` of the rows, sorted by class.
      first: int64 array `[N]` of the position in `order` where a row's class begins.
      place: int64 array `[N]` of the row's position within its class.
      size: int64 array `[N]` of the number of rows of the row's class.
    """

    order: np.ndarray
    first: np.ndarray
    place: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, lacking: np.ndarray) -> "Redrawing":
        """Makes the pairing from the class of each row, `[N]`; rows in the mask `lacking`, `[N]`, are not permuted."""
        alone = int(classes.max()) + 1 + np.arange(len(classes))
        _, within, counts = np.unique(np.where(lacking, alone, classes), return_inverse=True, return_counts=True)
        order, first = np.argsort(within, kind="stable"), (np.cumsum(counts) - counts)[within]
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order)) - first[order]
        return cls(order, first, place, counts[within])

    def rows(self, rows: tf.Tensor, epoch_seed: tf.Tensor, number: int) -> tf.Tensor:
        """Returns the rows, int64 `[B]`, from which `rows` take their values of the modality with this number."""
        seed = tf.random.fold_in(tf.random.fold_in(epoch_seed, _REDRAWN), number)
        first, place, size = (tf.gather(values, rows) for values in (self.first, self.place, self.size))
        return tf.gather(self.order, first + _shuffled(place, seed, size))


def _shuffled(places: tf.Tensor, seed: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.index_shuffle(places, seed=seed, max_index=size - 1)
