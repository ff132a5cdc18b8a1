"""Fitted prior: a mixture of Gaussians fitted to the latents z of encoded data after training.

Training keeps q(z | x) of every row near N(0, I), but its mean over all rows, the aggregate posterior, is another
distribution: N(0, I) also samples z where no row was encoded, and such z decode to implausible data. A mixture fitted
to encoded data avoids these regions.

References:
  [1] Ghosh et al., From variational to deterministic autoencoders, 2020 (arXiv 1903.12436): mixtures fitted after
      training.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import checks
from tf_jmvae._utils.extras import extra
from tf_jmvae.random import seeds

_BATCH = 1000


class FittedPrior:
    """Mixture of C Gaussians over z.

    Attributes:
      weights: float32 array `[C]`, the probabilities of the components.
      means: float32 array `[C, D]`, the means of the components.
      scales: float32 array `[C, D, D]`, the lower triangular Cholesky factors of the covariances.
    """

    def __init__(self, weights: np.ndarray, means: np.ndarray, scales: np.ndarray):
        self.weights, self.means, self.scales = (np.asarray(value, np.float32) for value in (weights, means, scales))

    def distribution(self) -> tfd.Distribution:
        """Returns the prior as a TFP distribution over `[D]`; `log_prob` is in nats."""
        components = tfd.MultivariateNormalTriL(self.means, self.scales)
        return tfd.MixtureSameFamily(tfd.Categorical(probs=self.weights), components)

    def draw(self, num_samples: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Samples z, `[N, D]`, with an int32 seed `[2]`, or `[N, 2]` with a seed for each sample."""
        (which, of_noise), size = seeds.split(seed, 2), self.means.shape[-1]
        if seeds.are_by_row(seed):
            uniform, noise = seeds.uniform(which, 1)[:, 0], seeds.normal(of_noise, size)
        else:
            uniform = tf.random.stateless_uniform([num_samples], which)
            noise = tf.random.stateless_normal([num_samples, size], of_noise)
        bounds = np.cumsum(self.weights)[:-1].astype(np.float32)
        component = tf.searchsorted(tf.constant(bounds), uniform, side="right")
        bent = tf.linalg.matvec(tf.gather(tf.constant(self.scales), component), noise)
        return tf.gather(tf.constant(self.means), component) + bent


class FittedPriorMixin:
    """Mixin of models that fit, sample, save and load a prior; `fitted_prior` is None until `fit_prior` is called."""

    fitted_prior: FittedPrior | None = None

    def fit_prior(
        self, data: Mapping[str, Any], components: int = 10, *, covariance: str = "full", seed: int = 0
    ) -> FittedPrior:
        """Fits a mixture of Gaussians to the latents of data with scikit-learn, and saves it with the model.

        One z per row is drawn from q(z | row). `sample(..., prior="fitted")`, joint coherence and exports use the
        fitted prior; nothing else depends on it.

        Args:
          data: arrays `[N, *event_shape]` by name, of every modality; 10,000 rows are enough.
          components: C, the number of Gaussians, a positive integer; 10 by default.
          covariance: kind of covariance of each component, `"full"`, the default, or `"diagonal"`.
          seed: integer seed of the samples of z and of the fit; 0 by default.

        Returns:
          The `FittedPrior`, which is also `model.fitted_prior`; its `distribution()` is over `[D]`.

        Raises:
          ImportError: if scikit-learn is missing, which comes with the extra `report`.
          ValueError: if there are fewer rows than components, an option or the data do not fit, or the model has
            `conditions`.
        """
        with extra("report", "fit_prior()"):
            from sklearn.mixture import GaussianMixture
        self._check_joint("fit a prior to")
        components = checks.positive_integer("components", components)
        checks.check_option("covariance", covariance, ("full", "diagonal"))
        arrays = checks.to_arrays(self.modalities, data, required=self.modalities)
        size = len(next(iter(arrays.values())))
        if size < components:
            raise ValueError(f"A mixture of {components} components needs at least as many rows; got {size}.")
        base_seed, z = seeds.to_tensor(seed), []
        for number, start in enumerate(range(0, size, _BATCH)):
            batch = self.read({name: values[start : start + _BATCH] for name, values in arrays.items()})
            own, latent = seeds.split(tf.random.fold_in(base_seed, number), 2)
            q = self.posterior(batch, seed=own)
            z.append(self.draw_latents(q, self.latent_noise(q, latent)).numpy())
        kind = {"full": "full", "diagonal": "diag"}[covariance]
        mixture = GaussianMixture(components, covariance_type=kind, reg_covar=1e-4, random_state=int(seed) % 2**32)
        mixture.fit(np.concatenate(z).astype(np.float64))
        covariances = mixture.covariances_
        if covariance == "diagonal":
            covariances = covariances[..., None] * np.eye(covariances.shape[-1])
        self.fitted_prior = FittedPrior(mixture.weights_, mixture.means_, np.linalg.cholesky(covariances))
        return self.fitted_prior
