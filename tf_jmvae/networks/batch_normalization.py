"""Batch normalisation by one fused kernel."""

import keras
import tensorflow as tf

__all__ = ["BatchNormalization"]


@keras.saving.register_keras_serializable("tf_jmvae")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, with TensorFlow's fused kernel for batches of images in training.

    Keras writes the mean, the variance and the normalisation as operations of their own, in float32; each reads the
    images anew. Arguments, state and results are Keras's.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Normalises a batch.

        Args:
          inputs: float tensor `[B, ...]`.
          training: whether to normalise by the batch's statistics and to update the moving ones; None, the default, as
            Keras decides.
          mask: Boolean tensor of the entries to count, for sequences; none by default.

        Returns:
          The normalised inputs, a tensor of the same shape.
        """
        if not (training and self.trainable and self._has_kernel(inputs, mask)):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        size = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
        # The kernel's variance is that of a sample, Keras's that of the batch.
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance * (size - 1) / size)):
            moving.assign(moving * self.momentum + found * (1 - self.momentum))
        return outputs

    def _has_kernel(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> bool:
        images = inputs.shape.rank == 4 and self.axis in (-1, 3) and inputs.dtype != tf.float64
        of_this_batch = not (self.synchronized or self.renorm)  # and of no other replica's, nor of batches before
        return images and of_this_batch and self.scale and self.center and mask is None
