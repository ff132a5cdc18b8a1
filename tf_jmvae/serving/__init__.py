"""Exported models: written by `export`, behind TF Serving by `Client`, in this process by `tf_jmvae.hub.load`."""

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

__all__ = [
    "Client",
    "DeadlineError",
    "ServingError",
    "UnavailableError",
    "UnknownModelError",
    "UnknownSignatureError",
    "export",
    "write_deployment_files",
]
