"""An independent judge of generated digits: a small convolutional classifier of real ones."""

from pathlib import Path

import keras

from tf_jmvae import data
from tf_jmvae.files import replace_atomically

__all__ = ["load_or_train"]


def load_or_train(path: Path, source: data.Source, *, epochs: int, seed: int) -> keras.Model:
    """The classifier of images x, `[n, *event_shape]` to `[n, C]`, from its file or, where that fails, trained anew.

    It sees real images as the dataset has them, and nothing of the models.

    Args:
      path: its `.keras` file.
      source: images x and one-hot labels w.
      epochs: passes over the training images.
      seed: of weights, order and dropout.
    """
    if path.exists():
        try:
            return keras.saving.load_model(path)
        except Exception as error:  # Keras has no error of its own for a file that is damaged
            print(f"{path} cannot be loaded ({error}); the classifier is trained anew.", flush=True)
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy("float32")
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
    replace_atomically(path, classifier.save)
    return classifier
