"""Hierarchical JMVAE: stochastic layers z_1 .. z_L between the data and the prior.

    p(x, w) = \\int p(z_L) p(z_{L-1}|z_L) .. p(z_1|z_2) p(x|z_1) p(w|z_1) dz    Eq. (7)

    q(z_1, .., z_L | x, w) = q(z_1|x,w) .. q(z_L|x,w)                           Eq. (8)

    L = - sum_l E_{q(z_{l+1}|x,w)}[KL(q(z_l|x,w) || p(z_l|z_{l+1}))]
        + E_{q(z_1|x,w)}[log p(x|z_1) + log p(w|z_1)]                           Eq. (9)

where the top layer's KL is to p(z_L) = N(0, I), without an expectation. The code concatenates z = [z_L, .., z_1] in the
order of generation, so that Eq. (8) is one diagonal Gaussian.

References:
  [1] Suzuki and Matsuo, section 3.4.
  [2] Gulrajani et al., PixelVAE, 2016: the factorisation of Eq. (8).
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae import heads, networks
from tf_jmvae._utils import checks
from tf_jmvae.distributions import diagonal_gaussian, kl_divergence, standard_gaussian
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import Decoder, Towers
from tf_jmvae.models.jmvae import JointEncoderVAE
from tf_jmvae.models.objective import Batch, Term
from tf_jmvae.networks import prototypes
from tf_jmvae.random import sampling, seeds
from tf_jmvae.registry import MODELS


@MODELS.register("hierarchical-jmvae")
@keras.saving.register_keras_serializable("tf_jmvae")
class HierarchicalJMVAE(JointEncoderVAE):
    """Hierarchical JMVAE, Eq. (7)-(9) of [1], with any number of layers of latent variables.

    The encoder costs `(K + L - 1) M` parameters (section 3.5 of [1]). Missing modalities are completed by iterated
    sampling, Eq. (6).

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of each z_l; z as a whole is `[z_L, .., z_1]`, `[L * D]`.
      num_layers: L, the number of layers of latent variables, 2 by default; with 1 the model is a JMVAE.
      layer_encoder: prototype of f_l, from the features of one layer to those of the next; `networks.mlp()` by default.
      layer_prior: prototype of the network of p(z_{l-1} | z_l), `[B, D]` to features; `networks.mlp()` by default.
      trunk: prototype of a network between the towers and the first layer's head; none by default.

    Raises:
      ValueError: if `num_layers` is not a positive integer.

    Examples:
      >>> model = HierarchicalJMVAE(modalities, latent_dim=64, num_layers=2)
      >>> model.generate({"w": labels}, num_steps=100, seed=1)["x"]
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        num_layers: int = 2,
        layer_encoder: keras.layers.Layer | None = None,
        layer_prior: keras.layers.Layer | None = None,
        trunk: keras.layers.Layer | None = None,
        **kwargs: Any,
    ):
        num_layers = checks.positive_integer("num_layers", num_layers)
        super().__init__(modalities, latent_dim, trunk=trunk, **kwargs)
        self.num_layers = num_layers
        layer_encoder = networks.mlp() if layer_encoder is None else layer_encoder
        layer_prior = networks.mlp() if layer_prior is None else layer_prior
        self._layer_encoder = prototypes.Template(layer_encoder)
        self._layer_prior = prototypes.Template(layer_prior)

        latent_dim = self.latent_dim
        gaussian, layers = heads.Gaussian(event_shape=(latent_dim,)), range(1, num_layers + 1)
        # h_l = f_l(h_{l-1}), q(z_l | x, w) and p(z_l | z_{l+1})
        self.layer_networks = [prototypes.clone(layer_encoder, name=f"layer_network_{i}") for i in layers[1:]]
        self.layer_heads = [heads.Gaussian(event_shape=(latent_dim,), name=f"layer_head_{i}") for i in layers]
        self.layer_priors = [
            Decoder(layer_prior, gaussian, latent_dim, "layer_prior", str(i), f"layer_prior_{i}") for i in layers[:-1]
        ]
        # User-made layers may not infer shapes; a call on one example always makes their weights.
        self._encode_layers({name: tf.zeros((1, *m.event_shape)) for name, m in self.modalities.items()}, False)

    def objective(self, batch, seed, training=False):
        """Computes the terms of Eq. (9) of [1], `[B]` each, in nats, with one sample of each z_l."""
        q = self._encode_layers(batch, training)
        layer_seeds = seeds.split(seed, self.num_layers)
        z = [sampling.draw(q_l, layer_seed) for q_l, layer_seed in zip(q, layer_seeds, strict=True)]
        p_z = [prior(z_above, training=training) for prior, z_above in zip(self.layer_priors, z[1:], strict=True)]
        p_z.append(standard_gaussian(self.latent_dim))
        p = super().likelihoods(z[0], training=training)
        layers = enumerate(zip(q, p_z, strict=True), start=1)
        return {
            # - sum_l E_{q(z_{l+1}|x,w)}[KL(q(z_l|x,w) || p(z_l|z_{l+1}))]
            **{f"kl_prior_{i}": Term(-1.0, kl_divergence(q_l, p_l), to_prior=True) for i, (q_l, p_l) in layers},
            **self.log_likelihoods(p, batch),  # + E_{q(z_1|x,w)}[log p(x|z_1) + log p(w|z_1)]
        }

    def likelihoods(self, z, *, conditions=None, names=None, training=False):
        """Decodes p(m | z_1), with z_1 the last D entries of z, `[..., L * D]`."""
        return super().likelihoods(self.layers_of(z)[0], names=names, training=training)

    def prior(self, conditions=None, training=False):
        """Returns the joint prior p(z_1, .., z_L) of Eq. (7), over `[L * D]`."""

        def layers():
            z_l = yield tfd.JointDistributionCoroutine.Root(standard_gaussian(self.latent_dim))  # p(z_L)
            for layer_prior in reversed(self.layer_priors):
                z_l = yield layer_prior(z_l)  # p(z_{l-1} | z_l)

        return tfd.Blockwise(tfd.JointDistributionCoroutine(layers))

    def layers_of(self, z: tf.Tensor) -> list[tf.Tensor]:
        """Splits z into its layers.

        Args:
          z: `[..., L * D]`, that is `[z_L, .., z_1]`.

        Returns:
          The list `[z_1, .., z_L]` of tensors `[..., D]`.
        """
        return tf.split(z, self.num_layers, axis=-1)[::-1]

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "layer_encoder": prototypes.serialize(self._layer_encoder.layer),
            "layer_prior": prototypes.serialize(self._layer_prior.layer),
        }

    def _make_encoder(self, trunk):
        self.towers = Towers(self.modalities, trunk, "towers")  # h_1 = f_1(x, w)

    def _encode(self, batch, training, known=None):
        """Computes Eq. (8): the layers are independent given the input, so z is one diagonal Gaussian."""
        downwards = self._encode_layers(batch, training, known)[::-1]
        mean = tf.concat([q.mean() for q in downwards], axis=-1)
        variance = tf.concat([q.variance() for q in downwards], axis=-1)
        return diagonal_gaussian(mean, variance)

    def _features(self, batch):
        return self.towers.features(batch)

    def _encode_layers(self, batch: Batch, training: bool, known: Batch | None = None) -> list[tfd.Distribution]:
        """Computes the list `[q(z_1 | x, w), .., q(z_L | x, w)]`."""
        features = [self.towers(batch, training=training, known=known)]
        for network in self.layer_networks:
            features.append(prototypes.read("layer_encoder", network, features[-1], training=training, flat=True))
        return [head(h) for head, h in zip(self.layer_heads, features, strict=True)]

    def latent_noise(self, posterior, seed, num_samples=None):
        """Samples standard normal noise for z_L, then for each layer below it, each with its own seed."""
        top_seed, *layer_seeds = seeds.split(seed, self.num_layers)
        top = self.layers_of(super().latent_noise(posterior, top_seed, num_samples))[-1]
        layer = diagonal_gaussian(top, tf.ones_like(top))
        return tf.concat([top, *(sampling.standard_normal(layer, s) for s in layer_seeds)], axis=-1)

    def draw_latents(self, posterior, noise):
        """Computes z_L from its posterior and the noise, then each z_{l-1} from p(z_{l-1} | z_l): section 3.4."""
        *noise_below, _ = self.layers_of(noise)
        z = [self.layers_of(super().draw_latents(posterior, noise))[-1]]
        for prior, layer_noise in zip(reversed(self.layer_priors), reversed(noise_below), strict=True):
            p = prior(z[-1])
            z.append(p.mean() + p.stddev() * layer_noise)
        return tf.concat(z, axis=-1)
