"""Independent judges of generated images: convolutional classifiers of real ones, of digits here."""

from collections.abc import Callable
from pathlib import Path

import keras

from tf_jmvae import data
from tf_jmvae.files import replace_atomically

__all__ = ["load_or_train", "trained"]


def load_or_train(
    path: Path, train: Callable[[], keras.Model], *, seed: int, precision: str = "float32"
) -> keras.Model:
    """A classifier from its file or, where that fails, trained anew.

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


def trained(source: data.Source, *, epochs: int) -> keras.Model:
    """A classifier of images x, `[n, *event_shape]` to `[n, C]`.

    Args:
      source: images x and one-hot labels w.
      epochs: passes over the training images.
    """
    layers = keras.layers
    conv = {"kernel_size": 3, "activation": "relu", "padding": "same"}
    classifier = keras.Sequential(
        [
            layers.Input(source.train["x"].shape[1:]),
            layers.Conv2D(32, **conv),
            layers.MaxPooling2D(),
            layers.Conv2D(64, **conv),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dense(source.train["w"].shape[-1], activation="softmax"),
        ]
    )
    classifier.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(source.train["x"], source.train["w"], batch_size=128, epochs=epochs, verbose=0)
    return classifier
