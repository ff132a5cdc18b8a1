"""Samples of z and the log-densities under them: what every estimator averages.

Each function returns a `Draw`, which works in the graph and in two steps, so that many samples can be
drawn from one chain of iterated sampling without holding them all: the distribution of z, and log
terms `[B, R]` in nats under samples of it, of which the estimator takes the mean or the log of the
mean exponential.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae import sampling
from tf_jmvae.models import IteratedSampling, MultimodalVAE

tfd = tfp.distributions

__all__ = ["Draw", "Proposal", "importance_weights", "posterior_terms", "prior_terms"]

Batch = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Draw:
    """How to draw log terms.

    Attributes:
      distribution: `(batch, num_chains, seed)` to a distribution over z, `[B * num_chains, D]`.
      log_terms: `(batch, distribution, num_samples, seed)` to `[B, num_chains * num_samples]`.
      names: the modalities that a batch must have.
      decoded: the modalities that are decoded from z, in chains too.
      samples_per_chain: of iterated sampling; None without chains, where all samples are of one distribution.
      points: where every sample has several ways down, `(distribution, num_samples, seed)` to the samples,
        as a distribution `[B * num_chains * num_samples, D]` from which each way starts.
      walks: their number.
    """

    distribution: Callable[[Batch, int, tf.Tensor], tfd.Distribution]
    log_terms: Callable[[Batch, tfd.Distribution, int, tf.Tensor], tf.Tensor]
    names: Sequence[str]
    decoded: Sequence[str]
    samples_per_chain: int | None = None
    points: Callable[[tfd.Distribution, int, tf.Tensor], tfd.Distribution] | None = None
    walks: int = 1


@dataclass(frozen=True)
class Proposal:
    """q(z | observed), the distribution that z comes from.

    Attributes:
      observed: the modalities that it reads.
      iterated_sampling: how models that do so complete missing modalities; None is their own way.
      samples_per_chain: z drawn from the end of each chain of iterated sampling.
    """

    observed: Sequence[str]
    iterated_sampling: IteratedSampling | None = None
    samples_per_chain: int = 1

    def distribution(self, model: MultimodalVAE, batch: Batch, num_chains: int, seed: tf.Tensor) -> tfd.Distribution:
        """Over z, `[B * C, D]` for C chains per example."""
        observed = {name: tf.repeat(batch[name], num_chains, axis=0) for name in self.observed}
        return model.posterior(observed, iterated_sampling=self.iterated_sampling, seed=seed)

    def iterates(self, model: MultimodalVAE) -> bool:
        """Whether it completes missing modalities by iterated sampling."""
        return model.iterates(self.observed, self.iterated_sampling)


def posterior_terms(model: MultimodalVAE, targets: Sequence[str], proposal: Proposal, walks: int = 1) -> Draw:
    """`log p(t | z_i)`, summed over targets t, with z_i drawn as the model draws z to generate t.

    There are `walks` ways down from each sample of a hierarchical model's top layer.
    """

    def log_terms(batch, distribution, num_samples, seed):
        z = model.draw_latents(distribution, model.latent_noise(distribution, seed, num_samples))
        return _log_likelihood(model, targets, _by_example(z, batch, targets), batch)

    def points(distribution, num_samples, seed):
        z = tf.transpose(distribution.sample(num_samples, seed=seed), (1, 0, 2))  # [B * C, S, D]
        # A model that draws z from a point has its own noise below the top layer only.
        return tfd.Independent(tfd.Deterministic(tf.reshape(z, (-1, z.shape[-1]))), 1)

    return _draw(model, proposal, targets, log_terms, points=points if walks > 1 else None, walks=walks)


def importance_weights(model: MultimodalVAE, scored: Sequence[str], proposal: Proposal) -> Draw:
    """`log [p(scored | z_i) p(z_i) / q(z_i | observed)]`; the prior of one-way models is p(z | given)."""

    def log_terms(batch, distribution, num_samples, seed):
        z = sampling.draw(distribution, seed, num_samples)  # [B * C, S, D]
        log_q = _log_prob_of_samples(distribution, z)
        log_q, z = _by_example(log_q, batch, scored), _by_example(z, batch, scored)
        return _log_likelihood(model, scored, z, batch) + _log_prior(model, z, batch) - log_q

    return _draw(model, proposal, scored, log_terms)


def prior_terms(model: MultimodalVAE, scored: Sequence[str]) -> Draw:
    """`log p(scored | z_i)`, z_i from the prior, afresh for every example."""

    def log_terms(batch, prior, num_samples, seed):
        if prior.batch_shape.rank == 0:
            z = prior.sample((tf.shape(batch[scored[0]])[0], num_samples), seed=seed)
        else:
            z = tf.transpose(prior.sample(num_samples, seed=seed), (1, 0, 2))
        return _log_likelihood(model, scored, z, batch)

    return Draw(lambda batch, num_chains, seed: model.prior(batch), log_terms, sorted({*scored, *model.given}), scored)


def _draw(model, proposal, scored, log_terms, **options) -> Draw:
    names = sorted({*scored, *proposal.observed, *model.given})
    decoded, samples_per_chain = list(scored), None
    if proposal.iterates(model):
        decoded += [name for name in model.targets if name not in (*scored, *proposal.observed)]
        samples_per_chain = proposal.samples_per_chain

    def distribution(batch, num_chains, seed):
        return proposal.distribution(model, batch, num_chains, seed)

    return Draw(distribution, log_terms, names, decoded, samples_per_chain, **options)


def _log_likelihood(model: MultimodalVAE, names: Sequence[str], z: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Sum over `names` of log p(m | z), `[B, R]`, for z `[B, R, D]`."""
    p = model.likelihoods(z, given=batch, names=names)
    return tf.add_n([p[name].log_prob(batch[name][:, None]) for name in names])


def _log_prior(model: MultimodalVAE, z: tf.Tensor, batch: Batch) -> tf.Tensor:
    prior = model.prior(batch)
    return prior.log_prob(z) if prior.batch_shape.rank == 0 else _log_prob_of_samples(prior, z)


def _log_prob_of_samples(distribution: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
    """`[B, S]` of z `[B, S, D]`, S for each row of a distribution over `[B, D]`."""
    return distribution[:, tf.newaxis].log_prob(z)


def _by_example(values: tf.Tensor, batch: Batch, names: Sequence[str]) -> tf.Tensor:
    """`[B * C, S', ...]` to `[B, C * S', ...]`."""
    return tf.reshape(values, (tf.shape(batch[names[0]])[0], -1, *values.shape[2:]))
