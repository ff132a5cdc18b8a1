"""Joint multimodal variational autoencoders for Keras: any modality into any other."""

from tf_jmvae import _backend

_backend.require_tensorflow()

from tf_jmvae import (  # noqa: E402
    callbacks,
    data,
    distributions,
    evaluation,
    heads,
    images,
    networks,
    optimizers,
    serving,
)
from tf_jmvae.editing import edit, infer_attributes  # noqa: E402
from tf_jmvae.modality import Modality  # noqa: E402
from tf_jmvae.models import (  # noqa: E402
    CMMA,
    CVAE,
    JMVAE,
    JMVAEKL,
    JMVAEKLGAN,
    VAE,
    HierarchicalJMVAE,
    MultimodalVAE,
    Term,
)
from tf_jmvae.serving import hub  # noqa: E402
from tf_jmvae.training.presets import from_preset  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "CMMA",
    "CVAE",
    "JMVAE",
    "JMVAEKL",
    "JMVAEKLGAN",
    "VAE",
    "HierarchicalJMVAE",
    "Modality",
    "MultimodalVAE",
    "Term",
    "callbacks",
    "data",
    "distributions",
    "edit",
    "evaluation",
    "from_preset",
    "heads",
    "hub",
    "images",
    "infer_attributes",
    "networks",
    "optimizers",
    "serving",
]
