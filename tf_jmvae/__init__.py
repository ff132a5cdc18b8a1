"""Joint multimodal variational autoencoders for Keras: any modality into any other."""

import importlib
import importlib.util
from typing import Any

from tf_jmvae import _backend, _command

__version__ = "0.1.0"

if not _command.is_running():
    _backend.require_tensorflow()

    from tf_jmvae._public import *  # noqa: F403
    from tf_jmvae._public import __all__ as __all__


def __getattr__(name: str) -> Any:
    """In the command, what others get from the import: loaded when it is asked for."""
    is_module = importlib.util.find_spec(f"{__name__}.{name}") is not None  # which Python finds by itself
    if name.startswith("_") or is_module or not _command.is_running():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _backend.require_tensorflow()
    return getattr(importlib.import_module(f"{__name__}._public"), name)
