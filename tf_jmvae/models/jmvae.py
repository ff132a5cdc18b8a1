"""VAE and JMVAE: one joint encoder, independent decoders.

    L_JM = - KL(q(z|x,w) || p(z)) + E_q[log p(x|z)] + E_q[log p(w|z)]          Eq. (5)

With one modality this is the bound of the VAE, Eq. (1).

References:
  [1] Suzuki and Matsuo, sections 3.1 and 3.2.
"""

import keras

from tf_jmvae.distributions import kl_divergence
from tf_jmvae.models.joint_encoder import JointEncoderVAE
from tf_jmvae.models.terms import Term, log_likelihoods
from tf_jmvae.random import sampling
from tf_jmvae.registry import MODELS

__all__ = ["JMVAE", "VAE"]


@MODELS.register("jmvae")
@keras.saving.register_keras_serializable("tf_jmvae")
class JMVAE(JointEncoderVAE):
    """Joint multimodal VAE, Eq. (5) of [1], of two or more modalities.

    It has no encoder for a subset: missing modalities start from zeros or noise
    and are completed by iterated sampling, Eq. (6). When what is missing is
    much larger than what is observed, that fails; see `JMVAEKL`.

    Args:
      modalities: `Modality` objects by name, at least two.
      latent_dim: D, the size of z.
      trunk: prototype of a network between the towers and the Gaussian head.

    Examples:
      >>> model = JMVAE({"x": Modality((28, 28, 1), "bernoulli"), "w": Modality((10,), "categorical")}, 64)
      >>> model.compile("adam")
      >>> model.fit(train, epochs=10)
      >>> model.generate({"x": images}, num_steps=100, seed=1)["w"]
    """

    def objective(self, batch, seed, training=False):
        """Eq. (5) of [1], with one sample of z."""
        q = self._encode(batch, training)
        p = self.likelihoods(sampling.draw(q, seed), training=training)
        return {
            "kl_prior": Term(-1.0, kl_divergence(q, self.prior()), to_prior=True),  # - KL(q(z|x,w) || p(z))
            **log_likelihoods(p, batch),  # + E_q[log p(x|z)] + E_q[log p(w|z)]
        }


@MODELS.register("vae")
@keras.saving.register_keras_serializable("tf_jmvae")
class VAE(JMVAE):
    """Variational autoencoder of one modality, Eq. (1) of [1]: Eq. (5) with K = 1.

    Args:
      modalities: one `Modality`, by name.
      latent_dim: D, the size of z.
      trunk: prototype of a network before the Gaussian head.

    Examples:
      >>> VAE({"x": Modality((28, 28, 1), "bernoulli")}, latent_dim=64)
    """

    modality_counts = (1, 1)
