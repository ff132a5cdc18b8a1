"""Multimodal VAE models: the base class `MultimodalVAE` and one module per objective."""

from tf_jmvae.models.adversarial import JMVAEKLGAN
from tf_jmvae.models.conditional import CMMA, CVAE
from tf_jmvae.models.flow import Flow
from tf_jmvae.models.hierarchical import HierarchicalJMVAE
from tf_jmvae.models.iterated_sampling import IteratedSampling
from tf_jmvae.models.jmvae import JMVAE, VAE
from tf_jmvae.models.jmvae_kl import JMVAEKL
from tf_jmvae.models.multimodal import MultimodalVAE
from tf_jmvae.models.objective import Term

__all__ = [
    "CMMA",
    "CVAE",
    "JMVAE",
    "JMVAEKL",
    "JMVAEKLGAN",
    "VAE",
    "Flow",
    "HierarchicalJMVAE",
    "IteratedSampling",
    "MultimodalVAE",
    "Term",
]
