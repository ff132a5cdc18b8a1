"""Samplers of z and of the log terms that estimators average.

Each function returns a `Sampler`, which works within a graph and in two steps, so that many samples can be drawn from
one chain of iterated sampling without holding them all: the distribution of z, and log terms `[B, R]` in nats under
samples of it, of which an estimator takes the mean or the log of the mean exponential. `max_rows` limits how many z
pass through a model's networks at once.
"""

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae.models import IteratedSampling, MultimodalVAE, compiled
from tf_jmvae.models.missing import log_prob
from tf_jmvae.models.objective import Batch
from tf_jmvae.random import sampling, seeds

tfd = tfp.distributions

# Number of entries of the largest tensor of a chunk: 32 MiB of float32.
_CHUNK_ELEMENTS = 2**23
# A prime, so that tensors with entries for every row are recognised by their size.
_TRACED_ROWS = 7919


@dataclass(frozen=True)
class Sampler:
    """Sampler of log terms."""

    key: Hashable  # what the sampler depends on besides the model
    # Maps (batch, num_chains, seed) to a distribution over z, [B * num_chains, D].
    distribution: Callable[[Batch, int, tf.Tensor], tfd.Distribution]
    # Maps (batch, distribution, num_samples, seed) to log terms [B, num_chains * num_samples].
    log_terms: Callable[[Batch, tfd.Distribution, int, tf.Tensor], tf.Tensor]
    names: Sequence[str]  # modalities that a batch must have
    decoded: Sequence[str]  # modalities that are decoded from z, including those in chains
    samples_per_chain: int | None = None  # None without chains: all samples come from one distribution
    # For nested samples: maps (distribution, num_samples, seed) to the outer samples, as a distribution
    # [B * num_chains * num_samples, D], from each of which `num_inner_samples` inner samples are drawn.
    outer_samples: Callable[[tfd.Distribution, int, tf.Tensor], tfd.Distribution] | None = None
    num_inner_samples: int = 1


@dataclass(frozen=True)
class Proposal:
    """Proposal q(z | observed), from which each chain of iterated sampling draws `samples_per_chain` samples of z."""

    observed: Sequence[str]
    iterated_sampling: IteratedSampling | None = None
    samples_per_chain: int = 1


def posterior_terms(
    model: MultimodalVAE, targets: Sequence[str], proposal: Proposal, num_inner_samples: int = 1
) -> Sampler:
    """Returns a sampler of `log p(t | z_i)`, summed over targets t, with z_i drawn as for generation of t.

    In a hierarchical model, `num_inner_samples` samples of the lower layers are drawn for each sample of the top layer.
    """

    def log_terms(batch, distribution, num_samples, seed):
        z = model.draw_latents(distribution, model.latent_noise(distribution, seed, num_samples))
        return _log_likelihood(model, targets, _by_example(z, batch, targets), batch)

    def outer_samples(distribution, num_samples, seed):
        z = tf.transpose(distribution.sample(num_samples, seed=seed), (1, 0, 2))  # [B * C, S, D]
        # A point mass fixes the top layer, so that only the lower layers have noise.
        return tfd.Independent(tfd.Deterministic(tf.reshape(z, (-1, z.shape[-1]))), 1)

    nested = {"outer_samples": outer_samples, "num_inner_samples": num_inner_samples} if num_inner_samples > 1 else {}
    return _sampler("posterior", model, proposal, targets, log_terms, **nested)


def importance_weights(model: MultimodalVAE, scored: Sequence[str], proposal: Proposal) -> Sampler:
    """Returns a sampler of `log [p(scored | z_i) p(z_i) / q(z_i | observed)]`; p(z | conditions) if conditional."""

    def log_terms(batch, distribution, num_samples, seed):
        z = sampling.draw(distribution, seed, num_samples)  # [B * C, S, D]
        log_q = tf.transpose(distribution.log_prob(tf.transpose(z, (1, 0, 2))))
        log_q = _by_example(log_q, batch, scored)
        z, prior = _by_example(z, batch, scored), model.prior(batch)
        prior = prior if prior.batch_shape.rank == 0 else prior[:, tf.newaxis]  # p(z | conditions), one row per example
        return _log_likelihood(model, scored, z, batch) + prior.log_prob(z) - log_q

    return _sampler("importance", model, proposal, scored, log_terms)


def prior_terms(model: MultimodalVAE, scored: Sequence[str]) -> Sampler:
    """Returns a sampler of `log p(scored | z_i)` with z_i from the prior, drawn separately for every example."""

    def log_terms(batch, prior, num_samples, seed):
        if prior.batch_shape.rank == 0:
            z = prior.sample((tf.shape(batch[scored[0]])[0], num_samples), seed=seed)
        else:
            z = tf.transpose(prior.sample(num_samples, seed=seed), (1, 0, 2))
        return _log_likelihood(model, scored, z, batch)

    names = sorted({*scored, *model.conditions})
    key = ("prior", tuple(scored))
    return Sampler(key, lambda batch, num_chains, seed: model.prior(batch), log_terms, names, scored)


def max_rows(model: MultimodalVAE, decoded: Iterable[str], *, encodes: bool = False) -> int:
    """Returns the largest number of z for which no tensor exceeds 32 MiB: z, modalities and hidden layers.

    Networks are traced, not run, so that outputs of any kind of layer are counted: the decoders of `decoded`, and the
    encoders if every z is encoded again, as in iterated sampling.
    """
    decoded = sorted(decoded)
    key = ("max_rows", *decoded, encodes)
    return compiled.remembered(model, key, lambda: _max_rows(model, decoded, encodes))


def _max_rows(model: MultimodalVAE, decoded: Sequence[str], encodes: bool) -> int:
    def networks():
        conditions = {name: tf.zeros((1, *model.modalities[name].event_shape)) for name in model.conditions}
        prior = model.prior(conditions)
        z = prior.sample(_TRACED_ROWS, seed=seeds.to_tensor(0))
        z = z[None] if prior.batch_shape.rank == 0 else tf.transpose(z, (1, 0, 2))
        for name, likelihood in model.likelihoods(z, conditions=conditions, names=decoded).items():
            likelihood.log_prob(tf.zeros((1, 1, *model.modalities[name].event_shape)))
        if encodes:
            shapes = {name: modality.event_shape for name, modality in model.modalities.items()}
            model.posterior({name: tf.zeros((_TRACED_ROWS, *shape)) for name, shape in shapes.items()})

    traced = tf.function(
        functools.partial(networks), autograph=False
    )  # a partial, because TensorFlow counts traces per code object
    operations = traced.get_concrete_function().graph.get_operations()
    sizes = [output.shape.num_elements() or 0 for operation in operations for output in operation.outputs]
    largest = max(size for size in sizes if size % _TRACED_ROWS == 0) // _TRACED_ROWS
    return max(_CHUNK_ELEMENTS // largest, 1)


def _sampler(kind, model, proposal, scored, log_terms, **options) -> Sampler:
    names = sorted({*scored, *proposal.observed, *model.conditions})
    decoded, samples_per_chain = list(scored), None
    if model.iterates(proposal.observed, proposal.iterated_sampling):
        decoded += [name for name in model.targets if name not in (*scored, *proposal.observed)]
        samples_per_chain = proposal.samples_per_chain

    def distribution(batch, num_chains, seed):
        observed = {name: tf.repeat(batch[name], num_chains, axis=0) for name in proposal.observed}
        return model.posterior(observed, iterated_sampling=proposal.iterated_sampling, seed=seed)

    iteration = proposal.iterated_sampling and tuple(proposal.iterated_sampling.get_config().values())
    key = (kind, tuple(scored), tuple(proposal.observed), iteration, options.get("num_inner_samples", 1))
    return Sampler(key, distribution, log_terms, names, decoded, samples_per_chain, **options)


def _log_likelihood(model: MultimodalVAE, names: Sequence[str], z: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Computes the sum over `names` of log p(m | z), `[B, R]`, for z `[B, R, D]`, ignoring missing values."""
    p = model.likelihoods(z, conditions=batch, names=names)
    return tf.add_n([log_prob(model.modalities[name], p[name], batch[name][:, None]) for name in names])


def _by_example(values: tf.Tensor, batch: Batch, names: Sequence[str]) -> tf.Tensor:
    """Reshapes `[B * C, S', ...]` to `[B, C * S', ...]`."""
    return tf.reshape(values, (tf.shape(batch[names[0]])[0], -1, *values.shape[2:]))
