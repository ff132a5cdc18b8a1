"""Stateless seeds, one for a batch or one for each row, and random numbers with a seed for each row.

Equal seeds give equal samples, in a graph, under XLA and after reloading. TensorFlow's stateless operations take one
seed for a whole tensor. `uniform`, `normal` and `bits` take a seed for each row, whose numbers do not depend on the
other rows and equal those of `tf.random.stateless_uniform` and `tf.random.stateless_normal` for that seed on a CPU.
Their operations process all rows at once and have GPU kernels: Philox-4x32-10 [1] on 32-bit words, and the Box-Muller
transform.

References:
  [1] Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011.
"""

import itertools
import math
import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUND_KEYS = [[number * step % 2**32 for step in _WEYL] for number in range(_ROUNDS)]
# Key by which TensorFlow scrambles seeds, so that the entropy of a seed may be in any of its bits.
_SCRAMBLING_KEY = (0x3EC8F720, 0x02461E29)


def to_tensor(seed: Any) -> tf.Tensor:
    """Converts a seed to one for stateless sampling, int32 `[2]`, or one for each row, `[B, 2]`.

    Takes an integer from 0 to 2^62 - 1; a tensor, array or list `[2]` or `[B, 2]`; or None, which draws a new seed and
    raises `ValueError` while TensorFlow traces a function. Raises `TypeError` for anything else.
    """
    if seed is None:
        if not tf.executing_eagerly():
            raise ValueError(
                "Inside a tf.function every call would draw the same numbers: "
                "pass a seed, as an int32 tensor of shape [2]."
            )
        seed = secrets.randbits(62)
    if isinstance(seed, list | tuple | np.ndarray):
        try:
            seed = np.asarray(seed)
        except ValueError:  # rows of different lengths
            seed = np.asarray(seed, object)
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


def of_rows(seed: Any, size: int | tf.Tensor | None) -> tf.Tensor:
    """Converts a seed as `to_tensor`; raises `ValueError` for a number of row seeds that is known not to be `size`."""
    seed = to_tensor(seed)
    known = seed.shape[0] if are_by_row(seed) else None
    if known is not None and isinstance(size, int) and size != known:
        raise ValueError(f"There must be a seed for each of the {size} rows, or one for all; got {known} seeds.")
    return seed


def are_by_row(seed: tf.Tensor) -> bool:
    """Returns whether there is a seed for each row, `[B, 2]`."""
    return len(seed.shape) == 2


def for_rows(seed: Any) -> Callable[[int], tf.Tensor]:
    """Returns a function of a number of rows that returns the seeds of the next rows, int32 `[rows, 2]`.

    The seed of row i does not depend on the batches. `seed` is as for `to_tensor`; seeds `[N, 2]` are those of N rows.
    """
    seed = to_tensor(seed).numpy()
    if are_by_row(seed):
        left = iter(range(len(seed)))

        def given(rows: int) -> tf.Tensor:
            own = list(itertools.islice(left, rows))
            if len(own) < rows:
                raise ValueError(f"seed has {len(seed)} rows, of shape [batch, 2], but there are more rows of data.")
            return tf.constant(seed[own])

        return given
    low, high = (int(word) % 2**32 for word in seed)
    generator = np.random.default_rng(low + 2**31 * high)  # for an integer seed, that integer
    return lambda rows: tf.constant(drawn(generator, rows))


def drawn(generator: np.random.Generator, rows: int) -> np.ndarray:
    """Draws the seeds of the next rows, int32 `[rows, 2]`."""
    return generator.integers(0, 2**31, size=(rows, 2), dtype=np.int32)


def split(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Splits a seed into `count` new ones, each of the same shape."""
    if not are_by_row(seed):
        return tf.unstack(tf.random.split(seed, count))
    words = tf.bitcast(bits(seed, 2 * count), tf.int32)
    return tf.unstack(tf.reshape(words, (-1, count, 2)), axis=1)


def fold_in(seed: tf.Tensor, data: int | tf.Tensor) -> tf.Tensor:
    """Derives a new seed of the same shape from a seed and `data`, an int32 scalar."""
    if not are_by_row(seed):
        return tf.random.fold_in(seed, data)
    first = tf.bitcast(bits(seed, 1)[:, 0], tf.int32)
    return tf.stack([first, tf.broadcast_to(data, tf.shape(first))], axis=-1)


def uniform(seeds: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Samples uniform numbers in [0, 1), float32 `[B, count]`, from seeds, int32 `[B, 2]`."""
    return _to_unit_interval(bits(seeds, count))


def normal(seeds: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Samples standard normal numbers, float32 `[B, count]`, from seeds, int32 `[B, 2]`."""
    pairs = (count + 1) // 2
    unit = tf.reshape(_to_unit_interval(bits(seeds, 2 * pairs)), (-1, pairs, 2))
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(unit[..., 0], 1e-7)))
    angle = 2.0 * math.pi * unit[..., 1]
    noise = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=-1)
    return tf.reshape(noise, (-1, 2 * pairs))[:, :count]


def bits(seeds: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
    """Samples random bits, uint32 `[B, count]`, from seeds, int32 `[B, 2]`."""
    rows, number = seeds.shape[0], tf.cast(count, tf.int32)
    if rows is None:
        words = tf.cond(tf.shape(seeds)[0] == 1, lambda: _of_one(seeds, number), lambda: _bits(seeds, number))
    else:
        words = (_of_one if rows == 1 else _bits)(seeds, number)
    return tf.ensure_shape(words, (rows, count if isinstance(count, int) else None))


def _of_one(seeds: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Samples the bits of a single row by TensorFlow's own operation, which replaces a hundred."""
    unbounded = {"minval": None, "maxval": None, "dtype": tf.uint32}
    return tf.random.stateless_uniform([1, count], seeds[0], **unbounded, alg="philox")


@tf.function(
    input_signature=[tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([], tf.int32)],
    autograph=False,
    # Calls are not inlined, so that graphs with many of them stay small and start quickly.
    experimental_attributes={"_noinline": True},
)
def _bits(seeds, count):
    words = tf.cast(tf.cast(seeds, tf.int64), tf.uint64)  # sign extension of negative seeds fills both words
    high = tf.bitwise.right_shift(words, tf.constant(32, tf.uint64))
    counter = tf.cast(tf.stack([words, high], axis=-1), tf.uint32)  # [B, 2, 2]
    key = tf.constant(_SCRAMBLING_KEY, tf.uint32)
    scrambled = _philox(tf.transpose(counter, (1, 2, 0)), key[:, None])  # [2, 2, B]
    key, upper = scrambled[0][..., None], scrambled[1][..., None]

    groups = (count + 3) // 4
    number = tf.cast(tf.range(groups), tf.uint32) + tf.zeros_like(key[:1])  # [1, B, groups]
    lower = tf.concat([number, tf.zeros_like(number)], axis=0)
    numbers = _philox(tf.stack([lower, upper + tf.zeros_like(lower)]), key)  # [2, 2, B, groups]
    return tf.reshape(tf.transpose(numbers, (2, 3, 0, 1)), (-1, 4 * groups))[:, :count]


def _philox(counter: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Computes four Philox words `[2, 2, ...]` from four counter words `[2, 2, ...]` and two key words `[2, ...]`."""
    ones = [1] * (counter.shape.rank - 2)
    multipliers = tf.constant(_MULTIPLIERS, tf.uint64, (2, *ones))
    round_keys = tf.constant(_ROUND_KEYS, tf.uint32, (_ROUNDS, 2, *ones)) + key
    one, axis, half = tf.constant(1), tf.constant(0), tf.constant(32, tf.uint64)
    first, second = counter[:, 0], counter[:, 1]  # words 0 and 2, words 1 and 3
    for number in range(_ROUNDS):
        product = tf.cast(first, tf.uint64) * multipliers
        high = tf.roll(tf.cast(tf.bitwise.right_shift(product, half), tf.uint32), one, axis)  # swaps the two words
        first = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(high, second), round_keys[number])
        second = tf.roll(tf.cast(product, tf.uint32), one, axis)  # the lower 32 bits
    return tf.stack([first, second], axis=1)


def _to_unit_interval(words: tf.Tensor) -> tf.Tensor:
    """Converts words to [0, 1): the 23 lower bits are the mantissa of a number in [1, 2), minus 1."""
    mantissa = tf.bitwise.bitwise_and(words, tf.constant(0x7FFFFF, tf.uint32))
    return tf.bitcast(tf.bitwise.bitwise_or(mantissa, tf.constant(0x3F800000, tf.uint32)), tf.float32) - 1.0
