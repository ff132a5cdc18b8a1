"""Samples of z and the log-densities under them: what every estimator averages.

Each function returns a `Draw`: `(batch, num_samples, seed)` to log terms `[B, R]` in nats, in
the graph, of which the estimator takes the mean or the log of the mean exponential.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae.models import MultimodalVAE

tfd = tfp.distributions

__all__ = ["Draw", "Proposal", "importance_weights", "posterior_terms", "prior_terms"]

Batch = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Draw:
    """How to draw log terms.

    Attributes:
      log_terms: `(batch, num_samples, seed)` to `[B, num_samples * rows]`.
      names: the modalities that a batch must have.
      unit: samples come in multiples of this.
      rows: log terms for each sample.
    """

    log_terms: Callable[[Batch, int, tf.Tensor], tf.Tensor]
    names: Sequence[str]
    unit: int = 1
    rows: int = 1


@dataclass(frozen=True)
class Proposal:
    """q(z | observed), the distribution that z comes from.

    Attributes:
      observed: the modalities that it reads.
      num_steps: of iterated sampling, for models that complete missing modalities by it.
      initial: what a missing modality starts from.
      samples_per_chain: z drawn from the end of each chain of iterated sampling.
    """

    observed: Sequence[str]
    num_steps: int = 1
    initial: str | None = None
    samples_per_chain: int = 1

    def distribution(
        self, model: MultimodalVAE, batch: Batch, num_samples: int, seed: tf.Tensor
    ) -> tuple[tfd.Distribution, int]:
        """A distribution over z, `[B * C, D]` for C chains per example, and the samples to draw from each row."""
        observed = {name: batch[name] for name in self.observed}
        if model.iterates(observed, self.initial):
            num_chains = num_samples // self.samples_per_chain
            observed = {name: tf.repeat(value, num_chains, axis=0) for name, value in observed.items()}
            num_samples = self.samples_per_chain
        return model.posterior(observed, num_steps=self.num_steps, initial=self.initial, seed=seed), num_samples


def posterior_terms(model: MultimodalVAE, targets: Sequence[str], proposal: Proposal, walks: int = 1) -> Draw:
    """`log p(t | z_i)`, with z_i drawn as the model draws z to generate t.

    Args:
      model: whose p(t | z) scores.
      targets: t; the log-densities of several are summed.
      proposal: q(z | observed).
      walks: ways down from each sample of the hierarchical model's top layer.
    """

    def log_terms(batch, num_samples, seed):
        chain_seed, latent_seed = tf.unstack(tf.random.split(seed, 2))
        q, per_row = proposal.distribution(model, batch, num_samples, chain_seed)
        z = model.draw_latents(q, latent_seed, per_row, walks=walks)
        return _log_likelihood(model, targets, _by_example(z, batch, targets), batch)

    names = {*targets, *proposal.observed, *model.given}
    return Draw(log_terms, sorted(names), unit=_unit(model, proposal), rows=walks)


def importance_weights(model: MultimodalVAE, scored: Sequence[str], proposal: Proposal) -> Draw:
    """`log [p(scored | z_i) p(z_i) / q(z_i | observed)]`; the prior of one-way models is p(z | given)."""

    def log_terms(batch, num_samples, seed):
        chain_seed, latent_seed = tf.unstack(tf.random.split(seed, 2))
        q, per_row = proposal.distribution(model, batch, num_samples, chain_seed)
        z = q.sample(per_row, seed=latent_seed)  # [S', B * C, D]
        log_q = _by_example(tf.transpose(q.log_prob(z)), batch, scored)
        z = _by_example(tf.transpose(z, (1, 0, 2)), batch, scored)
        return _log_likelihood(model, scored, z, batch) + _log_prior(model, z, batch) - log_q

    names = {*scored, *proposal.observed, *model.given}
    return Draw(log_terms, sorted(names), unit=_unit(model, proposal))


def prior_terms(model: MultimodalVAE, scored: Sequence[str]) -> Draw:
    """`log p(scored | z_i)`, z_i from the prior, afresh for every example."""

    def log_terms(batch, num_samples, seed):
        prior = model.prior(batch)
        if prior.batch_shape.rank == 0:
            z = prior.sample((tf.shape(batch[scored[0]])[0], num_samples), seed=seed)
        else:
            z = tf.transpose(prior.sample(num_samples, seed=seed), (1, 0, 2))
        return _log_likelihood(model, scored, z, batch)

    return Draw(log_terms, sorted({*scored, *model.given}))


def _log_likelihood(model: MultimodalVAE, names: Sequence[str], z: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Sum over `names` of log p(m | z), `[B, R]`, for z `[B, R, D]`."""
    p = model.likelihoods(z, given=batch, names=names)
    return tf.add_n([p[name].log_prob(batch[name][:, None]) for name in names])


def _log_prior(model: MultimodalVAE, z: tf.Tensor, batch: Batch) -> tf.Tensor:
    return tf.transpose(model.prior(batch).log_prob(tf.transpose(z, (1, 0, 2))))


def _by_example(values: tf.Tensor, batch: Batch, names: Sequence[str]) -> tf.Tensor:
    """`[B * C, S', ...]` to `[B, C * S', ...]`."""
    return tf.reshape(values, (tf.shape(batch[names[0]])[0], -1, *values.shape[2:]))


def _unit(model: MultimodalVAE, proposal: Proposal) -> int:
    return proposal.samples_per_chain if model.iterates(dict.fromkeys(proposal.observed), proposal.initial) else 1
