"""Network blocks of the paper as Keras models, and batch normalisation by a fused kernel."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_jmvae._utils import checks


@keras.saving.register_keras_serializable("tf_jmvae")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's `BatchNormalization` with TensorFlow's fused kernel for batches of images in training.

    Keras computes the mean, the variance and the normalisation by separate float32 operations, each of which reads the
    images again. Arguments, state and results are those of Keras's layer.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Normalises a batch of inputs.

        Args:
          inputs: float tensor `[B, ...]`.
          training: whether to normalise by the batch's statistics and update the moving averages; None, the default,
            leaves the choice to Keras.
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
        # The kernel returns the unbiased variance; Keras uses the biased one.
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance * (size - 1) / size)):
            moving.assign(moving * self.momentum + found * (1 - self.momentum))
        return outputs

    def _has_kernel(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> bool:
        images = inputs.shape.rank == 4 and self.axis in (-1, 3) and inputs.dtype != tf.float64
        of_this_batch = not (self.synchronized or self.renorm)  # statistics of this replica's batch only
        return images and of_this_batch and self.scale and self.center and mask is None


_CONVOLUTION = {"kernel_size": 4, "strides": 2, "padding": "same"}  # section 4.2.2


def mlp(
    units: Sequence[int] = (512, 512),
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    name: str | None = None,
) -> keras.Sequential:
    """Makes a multilayer perceptron: `DkR` layers, e.g. D512R-D512R for `[512, 512]` (section 4.2.1).

    Args:
      units: width of each dense layer, positive integers, `(512, 512)` by default; if empty, inputs are only flattened.
      activation: name of a Keras activation; `"relu"` by default.
      batch_norm: whether every layer but the first has batch normalisation, D512R-D512BR (section 4.2.2); False by
        default.
      dropout: fraction of each layer's outputs that is dropped in training, in [0, 1); 0 by default.
      name: name of the Keras model; made by Keras by default.

    Returns:
      An unbuilt `keras.Sequential`: `[B, ...]` to `[B, units[-1]]`.
    """
    layers: list[keras.layers.Layer] = [keras.layers.Flatten()]
    for index, width in enumerate(units):
        layers += _block(keras.layers.Dense, width, activation, batch_norm and index > 0)
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential(layers, name=name)


def conv_encoder(
    filters: Sequence[int] = (64, 128, 256, 256),
    units: Sequence[int] = (),
    *,
    activation: str = "relu",
    batch_norm: bool = True,
    name: str | None = None,
) -> keras.Sequential:
    """Makes a convolutional encoder, C64R-C128BR-C256BR-C256BR-F, then `DkR` layers (section 4.2.2).

    Args:
      filters: number of channels of each 4x4 convolution of stride 2, which halves height and width;
        `(64, 128, 256, 256)` by default.
      units: width of each dense layer after the convolutions; `()` by default.
      activation: name of a Keras activation; `"relu"` by default.
      batch_norm: whether every convolution but the first has batch normalisation; True by default.
      name: name of the Keras model; made by Keras by default.

    Returns:
      An unbuilt `keras.Sequential`: `[B, H, W, C]` to `[B, F]`.
    """
    layers: list[keras.layers.Layer] = []
    for index, channels in enumerate(filters):
        layers += _block(keras.layers.Conv2D, channels, activation, batch_norm and index > 0, **_CONVOLUTION)
    layers.append(keras.layers.Flatten())
    for width in units:
        layers += _block(keras.layers.Dense, width, activation)
    return keras.Sequential(layers, name=name)


def conv_decoder(
    filters: Sequence[int] = (256, 128, 64),
    *,
    start: Sequence[int] = (4, 4),
    activation: str = "relu",
    batch_norm: bool = True,
    name: str | None = None,
) -> keras.Sequential:
    """Makes a convolutional decoder, D4096R-DC256BR-DC128BR-DC64BR (section 4.2.2).

    The head's `projection` adds the last transposed convolution: `upsampling(3)`, the paper's DC3.

    Args:
      filters: number of channels of each 4x4 transposed convolution of stride 2, which doubles height and width;
        `(256, 128, 64)` by default.
      start: height and width of the dense layer's output, which has `filters[0]` channels; `(4, 4)` by default. With
        the head's projection an image has `2^(len(filters) + 1)` times this size.
      activation: name of a Keras activation; `"relu"` by default.
      batch_norm: whether every transposed convolution has batch normalisation; True by default.
      name: name of the Keras model; made by Keras by default.

    Returns:
      An unbuilt `keras.Sequential`: `[B, D]` to `[B, H / 2, W / 2, filters[-1]]`.
    """
    shape = [checks.positive_integer("start and filters", size) for size in (*start, filters[0])]
    layers = _block(keras.layers.Dense, math.prod(shape), activation)
    layers.append(keras.layers.Reshape(shape))
    for channels in filters:
        layers += _block(keras.layers.Conv2DTranspose, channels, activation, batch_norm, **_CONVOLUTION)
    return keras.Sequential(layers, name=name)


def upsampling(channels: int) -> keras.layers.Layer:
    """Makes DCk, a 4x4 transposed convolution of stride 2, for the `projection` of a head.

    Args:
      channels: k, the number of channels of the image, a positive integer.

    Returns:
      An unbuilt Keras layer: `[B, H, W, F]` to `[B, 2 H, 2 W, k]`.
    """
    return keras.layers.Conv2DTranspose(checks.positive_integer("channels", channels), **_CONVOLUTION)


def _block(
    layer: type[keras.layers.Layer], size: int, activation: str, batch_norm: bool = False, **options: Any
) -> list[keras.layers.Layer]:
    """Returns a layer and its activation, with batch normalisation between them if `batch_norm`."""
    size = checks.positive_integer("units" if layer is keras.layers.Dense else "filters", size)
    if not batch_norm:
        return [layer(size, activation=activation, **options)]
    # Batch normalisation cancels any bias before it, and adds its own.
    return [layer(size, use_bias=False, **options), BatchNormalization(), keras.layers.Activation(activation)]
