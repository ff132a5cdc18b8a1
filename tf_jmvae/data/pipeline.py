"""Arrays in memory to batches: shuffled and binarised afresh on every pass.

Whole batches are gathered at once, and each is a pure function of the seed, the pass and
its number, so any pass can be had again: that is what makes a resumed run equal to one
that was never interrupted.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae.data.statistics import Statistics

__all__ = ["from_arrays"]

_MIRROR = 1 << 30  # folded into a pass's seed: beyond every number of a batch


def from_arrays(
    arrays: Mapping[str, Any],
    *,
    batch_size: int = 128,
    shuffle: bool = False,
    binarize: Iterable[str] = (),
    mirror: Iterable[str] = (),
    standardize: Mapping[str, Statistics] | None = None,
    seed: int = 0,
    passes: range | None = None,
) -> tf.data.Dataset:
    """Batches from arrays that fit in memory.

    Args:
      arrays: `[N, ...]` by modality, all of one length.
      batch_size: B; the last batch of a pass may be smaller.
      shuffle: a new order on every pass.
      binarize: modalities in [0, 1] whose every value becomes 1 with itself as
        probability, drawn anew on every pass, else 0 (footnote 3 of the paper).
      mirror: images `[N, H, W, C]` of which a random half is mirrored left to right, drawn anew on every pass.
      standardize: statistics by modality; values stay as small in memory as they came and are standardised by batch.
      seed: of order, binarisation and mirroring.
      passes: which passes, one after the other, e.g. `range(3, 10)`. By default the
        dataset is one pass, and the next one each time it is iterated.

    Returns:
      A dataset of dicts of float32, `{modality: [B, ...]}`.

    Raises:
      ValueError: no arrays, different lengths, a bad batch size, an unknown name
        in `binarize`, `mirror` or `standardize`, or values to binarise outside [0, 1].
    """
    arrays = {name: _checked_numbers(name, array) for name, array in arrays.items()}
    gather = {name: _gatherer(array) for name, array in arrays.items()}
    binarize, mirror, standardize = frozenset(binarize), frozenset(mirror), dict(standardize or {})
    size = _checked_size(arrays, batch_size)
    for option, names in (("binarize", binarize), ("mirror", mirror), ("standardize", standardize)):
        _check_known(option, names, arrays)
    _check_binarize(arrays, binarize)
    num_batches = -(-size // batch_size)

    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        pass_seed = tf.random.fold_in(tf.constant([seed % 2**31, 0]), tf.cast(number, tf.int32))
        return tf.data.Dataset.range(num_batches).map(lambda index: batch(index, pass_seed), tf.data.AUTOTUNE)

    def batch(index: tf.Tensor, pass_seed: tf.Tensor) -> dict[str, tf.Tensor]:
        start = index * batch_size
        rows = tf.range(start, tf.minimum(start + batch_size, size))
        if shuffle:
            rows = tf.random.experimental.index_shuffle(rows, seed=pass_seed, max_index=size - 1)
        examples = {name: rows_of(rows) for name, rows_of in gather.items()}
        for position, name in enumerate(sorted(binarize)):
            noise_seed = tf.random.fold_in(pass_seed, tf.cast(index, tf.int32) * len(binarize) + position)
            noise = tf.random.stateless_uniform(tf.shape(examples[name]), noise_seed)
            examples[name] = noise < tf.cast(examples[name], tf.float32)
        if mirror:
            mirror_seed = tf.random.fold_in(tf.random.fold_in(pass_seed, _MIRROR), tf.cast(index, tf.int32))
            mirrored = tf.random.stateless_uniform(tf.shape(rows), mirror_seed) < 0.5
            for name in mirror:
                image = examples[name]
                examples[name] = tf.where(mirrored[:, None, None, None], tf.reverse(image, axis=[2]), image)
        examples = {name: tf.cast(values, tf.float32) for name, values in examples.items()}
        for name, statistics in standardize.items():
            examples[name] = (examples[name] - statistics.mean) / statistics.deviation
        return examples

    if passes is not None:
        numbers = tf.data.Dataset.range(passes.start, passes.stop, passes.step)
        total = len(passes) * num_batches
    else:
        count = itertools.count()
        numbers = tf.data.Dataset.from_generator(
            lambda: itertools.islice(count, 1), output_signature=tf.TensorSpec([], tf.int64)
        )
        total = num_batches
    batches = numbers.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(total))
    return batches.prefetch(tf.data.AUTOTUNE)


def _checked_numbers(name: str, array: Any) -> np.ndarray:
    """The array, with whole numbers of one byte as they are and all others as float32."""
    array = array if isinstance(array, np.memmap) else np.asarray(array)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise ValueError(
            f"Modality {name!r}: expected numbers of shape [N, ...]; got dtype {array.dtype}, shape {array.shape}."
        )
    return array if array.dtype.itemsize == 1 else array.astype(np.float32, copy=False)


def _gatherer(array: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from row numbers `[B]` to rows `[B, ...]`; of a memory-mapped array it reads those rows only."""
    if not isinstance(array, np.memmap):
        tensor = tf.convert_to_tensor(array)
        return lambda rows: tf.gather(tensor, rows)

    def gather(rows: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(lambda chosen: np.asarray(array[chosen]), [rows], array.dtype, stateful=False)
        return tf.ensure_shape(found, (None, *array.shape[1:]))

    return gather


def _check_known(option: str, names: Iterable[str], arrays: Mapping[str, np.ndarray]) -> None:
    unknown = sorted(set(names) - set(arrays))
    if unknown:
        raise ValueError(f"{option} names {unknown}, but the arrays are {list(arrays)}.")


def _checked_size(arrays: Mapping[str, np.ndarray], batch_size: int) -> int:
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"Expected arrays with one common number of examples, at least 1; got {sizes}.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more; got {batch_size}.")
    return next(iter(sizes.values()))


def _check_binarize(arrays: Mapping[str, np.ndarray], binarize: frozenset[str]) -> None:
    for name in binarize:
        low, high = float(arrays[name].min()), float(arrays[name].max())
        if not 0 <= low <= high <= 1:
            raise ValueError(f"Modality {name!r}: binarize expects values in [0, 1]; got [{low}, {high}].")
