"""Stateless seeds: the same seed gives the same samples, in a graph, under XLA and after reloading."""

import secrets
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae.random import row_noise

__all__ = ["are_by_row", "fold_in", "split", "to_tensor"]


def to_tensor(seed: Any) -> tf.Tensor:
    """Makes a seed for stateless sampling, int32 `[2]`, or one for each row of a batch, `[B, 2]`.

    From an integer from 0 to 2^62 - 1; a tensor, array or list `[2]` or `[B, 2]`; or None for one that differs every
    time.

    Raises:
      ValueError: if an integer is out of range, or None comes while TensorFlow traces a function.
      TypeError: if it is anything else, or of another shape.
    """
    if seed is None:
        if not tf.executing_eagerly():
            raise ValueError(
                "Inside a tf.function every call would draw the same numbers: "
                "pass a seed, as an int32 tensor of shape [2]."
            )
        seed = secrets.randbits(62)
    if isinstance(seed, list | tuple | np.ndarray):
        seed = np.asarray(seed)
        if seed.dtype.kind not in "iu" or seed.ndim not in (1, 2) or seed.shape[-1] != 2:
            raise TypeError(
                f"seed must be whole numbers of shape [2] or [batch, 2]; got {seed.dtype}{list(seed.shape)}."
            )
        seed = tf.convert_to_tensor(seed)
    if tf.is_tensor(seed):
        return tf.cast(tf.ensure_shape(seed, [2] if seed.shape.rank == 1 else [None, 2]), tf.int32)
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed must be an integer, a tensor of shape [2] or [batch, 2], or None; got {seed!r}.")
    seed = seed.__index__()
    if not 0 <= seed < 2**62:
        raise ValueError(f"seed must lie between 0 and 2**62 - 1; got {seed}.")
    return tf.constant([seed % 2**31, seed // 2**31], tf.int32)


def are_by_row(seed: tf.Tensor) -> bool:
    """Whether there is a seed for each row, `[B, 2]`: a row's numbers then depend on its own seed alone."""
    return len(seed.shape) == 2


def split(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Splits a seed into `count` new ones, each of the same shape."""
    if not are_by_row(seed):
        return tf.unstack(tf.random.split(seed, count))
    words = tf.bitcast(row_noise.bits(seed, 2 * count), tf.int32)
    return tf.unstack(tf.reshape(words, (-1, count, 2)), axis=1)


def fold_in(seed: tf.Tensor, data: int | tf.Tensor) -> tf.Tensor:
    """Makes a new seed of the same shape that depends on `data`, an int32 scalar, too."""
    if not are_by_row(seed):
        return tf.random.fold_in(seed, data)
    first = tf.bitcast(row_noise.bits(seed, 1)[:, 0], tf.int32)
    return tf.stack([first, tf.broadcast_to(data, tf.shape(first))], axis=-1)
