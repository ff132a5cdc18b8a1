"""Generation methods of models: from some modalities to others, from latents z and from the prior."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import checks, gaps
from tf_jmvae.distributions import from_noise, standard_gaussian, without_noise
from tf_jmvae.models import by_batch, compiled
from tf_jmvae.models.iterated_sampling import IteratedSampling, chains_of, iteration_of, split_num_steps, with_num_steps
from tf_jmvae.random import sampling, seeds


class Generation:
    """Mixin of the generation methods, which need only `posterior`, `likelihoods` and `prior`.

    All randomness is stateless: equal seeds give equal results, and without a seed every call differs. With a seed for
    each row, int32 `[B, 2]`, the samples of a row depend on its own seed alone, not on its batch. With
    `num_samples=S` the second axis holds the samples: `[B, S, *event_shape]`.
    """

    def generate(
        self,
        observed: Mapping[str, Any],
        *,
        targets: Iterable[str] | None = None,
        num_samples: int | None = None,
        latent: str = "sample",
        output: str = "mean",
        iterated_sampling: IteratedSampling | int | None = None,
        num_steps: int | tf.Tensor | None = None,
        seed: int | tf.Tensor | None = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
    ) -> dict[str, tf.Tensor] | dict[str, np.ndarray]:
        """Generates modalities from others: z ~ q(z | observed), then p(m | z).

        Args:
          observed: dict of arrays or tensors `[B, *event_shape]` by name, or a `tf.data.Dataset` of batches of such
            dicts, in the model's own values; convert raw values first, as in `dataset.map(model.read)`.
          targets: list of the names to generate; by default the model's targets that are not observed, and those with
            missing rows or entries (in a dataset: that are `optional`), which are generated for all rows and entries.
            Within a `tf.function`, where no values are known, such targets must be named.
          num_samples: S, the number of samples of z for each example; None, the default, for one without a sample axis.
          latent: `"sample"`, the default, samples z; `"mean"` takes the mean of q(z | observed).
          output: `"mean"`, the default, gives the mean of p(m | z); `"sample"` a sample of it.
          iterated_sampling: for models that complete missing modalities by Eq. (6), an `IteratedSampling` or a number
            of steps; the model's own `iterated_sampling` by default.
          num_steps: number of steps of iterated sampling, which overrides only that option; None by default.
          seed: integer, or int32 tensor `[2]`, or `[B, 2]` with a seed for each row; None, the default, draws a new
            seed at every call. Batched calls derive a seed for each row, as `open_model(..).generate` does, so that
            results do not depend on the batch size.
          batch_size: number of rows to compute at once, for data of any number of rows; None, the default, takes arrays
            whole and datasets in their own batches.
          verbose: progress of batched calls: 1 or `"auto"`, the default, shows a progress bar, 2 a line, 0 nothing.

        Returns:
          Dict of float tensors by target, `[B, *event_shape]`, or `[B, S, *event_shape]`; for a dataset or with
          `batch_size`, of NumPy arrays of all rows.

        Raises:
          ValueError: if a modality, its values or an option do not fit, or nothing is left to generate.
          TypeError: if `targets` is a string, or `seed` is not a valid seed.
        """
        if isinstance(targets, str):
            raise TypeError(f"targets must be a list of modalities, such as [{targets!r}]; got a string.")
        if by_batch.is_meant(observed, batch_size):
            if targets is None:
                given = by_batch.names_in(self, observed)
                targets = [n for n in self.targets if n not in given or by_batch.may_lack(self, observed, n)]
                _check_some(targets)
            options = {"num_samples": num_samples, "latent": latent, "output": output, "num_steps": num_steps}
            options |= {"targets": list(targets), "iterated_sampling": iterated_sampling}
            reading = {"seed": seed, "batch_size": batch_size, "verbose": verbose}
            return by_batch.answers(
                self, observed, lambda batch, seed: self.generate(batch, seed=seed, **options), **reading
            )
        observed = self.checked(observed)
        checks.check_conditions(self, observed)
        if targets is None:
            targets = [name for name in self.targets if name not in observed or gaps.has_any(observed[name])]
            _check_some(targets)
        targets = list(targets)
        checks.check_targets(self, targets)
        checks.check_option("latent", latent, ("sample", "mean"))
        if num_samples is not None:
            num_samples = checks.positive_integer("num_samples", num_samples)
        checks.check_option("output", output, ("mean", "sample"))
        iteration, num_steps = split_num_steps(iteration_of(self, iterated_sampling, num_steps))
        seed = seeds.of_rows(seed, next(iter(observed.values())).shape[0])
        options = (tuple(targets), num_samples, latent, output, iteration)
        generate = functools.partial(self._generate, *options)
        return compiled.call(self, ("generate", options, len(num_steps)), generate, observed, seed, *num_steps)

    def _generate(self, targets, num_samples, latent, output, iteration, observed, seed, *num_steps):
        """Implements `generate` for checked arguments and tensors."""
        iteration = with_num_steps(iteration, num_steps)
        chains, samples = 1, num_samples
        if num_samples is not None and self.iterates(observed, iteration):  # each sample ends one of `chains` chains
            chains = chains_of(iteration, num_samples)
            samples = None if chains == num_samples else num_samples // chains
            observed = {name: tf.repeat(value, chains, axis=0) for name, value in observed.items()}
            if seeds.are_by_row(seed):
                seed = tf.reshape(tf.stack(seeds.split(seed, chains), axis=1), (-1, 2))
        posterior_seed, latent_seed, output_seed = seeds.split(seed, 3)
        posterior = self.posterior(observed, iterated_sampling=iteration, seed=posterior_seed)
        if latent == "sample":
            noise = self.latent_noise(posterior, latent_seed, samples)
        else:
            noise = without_noise(posterior, samples)
        z = self.draw_latents(posterior, noise)
        outputs = _emit(self.likelihoods(z, conditions=observed, names=targets), output, output_seed)
        if num_samples is None or samples == num_samples:
            return outputs
        shapes = {name: self.modalities[name].event_shape for name in targets}
        return {name: tf.reshape(value, (-1, num_samples, *shapes[name])) for name, value in outputs.items()}

    def reconstruct(self, observed: Mapping[str, Any], **options: Any) -> dict[str, tf.Tensor]:
        """Reconstructs the observed modalities: z ~ q(z | observed), then p(m | z).

        Args:
          observed: as for `generate`.
          **options: arguments of `generate` except `targets`.

        Returns:
          Dict as of `generate`, by observed target.

        Raises:
          ValueError: as for `generate`, or if no target is observed.
        """
        if not by_batch.is_meant(observed, options.get("batch_size")):
            observed = self.checked(observed)
        given = by_batch.names_in(self, observed)
        checks.check_conditions(self, given)
        targets = [name for name in self.targets if name in given]
        if not targets:
            raise ValueError(
                f"There is no target among {checks.listed(given)}, so there is nothing to reconstruct: this "
                f"{type(self).__name__} generates {checks.listed(self.targets)} only. Use generate(...)."
            )
        return self.generate(observed, targets=targets, **options)

    def sample(
        self,
        num_samples: int,
        *,
        prior: str = "standard",
        output: str = "mean",
        seed: int | tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Samples all modalities together from the prior: z ~ p(z), then p(m | z).

        Args:
          num_samples: N, the number of joint samples, a positive integer.
          prior: `"standard"`, the default, for the model's own p(z); `"fitted"` for the prior of `fit_prior`.
          output: `"mean"`, the default, gives the mean of p(m | z); `"sample"` a sample of it.
          seed: integer, or int32 tensor `[2]`, or `[N, 2]` with a seed for each sample; None, the default, draws a new
            seed at every call.

        Returns:
          Dict of float tensors by modality, `[N, *event_shape]`.

        Raises:
          ValueError: if an option is unknown, the model has `conditions`, or no prior is fitted.
        """
        self._check_joint("sample")
        checks.check_option("output", output, ("mean", "sample"))
        checks.check_option("prior", prior, ("standard", "fitted"))
        fitted = self.fitted_prior if prior == "fitted" else None
        if prior == "fitted" and fitted is None:
            raise ValueError("prior='fitted' needs a fitted prior: call fit_prior(data) after training.")
        if not tf.is_tensor(num_samples):
            num_samples = checks.positive_integer("num_samples", num_samples)
        seed, num_samples = seeds.of_rows(seed, num_samples), tf.convert_to_tensor(num_samples)
        sample = functools.partial(self._sample, fitted, output)
        return compiled.call(self, ("sample", fitted, output), sample, {}, num_samples, seed)

    def _sample(self, fitted, output, _, num_samples, seed):
        """Implements `sample` for checked arguments and tensors."""
        latent_seed, output_seed = seeds.split(seed, 2)
        if fitted:
            z = fitted.draw(num_samples, latent_seed)
        else:
            standard = standard_gaussian(self.latent_size, num_samples)
            z = self.draw_latents(standard, self.latent_noise(standard, latent_seed))
        return _emit(self.likelihoods(z), output, output_seed)

    def _check_joint(self, wish: str) -> None:
        if self.conditions:
            raise ValueError(
                f"{type(self).__name__} generates {', '.join(self.targets)} given {', '.join(self.conditions)} only; "
                f"it has no joint distribution to {wish}. Use generate(...)."
            )

    def has_posterior(self, observed: Iterable[str]) -> bool:
        """Returns whether `posterior` is defined for exactly these modalities.

        Args:
          observed: names of the observed modalities.

        Returns:
          True or False; nothing is computed.
        """
        return set(self.conditions) <= set(observed)

    def iterates(self, observed: Iterable[str], iterated_sampling: IteratedSampling | int | None = None) -> bool:
        """Returns whether `posterior` completes the other modalities by iterated sampling, Eq. (6).

        Args:
          observed: names of the observed modalities.
          iterated_sampling: an `IteratedSampling` or a number of steps; the model's own by default.

        Returns:
          True or False; nothing is computed.
        """
        return False

    def latent_noise(self, posterior: tfd.Distribution, seed: tf.Tensor, num_samples: int | None = None) -> tf.Tensor:
        """Samples the standard normal noise from which `draw_latents` computes z.

        Args:
          posterior: q(z | observed), `[B, D]`; only its shape is used.
          seed: int32 tensor `[2]`, or `[B, 2]` with a seed for each row.
          num_samples: S, the number of samples for each example; None, the default, for one without a sample axis.

        Returns:
          Float tensor `[B, D]`, or `[B, S, D]`.
        """
        return sampling.standard_normal(posterior, seed, num_samples)

    def draw_latents(self, posterior: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        """Computes z from noise by reparameterization: mean + stddev * noise for a Gaussian.

        Args:
          posterior: q(z | observed), `[B, D]`.
          noise: float tensor `[B, D]` or `[B, S, D]`: standard normal numbers give samples, zeros the mean.

        Returns:
          z, a float tensor of the shape of `noise`.
        """
        return from_noise(posterior, noise)


def _check_some(targets: list[str]) -> None:
    if not targets:
        raise ValueError(
            "Every modality is observed, so there is nothing to generate. "
            "Use reconstruct(...), or name the modalities wanted in targets=[...]."
        )


def _emit(likelihoods: Mapping[str, tfd.Distribution], output: str, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    if output == "mean":
        return {name: likelihood.mean() for name, likelihood in likelihoods.items()}
    own_seeds = dict(zip(likelihoods, seeds.split(seed, len(likelihoods)), strict=True))
    return {name: sampling.draw(likelihood, own_seeds[name]) for name, likelihood in likelihoods.items()}
