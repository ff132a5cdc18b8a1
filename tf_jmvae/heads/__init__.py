"""Heads: Keras layers that map features to TFP distributions, one likelihood per module.

    features [N, F] --projection--> parameters [N, *event_shape] --> p(m | z)

(`tfp.layers` subclasses Keras 2 layers, which cannot be part of a Keras 3 model.)

References:
  [1] Suzuki and Matsuo, Eq. (2)-(4) and section 4.2: the likelihoods of the paper.
"""

from tf_jmvae.heads.base import Head
from tf_jmvae.heads.bernoulli import Bernoulli
from tf_jmvae.heads.beta import Beta
from tf_jmvae.heads.categorical import Categorical
from tf_jmvae.heads.gaussian import Gaussian
from tf_jmvae.heads.laplace import Laplace
from tf_jmvae.heads.negative_binomial import NegativeBinomial
from tf_jmvae.heads.ordinal import Ordinal
from tf_jmvae.heads.poisson import Poisson
from tf_jmvae.heads.registration import get, make, names, register
from tf_jmvae.heads.tokens import AutoregressiveTokens, Tokens

__all__ = [
    "AutoregressiveTokens",
    "Bernoulli",
    "Beta",
    "Categorical",
    "Gaussian",
    "Head",
    "Laplace",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "Tokens",
    "get",
    "make",
    "names",
    "register",
]
