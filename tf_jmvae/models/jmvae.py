"""VAE and JMVAE: one joint encoder, independent decoders, and iterated sampling of missing modalities.

    L_JM = - KL(q(z|x,w) || p(z)) + E_q[log p(x|z)] + E_q[log p(w|z)]          Eq. (5)

    T(x~ | x, w) = \\int p(x~|z) q(z|x,w) dz                                   Eq. (6)

With one modality Eq. (5) is the bound of the VAE, Eq. (1).

References:
  [1] Suzuki and Matsuo, sections 3.1 to 3.3.
  [2] Rezende, Mohamed and Wierstra, Stochastic backpropagation and approximate inference in deep generative models,
      2014, appendix F: the Markov chain.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import kl_divergence
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import Encoder
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.models.missing import Held
from tf_jmvae.models.multimodal import MultimodalVAE
from tf_jmvae.models.objective import Batch, Term, Terms, log_likelihoods
from tf_jmvae.networks import prototypes
from tf_jmvae.random import sampling, seeds
from tf_jmvae.registry import MODELS


class JointEncoderVAE(MultimodalVAE):
    """Base class of models whose encoder reads every modality.

    `trunk` is the prototype of a network between the concatenated towers and the Gaussian head; none by default.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        trunk: keras.layers.Layer | None = None,
        **kwargs: Any,
    ):
        super().__init__(modalities, latent_dim, **kwargs)
        self._trunk = prototypes.Template(trunk)
        self._make_encoder(trunk)

    def _make_encoder(self, trunk: keras.layers.Layer | None) -> None:
        self.encoder = Encoder(self.modalities, self.latent_dim, trunk, "encoder")

    def get_config(self):
        return {**super().get_config(), "trunk": prototypes.serialize(self._trunk.layer)}

    def objective(self, batch, seed, training=False):
        """Computes the terms of the bound, `[B]` each, in nats, with one sample of z: Eq. (5) of [1] by default."""
        q = self._encode(batch, training)
        z = sampling.draw(q, seed)
        p = self.likelihoods(z, conditions=batch, training=training)
        return self._terms(self._held(batch), q, z, p, training)

    def _terms(
        self, held: Held, q: tfd.Distribution, z: tf.Tensor, p: Mapping[str, tfd.Distribution], training: bool
    ) -> Terms:
        prior = self.prior(held.batch, training=training)
        return {
            "kl_prior": Term(-1.0, kl_divergence(q, prior, z), to_prior=True),  # - KL(q(z|x,w) || p(z))
            **log_likelihoods(p, held),  # + E_q[log p(x|z)] + E_q[log p(w|z)]
        }

    def posterior(self, observed, *, iterated_sampling=None, seed=None, training=False):
        """Computes q(z | observed); missing modalities are completed by `num_steps - 1` steps of Eq. (6)."""
        iteration = iteration_of(self, iterated_sampling)
        observed = self.checked(observed)
        if self.iterates(observed, iteration):
            observed = self._impute(observed, iteration.num_steps - 1, iteration.initial or "zeros", seed)
        return self._encode(observed, training)

    def iterates(self, observed, iterated_sampling=None):
        return len(set(observed)) < len(self.modalities)

    def _encode(self, batch: Batch, training: bool, known: Batch | None = None) -> tfd.Distribution:
        """Computes q(z | all modalities), `[B, D]`; `known` holds the `_features` of those not in `batch`."""
        return self.encoder(batch, training=training, known=known)

    def _features(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Computes the tower features of the modalities in `batch`, so that a chain encodes observed ones once."""
        return self.encoder.towers.features(batch)

    def _impute(self, observed: Batch, num_draws: int | tf.Tensor, initial: str, seed: Any) -> dict[str, tf.Tensor]:
        """Returns all modalities, the missing ones sampled `num_draws` times from the kernel of Eq. (6)."""
        batch_size = tf.shape(next(iter(observed.values())))[0]
        draws = not (isinstance(num_draws, int) and num_draws == 0)
        # Without noise the result does not depend on the seed.
        seed = seeds.to_tensor(seed if draws or initial == "noise" else 0)
        start_seed, chain_seed = seeds.split(seed, 2)
        missing = {}
        for index, (name, modality) in enumerate(self.modalities.items()):
            if name not in observed:
                # NaN tells an encoder with a mask of entries that all are missing.
                nothing = np.nan if modality.optional == "entries" else 0.0
                missing[name] = tf.fill((batch_size, *modality.event_shape), nothing)
                if initial == "noise":
                    noise = sampling.draw(modality.head.noise(batch_size), seeds.fold_in(start_seed, index))
                    missing[name] = tf.ensure_shape(noise, (None, *modality.event_shape))
        if draws:
            missing = self._chain(dict(observed), missing, tf.cast(num_draws, tf.int32), chain_seed)
        return {**observed, **missing}

    def _chain(self, observed, missing, num_draws, seed):
        known = self._features(observed)

        def draw(step, missing):
            latent_seed, *data_seeds = seeds.split(seeds.fold_in(seed, step), 1 + len(missing))
            q = self._encode(missing, False, known)
            z = self.draw_latents(q, self.latent_noise(q, latent_seed))  # z  ~ q(z | x~, w)
            p = self.likelihoods(z, conditions=observed, names=missing)
            drawn = {
                name: sampling.draw(p[name], data_seed)  # x~ ~ p(x | z)
                for name, data_seed in zip(missing, data_seeds, strict=True)
            }
            return step + 1, {name: tf.ensure_shape(drawn[name], missing[name].shape) for name in missing}

        return tf.while_loop(lambda step, _: step < num_draws, draw, (0, missing))[1]


@MODELS.register("jmvae")
@keras.saving.register_keras_serializable("tf_jmvae")
class JMVAE(JointEncoderVAE):
    """Joint multimodal VAE (JMVAE), Eq. (5) of [1], of two or more modalities.

    There are no subset encoders: missing modalities start from zeros or noise and are completed by iterated sampling,
    Eq. (6). This fails if what is missing is much larger than what is observed; see `JMVAEKL`.

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      trunk: prototype of a network between the towers and the Gaussian head, `[B, F]` to features; none by default.

    Examples:
      >>> model = JMVAE({"x": Modality((28, 28, 1), "bernoulli"), "w": Modality((10,), "categorical")}, 64)
      >>> model.compile("adam")
      >>> model.fit(train, epochs=10)
      >>> model.generate({"x": images}, num_steps=100, seed=1)["w"]
    """


@MODELS.register("vae")
@keras.saving.register_keras_serializable("tf_jmvae")
class VAE(JMVAE):
    """Variational autoencoder of one modality, Eq. (1) of [1]: Eq. (5) with K = 1. Arguments are those of `JMVAE`.

    Examples:
      >>> VAE({"x": Modality((28, 28, 1), "bernoulli")}, latent_dim=64)
    """

    modality_counts = (1, 1)
