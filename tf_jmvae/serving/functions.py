"""Functions of signatures, from one dict of named tensors, `[B, ...]`, to another."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae._utils import checks, names
from tf_jmvae.distributions import standard_gaussian
from tf_jmvae.evaluation.samples import Proposal, importance_weights
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.random import seeds

tfd = tfp.distributions

Tensors = dict[str, tf.Tensor]

_CHUNK = 25  # number of samples of the log-likelihood to decode at once


@dataclass(frozen=True)
class Settings:
    """Settings that are fixed at export, because scalar inputs would prevent a server from batching requests."""

    iterated_sampling: IteratedSampling | int | None = None  # None for the model's own options
    num_samples: int = 100  # for log-likelihoods and for filling cells
    observed: Iterable[Iterable[str]] | None = None  # subsets with signatures, read once; None for the default

    def __post_init__(self):
        object.__setattr__(self, "num_samples", checks.positive_integer("num_samples", self.num_samples))


@dataclass(frozen=True)
class Functions:
    """Functions that signatures compute, from one dict of named tensors to another."""

    model: MultimodalVAE
    settings: Settings

    def encode(self, inputs: Tensors) -> Tensors:
        """Computes the mean and stddev of q(z | observed)."""
        q = self._posterior(inputs)
        return {"mean": q.mean(), "standard_deviation": q.stddev()}

    def latents(self, inputs: Tensors) -> Tensors:
        """Computes z as generation samples it, from given noise."""
        return {"z": self.model.draw_latents(self._posterior(inputs), inputs["noise"])}

    def latents_from_prior(self, inputs: Tensors) -> Tensors:
        """Computes z from the prior, from given noise."""
        prior = standard_gaussian(self.model.latent_size, tf.shape(inputs["noise"])[0])
        return {"z": self.model.draw_latents(prior, inputs["noise"])}

    def latent_noise(self, inputs: Tensors) -> Tensors:
        """Samples the noise that the model's own `generate` samples from the same seeds."""
        prior = standard_gaussian(self.model.latent_size, _rows(inputs))
        return {"noise": self.model.latent_noise(prior, inputs["seed"])}

    def generate(self, inputs: Tensors, targets: Iterable[str], latent: str = "mean") -> Tensors:
        """Computes the mean of p(target | z) for each target."""
        return self.model.generate(**self._observed(inputs), targets=targets, latent=latent)

    def edit(self, inputs: Tensors, image: str, attributes: str) -> Tensors:
        """Edits the attributes of an image; also returns the attributes predicted from it: see `tf_jmvae.editing`."""
        w = self.generate({image: inputs[image]}, [attributes])[attributes]
        new, kept = (inputs[name] for name in names.edit_inputs(attributes))
        changed = tf.where(kept > 0, w, new)
        mean, old = (self.generate({attributes: value}, [image])[image] for value in (changed, w))
        return {image: inputs[image] + (mean - old), attributes: w}

    def sample(self, inputs: Tensors) -> Tensors:
        """Generates all modalities from the prior."""
        return self.model.sample(_rows(inputs), **inputs)

    def sample_from_fitted_prior(self, inputs: Tensors) -> Tensors:
        """Generates all modalities from the fitted prior."""
        return self.model.sample(_rows(inputs), prior="fitted", **inputs)

    def fitted_prior_log_density(self, inputs: Tensors) -> Tensors:
        """Computes the log-density of z under the fitted prior, in nats."""
        return {"log_density": self.model.fitted_prior.distribution().log_prob(inputs["z"])}

    def decode(self, inputs: Tensors) -> Tensors:
        """Computes the mean of p(m | z) for each target."""
        conditions = {name: value for name, value in inputs.items() if name != "z"}
        likelihoods = self.model.likelihoods(inputs["z"], conditions=conditions or None)
        return {name: p.mean() for name, p in likelihoods.items()}

    def log_likelihood(self, inputs: Tensors) -> Tensors:
        """Computes the log of the mean importance weight, a few samples at a time."""
        sampler = importance_weights(self.model, self.model.targets, Proposal(list(self.model.modalities)))
        num_samples = self.settings.num_samples
        chunk = math.gcd(num_samples, _CHUNK)
        batch = {name: value for name, value in inputs.items() if name != "seed"}
        posterior = sampler.distribution(batch, 1, inputs["seed"])

        def more(index, total):
            terms = sampler.log_terms(batch, posterior, chunk, seeds.fold_in(inputs["seed"], index))
            return index + 1, tf.reduce_logsumexp(tf.concat([total[:, None], terms], axis=1), axis=1)

        nothing = tf.fill((_rows(inputs),), tf.constant(-math.inf))
        total = tf.while_loop(lambda index, _: index < num_samples // chunk, more, (0, nothing))[1]
        return {"log_likelihood": total - math.log(num_samples)}

    def describe(self, inputs: Tensors) -> Tensors:
        """Returns the model's spec as JSON, for each row, so that a client needs only the address."""
        spec = replace(self.model.spec, num_steps=int(self.settings.iterated_sampling.num_steps))
        return {names.encoded("description"): tf.repeat(json.dumps(spec.to_json()), _rows(inputs))}

    def _observed(self, inputs: Tensors) -> dict[str, Any]:
        observed = {name: value for name, value in inputs.items() if name in self.model.modalities}
        # Without seeds, all rows use the same one, so that verbs without sampling are deterministic.
        seed = inputs.get("seed", tf.zeros((_rows(observed), 2), tf.int32))
        return {"observed": observed, "iterated_sampling": self.settings.iterated_sampling, "seed": seed}

    def _posterior(self, inputs: Tensors) -> tfd.Distribution:
        return self.model.posterior(**self._observed(inputs))


def _rows(tensors: Tensors) -> tf.Tensor:
    """Returns the number of rows, B."""
    return tf.shape(next(iter(tensors.values())))[0]
