"""Batches of arrays, shuffled, binarised, mirrored and re-paired anew in every epoch.

Whole batches are gathered at once. Each batch is a pure function of the seed, the epoch and its number, so that any
epoch can be reproduced: a resumed run equals an uninterrupted one, and each of several workers can gather only its own
rows.
"""

import itertools
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks, gaps
from tf_jmvae.data.batching import Batching, Redrawing
from tf_jmvae.distribute.replicas import Shards

_MIRROR = 1 << 30  # folded into an epoch's seed, above every batch number


def from_arrays(
    arrays: Mapping[str, Any],
    *,
    batch_size: int = 128,
    shuffle: bool = False,
    binarize: Iterable[str] = (),
    mirror: Iterable[str] = (),
    redraw: Mapping[str, Any] | None = None,
    seed: int = 0,
    epochs: range | None = None,
    shards: Shards | None = None,
    complete_rows: float = 0.5,
) -> tf.data.Dataset:
    """Makes batches of arrays, in memory or memory-mapped, where each batch reads only its own rows.

    Args:
      arrays: dict of arrays `[N, ...]` by modality, all of the same length. Masked values of `numpy.ma`, `None` and the
        `NA` of pandas become NaN, which models accept if a modality is `optional`.
      batch_size: number of examples in a batch, B, by default 128; the last batch of an epoch may be smaller.
      shuffle: whether every epoch has a new random order; by default False.
      binarize: names of modalities in [0, 1] to binarise: each value becomes 1 with itself as probability, else 0,
        sampled anew in every epoch (footnote 3 of the paper); by default none.
      mirror: names of image modalities `[N, H, W, C]`: a random half of the images, sampled anew in every epoch, is
        flipped left to right; by default none.
      redraw: dict of class numbers `[N]` by the name of a modality whose values each row takes from another row of its
        class: every epoch has a new permutation of the rows of each class that hold the modality; by default none. For
        modalities that were recorded separately and have only the class in common.
      seed: integer seed of order, binarisation, mirroring and pairing; by default 0.
      epochs: range of epochs to concatenate, e.g. `range(3, 10)`. By default the dataset is one epoch, and a new one
        whenever it is iterated.
      shards: `Shards` of every batch for one of several workers, as consecutive elements; by default whole batches.
      complete_rows: smallest fraction of complete rows in a shuffled batch, from 0 to 1; by default 0.5. If the data
        have fewer, complete rows are repeated, and an epoch has every incomplete row once. 0 repeats none.

    Returns:
      `tf.data.Dataset` of dicts of float32 tensors, `{modality: [B, ...]}`.

    Raises:
      ValueError: if there are no arrays, lengths differ, the batch size or a fraction is invalid, a name in `binarize`,
        `mirror` or `redraw` is unknown, values to binarise are outside [0, 1], or classes are not `[N]` whole numbers.
    """
    arrays = {name: _checked_numbers(name, array) for name, array in arrays.items()}
    gather = {name: gatherer(array) for name, array in arrays.items()}
    binarize, mirror = frozenset(binarize), frozenset(mirror)
    classes = {name: np.asarray(own) for name, own in (redraw or {}).items()}
    _check(arrays, batch_size, binarize, mirror, classes)
    redrawing = {name: Redrawing.of(own, gaps.missing_rows(arrays[name])) for name, own in sorted(classes.items())}
    with_gaps = {name for name in binarize if gaps.has_any(arrays[name])}
    batching, shards = batching_of(arrays, batch_size, complete_rows if shuffle else 0.0), shards or Shards()
    num_elements = batching.num_batches * len(shards)

    def one_epoch(number: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = tf.random.fold_in(tf.constant([seed % 2**31, 0]), tf.cast(number, tf.int32))
        return tf.data.Dataset.range(num_elements).map(lambda element: shard(element, epoch_seed), tf.data.AUTOTUNE)

    def shard(element: tf.Tensor, epoch_seed: tf.Tensor) -> dict[str, tf.Tensor]:
        index, number = element // len(shards), element % len(shards)
        in_batch = batching.num_rows(index)
        first, end = shards.rows(in_batch, number)

        def noise_of_batch(like: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            shape = tf.concat([[in_batch], tf.shape(like, tf.int64)[1:]], 0)
            return tf.random.stateless_uniform(shape, seed)[first:end]

        # For the whole batch, because an empty shard cannot be shuffled.
        rows = batching.rows(index, epoch_seed if shuffle else None)
        others = {name: one.rows(rows, epoch_seed, number) for number, (name, one) in enumerate(redrawing.items())}
        examples = {name: rows_of(others.get(name, rows)[first:end]) for name, rows_of in gather.items()}
        for position, name in enumerate(sorted(binarize)):
            noise_seed = tf.random.fold_in(epoch_seed, tf.cast(index, tf.int32) * len(binarize) + position)
            noise = noise_of_batch(examples[name], noise_seed)
            values = tf.cast(examples[name], tf.float32)
            drawn = tf.cast(noise < values, tf.float32)
            examples[name] = tf.where(tf.math.is_nan(values), values, drawn) if name in with_gaps else drawn
        if mirror:
            mirror_seed = tf.random.fold_in(tf.random.fold_in(epoch_seed, _MIRROR), tf.cast(index, tf.int32))
            mirrored = noise_of_batch(rows, mirror_seed) < 0.5
            for name in mirror:
                image = examples[name]
                examples[name] = tf.where(mirrored[:, None, None, None], tf.reverse(image, axis=[2]), image)
        return {name: tf.cast(values, tf.float32) for name, values in examples.items()}

    if epochs is not None:
        numbers = tf.data.Dataset.range(epochs.start, epochs.stop, epochs.step)
    else:
        count, number = itertools.count(), tf.TensorSpec([], tf.int64)
        numbers = tf.data.Dataset.from_generator(lambda: itertools.islice(count, 1), output_signature=number)
    total = num_elements * (1 if epochs is None else len(epochs))
    batches = numbers.flat_map(one_epoch).apply(tf.data.experimental.assert_cardinality(total))
    return batches.prefetch(tf.data.AUTOTUNE)


def batching_of(arrays: Mapping[str, np.ndarray], batch_size: int, complete_rows: float = 0.5) -> Batching:
    """Returns the assignment of rows to shuffled batches; see `from_arrays`."""
    if not isinstance(complete_rows, numbers.Real) or not 0 <= complete_rows <= 1:
        raise ValueError(f"complete_rows must be a fraction, from 0 to 1; got {complete_rows}.")
    if complete_rows == 0:  # complete rows are not repeated
        return Batching(len(next(iter(arrays.values()))), batch_size)
    missing = [gaps.missing_rows(array) for array in arrays.values()]
    return Batching.of(~np.any(missing, axis=0), batch_size, complete_rows)


def _checked_numbers(name: str, array: Any) -> np.ndarray:
    """Converts an array to float32, except for one-byte integers and memory-mapped arrays, which are kept."""
    array = gaps.as_numbers(gaps.filled(array))
    array = array if isinstance(array, np.memmap) else np.asarray(array)
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        raise ValueError(
            f"Modality {name!r}: expected numbers of shape [N, ...]; got dtype {array.dtype}, shape {array.shape}."
        )
    as_it_is = array.dtype.itemsize == 1 or isinstance(array, np.memmap)
    return array if as_it_is else array.astype(np.float32, copy=False)


def gatherer(array: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from row numbers `[B]` to rows `[B, ...]`, which reads only these if memory-mapped."""
    if not isinstance(array, np.memmap):
        tensor = tf.convert_to_tensor(array)
        return lambda rows: tf.gather(tensor, rows)

    dtype = array.dtype.newbyteorder("=")

    def gather(rows: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(lambda chosen: np.asarray(array[chosen], dtype), [rows], dtype, stateful=False)
        return tf.ensure_shape(found, (None, *array.shape[1:]))

    return gather


def _check(
    arrays: Mapping[str, np.ndarray],
    batch_size: int,
    binarize: frozenset[str],
    mirror: frozenset[str],
    classes: Mapping[str, np.ndarray],
) -> None:
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise ValueError(f"Expected arrays with one common number of examples, at least 1; got {sizes}.")
    checks.positive_integer("batch_size", batch_size)
    for option, names in (("binarize", binarize), ("mirror", mirror), ("redraw", classes)):
        if unknown := sorted(set(names) - set(arrays)):
            raise ValueError(f"{option} names {unknown}, but the arrays are {list(arrays)}.")
    for name, own in classes.items():
        if own.shape != (sizes[name],) or own.dtype.kind not in "iu":
            raise ValueError(
                f"Modality {name!r}: redraw expects the classes of its {sizes[name]} rows, whole numbers; got dtype "
                f"{own.dtype}, shape {own.shape}."
            )
    for name in binarize:
        low, high = (float(end(arrays[name], axis=None, initial=0.0)) for end in (np.fmin.reduce, np.fmax.reduce))
        if not 0 <= low <= high <= 1:
            raise ValueError(f"Modality {name!r}: binarize expects values in [0, 1]; got [{low}, {high}].")
