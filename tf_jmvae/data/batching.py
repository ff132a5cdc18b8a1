"""Which rows each batch of an epoch holds, and which rows of the same class meet in them."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

# Folded into an epoch's seed, beyond every number of a batch: with the number of the round, for the order of rows that
# are repeated; with the number of the modality, for what meets.
_REPEATED = 1 << 29
_REDRAWN = 3 << 29


@dataclass(frozen=True)
class Batching:
    """How `size` rows are dealt to batches.

    Where few rows are complete, what a model learns from one is gone before the next comes: of rows without a label,
    its latents lose the label. So each batch holds a fraction of complete rows, repeated as often as that takes, in a
    new order each time. An epoch has every incomplete row once.

    Attributes:
      size: N, the number of rows.
      batch_size: B, of all batches but the last.
      complete: the numbers of the complete rows, if they are to be repeated.
      incomplete: the numbers of all others, then.
    """

    size: int
    batch_size: int
    complete: np.ndarray | None = None
    incomplete: np.ndarray | None = None
    _per_batch: int = 0  # complete rows

    @classmethod
    def of(cls, complete: np.ndarray, batch_size: int, fraction: float) -> "Batching":
        """Batches of rows of which `complete`, Boolean `[N]`, says which are, with at least that fraction of them."""
        size, number = len(complete), int(complete.sum())
        per_batch = min(math.ceil(fraction * batch_size), batch_size - 1)
        if number in (0, size) or number * batch_size >= per_batch * size:
            return cls(size, batch_size)
        return cls(size, batch_size, np.flatnonzero(complete), np.flatnonzero(~complete), per_batch)

    @property
    def num_batches(self) -> int:
        """Of an epoch."""
        if self.complete is None:
            return -(-self.size // self.batch_size)
        return -(-len(self.incomplete) // (self.batch_size - self._per_batch))

    def num_rows(self, index: tf.Tensor) -> tf.Tensor:
        """How many rows the batch of that number has, int64."""
        if self.complete is None:
            return tf.minimum(self.size - index * self.batch_size, self.batch_size)
        fresh = self.batch_size - self._per_batch
        return self._per_batch + tf.minimum(len(self.incomplete) - index * fresh, fresh)

    def rows(self, index: tf.Tensor, epoch_seed: tf.Tensor | None) -> tf.Tensor:
        """The rows of the batch of that number, int64; in their own order without a seed."""
        if self.complete is None:
            start = index * self.batch_size
            rows = tf.range(start, start + self.num_rows(index))
            return rows if epoch_seed is None else _shuffled(rows, epoch_seed, self.size)
        first = index * (self.batch_size - self._per_batch)
        fresh = tf.range(first, first + self.num_rows(index) - self._per_batch)
        place, number = tf.range(index * self._per_batch, (index + 1) * self._per_batch), len(self.complete)
        rounds = tf.cast(place // number, tf.int32)  # a batch may begin one and end in the next, or in a later one

        def shuffled_in(one: tf.Tensor) -> tf.Tensor:
            return _shuffled(place % number, tf.random.fold_in(epoch_seed, _REPEATED + one), number)

        orders = tf.map_fn(shuffled_in, tf.range(rounds[0], rounds[-1] + 1), fn_output_signature=tf.int64)
        repeated = tf.gather_nd(orders, tf.stack([rounds - rounds[0], tf.range(self._per_batch)], axis=1))
        fresh = _shuffled(fresh, epoch_seed, len(self.incomplete))
        return tf.concat([tf.gather(self.complete, repeated), tf.gather(self.incomplete, fresh)], axis=0)


@dataclass(frozen=True)
class Redrawing:
    """Of each row another one of its class, anew in every epoch: a permutation of the rows of each class.

    Attributes:
      order: `[N]`, int64, the rows, class by class.
      first: `[N]`, int64, where a row's class begins in `order`.
      place: `[N]`, int64, the row's own place in its class.
      size: `[N]`, int64, how many rows its class has.
    """

    order: np.ndarray
    first: np.ndarray
    place: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, lacking: np.ndarray) -> "Redrawing":
        """By the class of each row, `[N]`; a row of `lacking`, Boolean `[N]`, is on its own, and stays what it is."""
        alone = int(classes.max()) + 1 + np.arange(len(classes))
        _, within, counts = np.unique(np.where(lacking, alone, classes), return_inverse=True, return_counts=True)
        order, first = np.argsort(within, kind="stable"), (np.cumsum(counts) - counts)[within]
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order)) - first[order]
        return cls(order, first, place, counts[within])

    def rows(self, rows: tf.Tensor, epoch_seed: tf.Tensor, number: int) -> tf.Tensor:
        """Whose values of the modality of that number the rows get, int64 `[B]`."""
        seed = tf.random.fold_in(tf.random.fold_in(epoch_seed, _REDRAWN), number)
        first, place, size = (tf.gather(values, rows) for values in (self.first, self.place, self.size))
        return tf.gather(self.order, first + _shuffled(place, seed, size))


def _shuffled(places: tf.Tensor, seed: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.index_shuffle(places, seed=seed, max_index=size - 1)
