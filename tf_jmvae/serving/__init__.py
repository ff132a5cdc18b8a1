"""Inference: one interface to live, exported and served models, export, and deployment files for TF Serving."""

from tf_jmvae.serving.client import (
    Client,
    DeadlineError,
    ServingError,
    UnavailableError,
    UnknownModelError,
    UnknownSignatureError,
)
from tf_jmvae.serving.deployment import write_deployment_files
from tf_jmvae.serving.export import export
from tf_jmvae.serving.inference import InferenceModel

__all__ = [
    "Client",
    "DeadlineError",
    "InferenceModel",
    "ServingError",
    "UnavailableError",
    "UnknownModelError",
    "UnknownSignatureError",
    "export",
    "write_deployment_files",
]
