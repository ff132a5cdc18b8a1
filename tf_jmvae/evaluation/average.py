"""Averages log terms over samples and examples, in chunks that fit in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae import checks, seeds
from tf_jmvae.evaluation.samples import Draw
from tf_jmvae.models import MultimodalVAE

__all__ = ["Averages", "Part", "average"]

# Numbers in the largest tensor of a chunk, by default: 32 MiB of float32.
_CHUNK_ELEMENTS = 2**23
_MAX_BATCH = 1000


@dataclass(frozen=True)
class Part:
    """A draw and how many samples to average for each example."""

    draw: Draw
    num_samples: int


class Averages(NamedTuple):
    """Over the samples of each example, `[N]`.

    Attributes:
      mean: of the log terms.
      log_mean_exp: the log of the mean of their exponentials.
      effective_sample_size: `(sum w)^2 / sum w^2` of those exponentials.
    """

    mean: np.ndarray
    log_mean_exp: np.ndarray
    effective_sample_size: np.ndarray


def average(
    model: MultimodalVAE,
    data: Any,
    parts: Sequence[Part],
    *,
    seed: int,
    max_rows: int | None = None,
    verbose: int = 1,
) -> list[Averages]:
    """Averages each part's log terms over its samples, for every example.

    Args:
      model: the model that the draws belong to.
      data: dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts.
      parts: what to average.
      seed: integer; with equal `max_rows` it repeats the result.
      max_rows: the most z to decode at once, in all examples of a chunk together. By default as many as
        keep each tensor of the data's size within 32 MiB.
      verbose: 1 shows a progress bar, 0 does not.

    Raises:
      ValueError: the data lack a modality, or hold what its likelihood cannot score.
    """
    names = sorted({name for part in parts for name in part.draw.names})
    max_rows = _default_max_rows(model, parts) if max_rows is None else checks.positive_integer("max_rows", max_rows)
    most = max(part.num_samples * part.draw.rows for part in parts)
    batch_size = min(max(max_rows // most, 1), _MAX_BATCH)
    batches, num_batches = _batches(model, data, names, batch_size)
    signature = {name: tf.TensorSpec((None, *model.modalities[name].event_shape)) for name in names}

    @tf.function(input_signature=[signature, tf.TensorSpec([2], tf.int32)], autograph=False)
    def compute(batch, batch_seed):
        part_seeds = tf.unstack(tf.random.split(batch_seed, len(parts)))
        chunks = [max(max_rows // (batch_size * part.draw.rows), 1) for part in parts]
        return [
            _average_batch(part, batch, part_seed, chunk)
            for part, part_seed, chunk in zip(parts, part_seeds, chunks, strict=True)
        ]

    base_seed = seeds.to_tensor(seed)
    progress = keras.utils.Progbar(num_batches, verbose=verbose, unit_name="batch")
    results = []
    for number, batch in enumerate(batches):
        computed = compute(batch, tf.random.fold_in(base_seed, number))
        results.append([[value.numpy() for value in averages] for averages in computed])
        progress.update(number + 1, finalize=number + 1 == num_batches)
    if not results:
        raise ValueError("The data hold no example.")
    return [
        Averages(*map(np.concatenate, zip(*part_results, strict=True))) for part_results in zip(*results, strict=True)
    ]


def _average_batch(part: Part, batch: Mapping[str, tf.Tensor], seed: tf.Tensor, chunk: int) -> Averages:
    """Streams over chunks of samples: memory does not grow with their number."""
    unit = part.draw.unit
    chunk = min(max(chunk // unit, 1) * unit, part.num_samples)
    num_chunks, rest = divmod(part.num_samples, chunk)

    def totals(index, size):
        terms = part.draw.log_terms(batch, size, tf.random.fold_in(seed, index))
        return tf.reduce_sum(terms, 1), tf.reduce_logsumexp(terms, 1), tf.reduce_logsumexp(2.0 * terms, 1)

    def add(index, size, total, log_total, log_squares):
        more = totals(index, size)
        return (
            total + more[0],
            tf.math.reduce_logsumexp([log_total, more[1]], 0),
            tf.math.reduce_logsumexp([log_squares, more[2]], 0),
        )

    sums = totals(0, chunk)
    if num_chunks > 1:
        sums = tf.while_loop(
            lambda index, *_: index < num_chunks,
            lambda index, *sums: (index + 1, *add(index, chunk, *sums)),
            (1, *sums),
            parallel_iterations=1,
        )[1:]
    if rest:
        sums = add(num_chunks, rest, *sums)
    total, log_total, log_squares = sums
    count = tf.cast(part.num_samples * part.draw.rows, total.dtype)
    return Averages(total / count, log_total - tf.math.log(count), tf.exp(2.0 * log_total - log_squares))


def _default_max_rows(model: MultimodalVAE, parts: Sequence[Part]) -> int:
    names = {name for part in parts for name in part.draw.names}
    largest = max(np.prod(model.modalities[name].event_shape) for name in names)
    return max(int(_CHUNK_ELEMENTS // largest), 1)


def _batches(
    model: MultimodalVAE, data: Any, names: Sequence[str], batch_size: int
) -> tuple[Iterator[dict[str, tf.Tensor]], int | None]:
    if isinstance(data, tf.data.Dataset):
        return _dataset_batches(model, data, names, batch_size), None
    checks.check_names(model.modalities, data, required=names)
    tensors = checks.to_tensors(model.modalities, {name: data[name] for name in names})
    size = len(tensors[names[0]])
    batches = (
        {name: tensor[start : start + batch_size] for name, tensor in tensors.items()}
        for start in range(0, size, batch_size)
    )
    return batches, -(-size // batch_size)


def _dataset_batches(
    model: MultimodalVAE, dataset: tf.data.Dataset, names: Sequence[str], batch_size: int
) -> Iterator[dict[str, tf.Tensor]]:
    inputs = dataset.map(lambda *data: data[0])
    for batch in inputs.rebatch(batch_size):
        checks.check_names(model.modalities, batch, required=names)
        yield checks.to_tensors(model.modalities, {name: batch[name] for name in names})
