"""The paper's network blocks as Keras models: tensor in, tensor out."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from tf_jmvae.networks.batch_normalization import BatchNormalization

__all__ = ["conv_decoder", "conv_encoder", "mlp", "upsampling"]

_CONVOLUTION = {"kernel_size": 4, "strides": 2, "padding": "same"}  # section 4.2.2


def mlp(
    units: Sequence[int] = (512, 512),
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    name: str | None = None,
) -> keras.Sequential:
    """`DkR` layers in a row, e.g. D512R-D512R for `[512, 512]` (section 4.2.1).

    Args:
      units: width of each dense layer; an empty sequence only flattens.
      activation: any Keras activation by name.
      batch_norm: normalise batches in every layer but the first: D512R-D512BR (section 4.2.2).
      dropout: fraction of each layer's outputs that is dropped in training.
      name: name of the Keras model.

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
    """C64R-C128BR-C256BR-C256BR-F, then `DkR` layers (section 4.2.2): 4x4 convolutions of stride 2.

    Args:
      filters: channels of each convolution; each halves height and width.
      units: widths of dense layers after it; none by default.
      activation: any Keras activation by name.
      batch_norm: normalise batches after every convolution but the first.
      name: name of the Keras model.

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
    """D4096R-DC256BR-DC128BR-DC64BR (section 4.2.2): 4x4 transposed convolutions of stride 2.

    The head's `projection` is to be the last of them: `upsampling(3)`, the paper's DC3.

    Args:
      filters: channels of each transposed convolution; each doubles height and width.
      start: height and width before the first one, which the dense layer makes, with `filters[0]` channels. With the
        head's projection an image has `2^(len(filters) + 1)` times this size.
      activation: any Keras activation by name.
      batch_norm: normalise batches after every transposed convolution.
      name: name of the Keras model.

    Returns:
      An unbuilt `keras.Sequential`: `[B, D]` to `[B, H / 2, W / 2, filters[-1]]`.
    """
    layers = _block(keras.layers.Dense, math.prod(start) * filters[0], activation)
    layers.append(keras.layers.Reshape((*start, filters[0])))
    for channels in filters:
        layers += _block(keras.layers.Conv2DTranspose, channels, activation, batch_norm, **_CONVOLUTION)
    return keras.Sequential(layers, name=name)


def upsampling(channels: int) -> keras.layers.Layer:
    """DCk: a 4x4 transposed convolution of stride 2 and nothing else.

    Args:
      channels: k.

    Returns:
      A Keras layer: `[B, H, W, F]` to `[B, 2 H, 2 W, k]`.
    """
    return keras.layers.Conv2DTranspose(channels, **_CONVOLUTION)


def _block(
    layer: type[keras.layers.Layer], size: int, activation: str, batch_norm: bool = False, **options: Any
) -> list[keras.layers.Layer]:
    """A layer and its activation, with batch normalisation between the two where it is wanted."""
    if not batch_norm:
        return [layer(size, activation=activation, **options)]
    # Normalisation takes away any bias before it, and has one of its own.
    return [layer(size, use_bias=False, **options), BatchNormalization(), keras.layers.Activation(activation)]
