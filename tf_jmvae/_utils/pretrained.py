"""Pre-trained models that come with the package, by name."""

from pathlib import Path

NAMES = ("mnist_jmvae_kl", "emoji")
_INSTALLED = Path(__file__).resolve().parents[1] / "pretrained"
_FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[2] / "saved_models"  # in a checkout


def default_model() -> Path:
    """Returns the folder of the pre-trained model of MNIST."""
    return _FOLDER / NAMES[0]


def located(handle: str) -> str:
    """Replaces the name of a pre-trained model by its folder; other handles and existing paths are unchanged."""
    return str(_FOLDER / handle) if handle in NAMES and not Path(handle).exists() else handle
