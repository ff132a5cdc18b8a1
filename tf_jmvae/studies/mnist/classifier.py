"""The classifier of digits that measures the coherence of generated images and labels."""

import keras

from tf_jmvae import data

__all__ = ["of_digits"]


def of_digits(source: data.Source, *, epochs: int) -> keras.Model:
    """A classifier of images x, `[n, *event_shape]` to `[n, C]`, by their one-hot labels w."""
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
