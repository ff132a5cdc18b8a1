"""Keras's loops on several replicas: logs that are means over the global batch, and no pass before training."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

__all__ = ["DistributedFit"]


class DistributedFit:
    """Mends what Keras does under a strategy of `tf.distribute`, and before the first step on any device."""

    def make_train_function(self, force: bool = False) -> None:
        """As Keras's, after making the optimizer's state.

        State that is made while the step is traced costs a condition for each variable and a second trace: more than
        half of the time before the first step.
        """
        optimizer = getattr(self, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: a model has all its weights from its constructor.

        Keras would trace a pass over the mean of the replicas' first batches, which several workers cannot take.
        """

    def _make_function(self, step_function: Callable[[Any], dict[str, tf.Tensor]]) -> Callable[[Any], Any]:
        """As Keras's, with logs that are right for replicas of unequal size.

        Keras averages each replica's logs, one by one, and between workers it cannot average scalars. So a replica
        gives totals and counts, all in one tensor `[1, 2, K]`, and the means are taken when they are added up.
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
