"""JMVAE-kl: an encoder per observable subset, pulled towards the joint one.

    L_kl = L_JM - alpha * sum_S KL(q(z|x,w) || q(z|S))                          Eq. (10)

As printed, Eq. (10) loses the bracket around the sum and has alpha = 1; arXiv 1611.01891 has alpha, and reports 0.01,
0.1 and 1.

References:
  [1] Suzuki and Matsuo, section 3.5.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from tf_jmvae._utils import checks
from tf_jmvae.distributions import conditional_product, kl_divergence
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import Encoder
from tf_jmvae.models.jmvae import JMVAE
from tf_jmvae.models.objective import Term
from tf_jmvae.registry import MODELS


@MODELS.register("jmvae-kl")
@keras.saving.register_keras_serializable("tf_jmvae")
class JMVAEKL(JMVAE):
    """JMVAE-kl, Eq. (10) of [1]: a JMVAE with an encoder for each subset, which needs no iterated sampling.

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      alpha: weight of the KL terms to the subset encoders, 0 or more; 1 by default, as in [1]. Small values favour
        the joint bound, large ones generation from a subset.
      subsets: `"all"`, the default, makes an encoder for every non-empty proper subset, at a cost of `2^(K-1) K M`
        parameters for K modalities of M each (section 3.5 of [1]); `"single"` makes K, and combines them by Bayes' rule
        for larger subsets.
      trunk: prototype of a network between the towers and the Gaussian head of every encoder; none by default.

    Examples:
      >>> model = JMVAEKL({"x": Modality((28, 28, 1), "bernoulli"), "w": Modality((10,), "categorical")}, 64)
      >>> model.generate({"w": labels}, seed=1)["x"]
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        alpha: float = 1.0,
        subsets: str = "all",
        trunk: keras.layers.Layer | None = None,
        **kwargs: Any,
    ):
        alpha = checks.non_negative_number("alpha", alpha)
        checks.check_option("subsets", subsets, ("all", "single"))
        super().__init__(modalities, latent_dim, trunk=trunk, **kwargs)
        self.alpha = alpha
        self.subsets = subsets
        largest = len(self.modalities) - 1 if subsets == "all" else 1
        self.subset_encoders = {}
        for size in range(1, largest + 1):
            for names in itertools.combinations(self.modalities, size):
                own, subset = {name: self.modalities[name] for name in names}, _join(names)
                self.subset_encoders[subset] = Encoder(own, self.latent_dim, trunk, f"subset_encoder_{subset}")

    def _terms(self, batch, q, p, training):
        """The terms of Eq. (10) of [1]."""
        subsets = {name: encoder(batch, training=training) for name, encoder in self.subset_encoders.items()}
        return {
            **super()._terms(batch, q, p, training),  # L_JM
            **{  # - alpha sum_S KL(q(z|x,w) || q(z|S))
                f"kl_{name}": Term(-self.alpha, kl_divergence(q, q_s), in_elbo=False) for name, q_s in subsets.items()
            },
        }

    def posterior(self, observed, *, iterated_sampling=None, seed=None, training=False):
        """Computes q(z | observed) by the encoder of that subset or the product of several; nothing is iterated."""
        observed = checks.to_tensors(self.modalities, observed)
        if len(observed) == len(self.modalities):
            return self._encode(observed, training)
        if _join(observed) in self.subset_encoders:
            return self.subset_encoders[_join(observed)](observed, training=training)
        return conditional_product([self.subset_encoders[name](observed, training=training) for name in observed])

    def iterates(self, observed, iterated_sampling=None):
        return False  # there is an encoder for what is observed

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "subsets": self.subsets}


def _join(names: Iterable[str]) -> str:
    return "_and_".join(names)
