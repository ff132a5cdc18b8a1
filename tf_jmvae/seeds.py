"""Stateless seeds: the same seed gives the same samples, in a graph, under XLA and after reloading."""

import secrets

import tensorflow as tf

__all__ = ["to_tensor"]


def to_tensor(seed: int | tf.Tensor | None) -> tf.Tensor:
    """A seed for stateless sampling, int32 `[2]`.

    Args:
      seed: an integer from 0 to 2^62 - 1, a tensor `[2]`, or None for a seed that differs every time.

    Raises:
      ValueError: if an integer is out of range, or None comes while TensorFlow traces a function.
      TypeError: if it is neither an integer nor a tensor.
    """
    if seed is None:
        if not tf.executing_eagerly():
            raise ValueError(
                "Inside a tf.function every call would draw the same numbers: "
                "pass a seed, as an int32 tensor of shape [2]."
            )
        seed = secrets.randbits(62)
    if tf.is_tensor(seed):
        return tf.cast(tf.ensure_shape(seed, [2]), tf.int32)
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed must be an integer, a tensor of shape [2] or None; got {seed!r}.")
    seed = seed.__index__()
    if not 0 <= seed < 2**62:
        raise ValueError(f"seed must lie between 0 and 2**62 - 1; got {seed}.")
    return tf.constant([seed % 2**31, seed // 2**31], tf.int32)
