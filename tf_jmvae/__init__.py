"""Joint multimodal variational autoencoders for Keras: any modality into any other."""

from tf_jmvae._utils import command as _command
from tf_jmvae._utils import extras as _extras

__version__ = "0.1.0"

if _command.is_running():

    def __getattr__(name: str) -> object:
        """Loads a public name on first use, so that the command line starts without TensorFlow."""
        import importlib
        import importlib.util

        if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")  # Python finds submodules itself
        _extras.require_tensorflow()
        return getattr(importlib.import_module(f"{__name__}._public"), name)

else:
    _extras.require_tensorflow()

    from tf_jmvae._public import *  # noqa: F403
    from tf_jmvae._public import __all__ as __all__
