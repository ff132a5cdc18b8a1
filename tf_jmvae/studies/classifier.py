"""Keeps the classifier of real images that measures generated ones."""

from collections.abc import Callable
from pathlib import Path

import keras

from tf_jmvae._utils.files import replace_atomically

__all__ = ["load_or_train"]


def load_or_train(
    path: Path, train: Callable[[], keras.Model], *, seed: int, precision: str = "float32"
) -> keras.Model:
    """Loads a classifier from its file or, where that fails, trains it anew.

    Args:
      path: its `.keras` file.
      train: makes it and trains it, on real images as the dataset has them, and nothing of the models.
      seed: of weights, order and dropout.
      precision: the policy of its layers; that of the process stays what it is.
    """
    if path.exists():
        try:
            return keras.saving.load_model(path)
        except Exception as error:  # Keras has no error of its own for a file that is damaged
            print(f"{path} cannot be loaded ({error}); the classifier is trained anew.", flush=True)
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        classifier = train()
    finally:
        keras.config.set_dtype_policy(before)
    replace_atomically(path, classifier.save)
    return classifier
