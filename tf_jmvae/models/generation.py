"""Generation: from any modalities to any others, from z and from the prior."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae import checks, seeds

tfd = tfp.distributions

__all__ = ["Generation"]


class Generation:
    """The generating methods of every model; they need `posterior`, `likelihoods` and `prior` only.

    All randomness is stateless: equal seeds give equal results, and without a
    seed every call differs. With `num_samples=S` a sample axis comes second: `[B, S, *event_shape]`.
    """

    completes_by_sampling = False  # whether `posterior` fills in missing modalities by iterated sampling

    def generate(
        self,
        observed: Mapping[str, Any],
        *,
        targets: Iterable[str] | None = None,
        num_samples: int | None = None,
        latent: str = "sample",
        output: str = "mean",
        num_steps: int | tf.Tensor = 1,
        initial: str = "zeros",
        seed: int | tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Modalities from other ones: z ~ q(z | observed), then p(m | z).

        Args:
          observed: arrays or tensors `[B, *event_shape]` by name.
          targets: which modalities to generate; by default those not observed.
          num_samples: S samples of z for each example; None for one without a sample axis.
          latent: `"sample"` draws z, `"mean"` takes the mean of q(z | observed).
          output: `"mean"` gives the mean of p(m | z), `"sample"` draws from it.
          num_steps: applications of the kernel of Eq. (6), for models that
            complete missing modalities by iterated sampling (the paper: 100 on MNIST, 40 on CelebA).
          initial: what a missing modality starts from, `"zeros"` or `"noise"`.
          seed: integer or int32 tensor `[2]`.

        Returns:
          `{target: [B, *event_shape]}`, or `[B, S, *event_shape]`.

        Raises:
          ValueError: bad modalities or values, an unknown option, or nothing left to generate.
          TypeError: `targets` is a string, or `seed` is no seed.
        """
        observed = checks.to_tensors(self.modalities, observed)
        if isinstance(targets, str):
            raise TypeError(f"targets must be a list of modalities, such as [{targets!r}]; got a string.")
        targets = [m for m in self.modalities if m not in observed] if targets is None else list(targets)
        if not targets:
            raise ValueError(
                "Every modality is observed, so there is nothing to generate. "
                "Use reconstruct(...), or name the modalities wanted in targets=[...]."
            )
        checks.check_names(self.modalities, dict.fromkeys(targets))
        _check_option("latent", latent, ("sample", "mean"))
        posterior_seed, latent_seed, output_seed = _split(seed, 3)
        chains = self.completes_by_sampling and num_samples is not None and len(observed) < len(self.modalities)
        if chains:  # each sample is the end of a chain of its own
            observed = {name: tf.repeat(value, num_samples, axis=0) for name, value in observed.items()}
        posterior = self.posterior(observed, num_steps=num_steps, initial=initial, seed=posterior_seed)
        z = self._draw(posterior, latent_seed, None if chains else num_samples, mean=latent == "mean")
        if chains:
            z = tf.reshape(z, (-1, num_samples, z.shape[-1]))
        return self._emit(z, targets, output, output_seed)

    def reconstruct(self, observed: Mapping[str, Any], **options: Any) -> dict[str, tf.Tensor]:
        """The observed modalities again, by way of z. Options as for `generate`."""
        return self.generate(observed, targets=list(observed), **options)

    def sample(
        self, num_samples: int, *, output: str = "mean", seed: int | tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """All modalities together from the prior: z ~ p(z), then p(m | z).

        Args:
          num_samples: N.
          output: `"mean"` gives the mean of p(m | z), `"sample"` draws from it.
          seed: integer or int32 tensor `[2]`.

        Returns:
          `{m: [N, *event_shape]}`.
        """
        latent_seed, output_seed = _split(seed, 2)
        return self._emit(self.prior.sample(num_samples, seed=latent_seed), self.modalities, output, output_seed)

    def _draw(
        self, posterior: tfd.Distribution, seed: tf.Tensor, num_samples: int | None = None, mean: bool = False
    ) -> tf.Tensor:
        """Z for generation, `[B, D]` or `[B, S, D]`: samples of the posterior, or its mean."""
        if mean:
            z = posterior.mean()
            return z if num_samples is None else tf.repeat(z[:, None], num_samples, axis=1)
        if num_samples is None:
            return posterior.sample(seed=seed)
        return tf.transpose(posterior.sample(num_samples, seed=seed), (1, 0, 2))

    def _emit(self, z: tf.Tensor, names: Iterable[str], output: str, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        _check_option("output", output, ("mean", "sample"))
        likelihoods = self.likelihoods(z, names=names)
        if output == "mean":
            return {name: likelihood.mean() for name, likelihood in likelihoods.items()}
        own_seeds = _split(seed, len(likelihoods))
        return {
            name: likelihood.sample(seed=own_seed)
            for (name, likelihood), own_seed in zip(likelihoods.items(), own_seeds, strict=True)
        }


def _split(seed: int | tf.Tensor | None, count: int) -> list[tf.Tensor]:
    return tf.unstack(tf.random.split(seeds.to_tensor(seed), count))


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
