"""Public names of `tf_jmvae`; importing them registers every class with Keras, so that it can load them."""

from tf_jmvae import callbacks, data, distributions, evaluation, heads, images, networks, optimizers, serving, tables
from tf_jmvae.editing import edit, infer_attributes
from tf_jmvae.modality import Modality
from tf_jmvae.models import (
    CMMA,
    CVAE,
    JMVAE,
    JMVAEKL,
    JMVAEKLGAN,
    VAE,
    Flow,
    HierarchicalJMVAE,
    IteratedSampling,
    MultimodalVAE,
    Term,
)
from tf_jmvae.serving import hub
from tf_jmvae.serving.opening import open_model
from tf_jmvae.specs import Columns, Preprocessing
from tf_jmvae.training.build import from_preset

__all__ = [
    "CMMA",
    "CVAE",
    "JMVAE",
    "JMVAEKL",
    "JMVAEKLGAN",
    "VAE",
    "Columns",
    "Flow",
    "HierarchicalJMVAE",
    "IteratedSampling",
    "Modality",
    "MultimodalVAE",
    "Preprocessing",
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
    "open_model",
    "optimizers",
    "serving",
    "tables",
]
