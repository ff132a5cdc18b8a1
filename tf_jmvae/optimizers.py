"""`FusedAdam`: Keras's Adam with one fused kernel per variable."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

__all__ = ["FusedAdam"]


@keras.saving.register_keras_serializable("tf_jmvae")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` whose update is one fused kernel for each variable and its two moments.

    Keras computes the update by a dozen elementwise operations, each of which reads and writes memory; TensorFlow has
    one kernel for all of them. Arguments, state and results are those of Keras for dense gradients. Sparse gradients,
    as of an embedding, are made dense before they are clipped and squared, so that parts of a row that occurs several
    times are summed; Keras squares the parts.

    Raises:
      ValueError: if `amsgrad` is set, for which there is no fused kernel.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.amsgrad:
            raise ValueError("FusedAdam has no amsgrad; use keras.optimizers.Adam(amsgrad=True).")

    def apply(self, grads: Sequence[tf.Tensor | None], trainable_variables: Any = None) -> None:
        dense = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in grads]
        super().apply(dense, trainable_variables)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, dtype)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, dtype),
            grad=gradient,
        )
