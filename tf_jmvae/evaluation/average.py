"""Averages of log terms over the samples of each example, in chunks that fit in memory.

The samples of an example are grouped by chain of iterated sampling, and each may have inner samples of a hierarchy's
lower layers. Every level is streamed, so that memory does not grow with any of the three numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks, gaps
from tf_jmvae.evaluation import samples
from tf_jmvae.evaluation.estimate import Fingerprint
from tf_jmvae.evaluation.samples import Sampler
from tf_jmvae.evaluation.scored_rows import ScoredRows
from tf_jmvae.models import MultimodalVAE, by_batch, compiled
from tf_jmvae.random import seeds

_MAX_BATCH = 1000

Sampling = tuple[Sampler, int]
"""A sampler and the number of its samples to average for each example."""


class Averages(NamedTuple):
    """Averages of the log terms t of each example's samples, `[N]` each."""

    mean: np.ndarray
    log_mean_exp: np.ndarray  # log of the mean of exp(t)
    effective_sample_size: np.ndarray  # (sum w)^2 / sum w^2 of w = exp(t)
    examples: Mapping[str, str]  # fingerprints, as in `Estimate.examples`
    settings: Mapping[str, int]  # number of rows that were left out, if any


def average(
    model: MultimodalVAE,
    data: Any,
    samplings: Sequence[Sampling],
    *,
    held: Sequence[Sequence[str]] = (),
    seed: int,
    max_rows: int | None = None,
    verbose: int = 1,
) -> list[Averages]:
    """Averages the log terms of each sampling over its samples, for every example.

    `data` is a dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts. Rows with missing
    modalities are scored by those they hold; a row is left out if it holds none of one of the groups of modalities in
    `held`. A seed gives equal results for equal `max_rows`, the largest number of z to decode at once over all
    examples of a chunk; by default as many as keep every tensor within 32 MiB: z, modalities that are scored or
    completed, and the networks' hidden layers. Raises `ValueError` if the data lack a modality or hold values that its
    likelihood cannot score.
    """
    names = sorted({name for sampler, _ in samplings for name in sampler.names})
    if max_rows is None:
        decoded = {name for sampler, _ in samplings for name in sampler.decoded}
        max_rows = samples.max_rows(model, decoded, encodes=any(sampler.samples_per_chain for sampler, _ in samplings))
    max_rows = checks.positive_integer("max_rows", max_rows)
    most = max(num_samples * sampler.num_inner_samples for sampler, num_samples in samplings)
    batch_size = min(max(max_rows // most, 1), _MAX_BATCH)
    batches, num_batches = by_batch.batches(model, data, names, batch_size)
    scored, rows = ScoredRows(held), max(max_rows // batch_size, 1)
    key = ("average", rows, *((sampler.key, number) for sampler, number in samplings))

    def compute(batch, batch_seed):
        own_seeds = tf.unstack(tf.random.split(batch_seed, len(samplings)))
        return [_average_batch(*sampling, batch, own, rows) for sampling, own in zip(samplings, own_seeds, strict=True)]

    base_seed = seeds.to_tensor(seed)
    progress = keras.utils.Progbar(num_batches, verbose=verbose, unit_name="batch")
    results, fingerprint = [], Fingerprint()
    for number, batch in enumerate(batches):
        batch = {name: tf.cast(values, tf.float32) for name, values in batch.items()}
        batch = compiled.call(model, "read", model.read, batch)  # a graph skips the repeated check of values
        kept = scored.select(batch)
        if not kept.any():
            continue
        if not kept.all():
            batch = {name: tf.boolean_mask(value, kept) for name, value in batch.items()}
        gaps.check_rows(model, batch)
        fingerprint.add(batch)
        computed = compiled.call(model, key, compute, batch, tf.random.fold_in(base_seed, number))
        results.append([[value.numpy() for value in averages] for averages in computed])
        progress.update(number + 1, finalize=number + 1 == num_batches)
    settings, examples = scored.settings(), fingerprint.hexdigests()
    return [
        Averages(*map(np.concatenate, zip(*averages, strict=True)), examples, settings)
        for averages in zip(*results, strict=True)
    ]


class _Sums(NamedTuple):
    """Sums over log terms t, `[B]` each: the sum of t, and the logs of the sums of exp(t) and of exp(2 t)."""

    terms: tf.Tensor
    log_exp: tf.Tensor
    log_squares: tf.Tensor

    @classmethod
    def of(cls, terms: tf.Tensor) -> Self:
        return cls(tf.reduce_sum(terms, 1), tf.reduce_logsumexp(terms, 1), tf.reduce_logsumexp(2.0 * terms, 1))

    def plus(self, other: Self) -> Self:
        logs = (tf.reduce_logsumexp(both, 0) for both in zip(self[1:], other[1:], strict=True))
        return _Sums(self.terms + other.terms, *logs)


def _average_batch(
    sampler: Sampler, num_samples: int, batch: Mapping[str, tf.Tensor], seed: tf.Tensor, rows: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the averages of `Averages` for a batch: over chains, samples per chain, and inner samples.

    At most `rows` samples of an example are decoded at once.
    """
    per_chain = num_samples if sampler.samples_per_chain is None else sampler.samples_per_chain

    def chains(number, seed):
        chain_seed, latent_seed = tf.unstack(tf.random.split(seed, 2))
        distribution = sampler.distribution(batch, number, chain_seed)
        at_once = rows // (number * sampler.num_inner_samples)
        return _stream(per_chain, at_once, lambda *chunk: drawn(distribution, *chunk), latent_seed)

    def drawn(distribution, number, seed):
        if sampler.outer_samples is None:
            return _Sums.of(sampler.log_terms(batch, distribution, number, seed))
        outer_seed, inner_seed = tf.unstack(tf.random.split(seed, 2))
        outer_samples = sampler.outer_samples(distribution, number, outer_seed)

        def inner(*chunk):
            return _Sums.of(sampler.log_terms(batch, outer_samples, *chunk))

        return _stream(sampler.num_inner_samples, rows, inner, inner_seed)

    sums = _stream(num_samples // per_chain, rows // (per_chain * sampler.num_inner_samples), chains, seed)
    count = tf.cast(num_samples * sampler.num_inner_samples, sums.terms.dtype)
    return sums.terms / count, sums.log_exp - tf.math.log(count), tf.exp(2.0 * sums.log_exp - sums.log_squares)


def _stream(count: int, at_once: int, sums: Callable[[int, tf.Tensor], _Sums], seed: tf.Tensor) -> _Sums:
    """Sums over `count` samples in chunks of at most `at_once` (at least one), each by `sums(number, seed)`."""
    at_once = min(max(at_once, 1), count)
    num_chunks, rest = divmod(count, at_once)
    total = sums(at_once, tf.random.fold_in(seed, 0))
    if num_chunks > 1:
        _, total = tf.while_loop(
            lambda index, _: index < num_chunks,
            lambda index, total: (index + 1, total.plus(sums(at_once, tf.random.fold_in(seed, index)))),
            (1, total),
            parallel_iterations=1,
        )
    return total.plus(sums(rest, tf.random.fold_in(seed, num_chunks))) if rest else total
