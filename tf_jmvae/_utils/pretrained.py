"""Where the pre-trained model is."""

from pathlib import Path

__all__ = ["default_model"]

_PRETRAINED = Path("saved_models/mnist_jmvae_kl")
_CHECKOUT = Path(__file__).resolve().parents[2]


def default_model() -> Path:
    """The pre-trained model, in the current folder or in the checkout of this package.

    Raises:
      FileNotFoundError: it is in neither.
    """
    for folder in (Path(), _CHECKOUT):
        if (folder / _PRETRAINED).is_dir():
            return folder / _PRETRAINED
    raise FileNotFoundError(
        f"The pre-trained model {_PRETRAINED} is not here. Name a model: the folder of a run, a model.keras, or an "
        "exported SavedModel. 'tf-jmvae train' makes one."
    )
