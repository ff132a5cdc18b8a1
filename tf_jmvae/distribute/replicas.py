"""Training on several replicas of `tf.distribute` with the results of one device: batches, steps and loops.

R replicas hold B_1, .., B_R of the B rows of a global batch, in order. A quantity of one device is then a sum over
replicas: the mean over the global batch is sum_r (1 / B) sum_{rows of r}, and so is its gradient. A replica samples the
noise of the global batch and takes its own shard of it. So the results are those of one device for any R and any
sizes of shards, which may be empty. On one device this module costs nothing.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_jmvae._utils.keras_api import alone, sum_before_clipping

_active = threading.local()  # a mirrored strategy traces each replica in its own thread


@dataclass(frozen=True)
class Shards:
    """Selection of shards to make of every batch, which is cut into `total` shards whose sizes differ by at most one.

    Each shard in `which` is a separate element of the dataset, `[B / total, ...]`, possibly empty.
    """

    which: range = range(1)
    total: int = 1

    def __post_init__(self):
        if not self.which or min(self.which) < 0 or max(self.which) >= self.total:
            raise ValueError(f"Shards must be numbers from 0 to {self.total - 1}, at least one; got {self.which}.")

    def __len__(self) -> int:
        return len(self.which)

    def rows(self, size: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the start and end of the `number`-th of these shards in a batch of `size` rows."""
        shard = self.which.start + number * self.which.step
        return shard * size // self.total, (shard + 1) * size // self.total


class Shard(NamedTuple):
    """Shard of a global batch: rows `start` to `start + size` of `total` rows, int32 scalars."""

    start: tf.Tensor
    size: tf.Tensor
    total: tf.Tensor

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """Returns this replica's rows of values of the global batch."""
        return tf.gather(values, self.start + tf.range(self.size))


def count() -> int:
    """Returns the number of replicas of a step; 1 outside `strategy.run`."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def current_shard() -> Shard | None:
    """Returns this replica's shard of the global batch; None on one device."""
    return getattr(_active, "shard", None)


def on_shard(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Decorates a `train_step` or `test_step` so that the functions of this module know its shard."""

    @functools.wraps(step)
    def wrapped(model: Any, data: Any) -> Any:
        if count() == 1 or current_shard() is not None:
            # When data run out, a step must not begin, because it would advance seeds and optimizers.
            with tf.control_dependencies([value for value in tf.nest.flatten(data) if value is not None]):
                return step(model, data)
        _active.shard = _shard(tf.shape(tf.nest.flatten(data)[0])[0])
        try:
            return step(model, data)
        finally:
            _active.shard = None

    return wrapped


def mean(values: tf.Tensor) -> tf.Tensor:
    """Computes the mean over the batch; on several replicas, this one's term of the mean over the global batch."""
    shard = current_shard()
    if shard is None:
        return tf.reduce_mean(values)
    return tf.reduce_sum(values) / tf.cast(shard.total, values.dtype)


def fraction(value: tf.Tensor) -> tf.Tensor:
    """Returns this replica's fraction of a value that is equal on all replicas, such as a regulariser."""
    return value if current_shard() is None else value / count()


def total(value: tf.Tensor) -> tf.Tensor:
    """Sums over replicas."""
    if current_shard() is None:
        return value
    # The copy is placed on this replica's device, as the sum requires.
    return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(value))


def track_mean(tracker: keras.metrics.Mean, value: tf.Tensor, batch_size: tf.Tensor) -> None:
    """Updates a mean over examples with a mean over the batch, or with this replica's term of it."""
    shard = current_shard()
    if shard is None:
        tracker.update_state(value, sample_weight=batch_size)
    else:
        tracker.total.assign_add(value * tf.cast(shard.total, value.dtype))
        tracker.count.assign_add(tf.cast(batch_size, tracker.count.dtype))


def apply_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence[tf.Tensor | None], variables: Sequence[keras.Variable]
) -> None:
    """Applies gradients after summing them over replicas, before checks for infinities and clipping.

    Keras sums them last. With loss scaling they are summed twice: scaled, so that the wrapper detects any replica's
    infinity, and unscaled by the inner optimizer, which gets the sum divided by R.
    """
    wrapped = getattr(optimizer, "inner_optimizer", None)  # set for a LossScaleOptimizer
    if current_shard() is not None:
        sum_before_clipping(wrapped or optimizer, _added)
        if wrapped is not None:
            gradients = [None if g is None else total(tf.convert_to_tensor(g)) / count() for g in gradients]
    with contextlib.nullcontext() if count() > 1 else alone(wrapped or optimizer):
        optimizer.apply(gradients, variables)


def _added(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    return tf.distribute.get_replica_context().all_reduce("SUM", gradients) if count() > 1 else gradients


def _shard(size: tf.Tensor) -> Shard:
    context = tf.distribute.get_replica_context()
    replica = context.replica_id_in_sync_group
    replica = tf.cast(0 if replica is None else replica, tf.int32)
    sizes = context.all_reduce("SUM", tf.one_hot(replica, count(), dtype=tf.int32) * size)
    return Shard(tf.reduce_sum(sizes * tf.cast(tf.range(count()) < replica, tf.int32)), size, tf.reduce_sum(sizes))


class DistributedFit:
    """Mixin that corrects Keras's loops under `tf.distribute`, and before the first step on any device."""

    def make_train_function(self, force: bool = False) -> None:
        """Builds the optimizer before Keras makes the function, to avoid a second trace of the step."""
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing, because models make their weights in the constructor; Keras would trace a first batch."""

    def _make_function(self, step_function: Callable[[Any], dict[str, tf.Tensor]]) -> Callable[[Any], Any]:
        """Makes Keras's function, with logs that are correct for shards of unequal size.

        Keras averages the logs of replicas one by one, and cannot average scalars between workers. So a replica returns
        totals and counts, all in one tensor `[1, 2, K]`, from whose sums the means are computed.
        """
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super()._make_function(step_function)
        names: list[str] = []

        def step(data: Any) -> tf.Tensor:
            logs = step_function(data)
            names[:] = logs
            means = {metric.name: metric for metric in self.metrics if isinstance(metric, keras.metrics.Mean)}
            fractions = [(means[n].total, means[n].count) if n in means else (logs[n], 1.0) for n in names]
            totals, counts = ([tf.cast(part, tf.float32) for part in parts] for parts in zip(*fractions, strict=True))
            return tf.stack([totals, counts])[None]

        function = super()._make_function(step)

        def with_names(iterator: Any) -> dict[str, tf.Tensor]:
            totals, counts = tf.unstack(tf.reshape(function(iterator), (2, -1)))
            return dict(zip(names, tf.unstack(tf.math.divide_no_nan(totals, counts)), strict=True))

        return with_names
