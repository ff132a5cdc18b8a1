"""The pre-trained models that come with the package, by their names."""

from pathlib import Path

NAMES = ("mnist_jmvae_kl", "emoji")
_INSTALLED = Path(__file__).resolve().parents[1] / "pretrained"
_FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[2] / "saved_models"  # of a checkout


def default_model() -> Path:
    """The folder of the pre-trained model of MNIST."""
    return _FOLDER / NAMES[0]


def located(handle: str) -> str:
    """The folder of a pre-trained model for its name; anything else, and a path that exists, stays as it is."""
    return str(_FOLDER / handle) if handle in NAMES and not Path(handle).exists() else handle
