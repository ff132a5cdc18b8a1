"""Which parts of every batch a worker makes."""

from dataclasses import dataclass

import tensorflow as tf

__all__ = ["Shards"]


@dataclass(frozen=True)
class Shards:
    """Which shards of every batch to make, where each is cut into `total` runs of rows that differ by one at most.

    Each of those in `which` is an element of the dataset of its own, `[B / total, ...]`, or empty.

    Raises:
      ValueError: shards that there are not.
    """

    which: range = range(1)
    total: int = 1

    def __post_init__(self):
        if not self.which or min(self.which) < 0 or max(self.which) >= self.total:
            raise ValueError(f"Shards must be numbers from 0 to {self.total - 1}, at least one; got {self.which}.")

    def __len__(self) -> int:
        return len(self.which)

    def rows(self, size: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where the `number`-th of these shards begins and ends in a batch of `size` rows."""
        shard = self.which.start + number * self.which.step
        return shard * size // self.total, (shard + 1) * size // self.total
