"""Independent judges of generated images: convolutional classifiers of real ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from tf_jmvae import data
from tf_jmvae._utils.files import replace_atomically

__all__ = ["aucs", "features", "load_or_train", "of_attributes", "of_digits"]

_BATCH = 64
_FEATURES = "features"


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


def of_attributes(
    source: data.Source, *, epochs: int, seed: int, channels: Sequence[int] = (32, 64, 128, 128)
) -> keras.Model:
    """A classifier of images x, RGB from 0 to 255, to a logit for each attribute w in {-1, 1}.

    `seed` is of the order of the images; `channels` are of the convolutions, each followed by pooling.
    """
    layers = keras.layers
    stack: list[keras.layers.Layer] = [
        layers.Input(source.train["x"].shape[1:]),
        layers.Rescaling(1 / 127.5, offset=-1.0),
    ]
    for number in channels:
        stack += [
            layers.Conv2D(number, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
        ]
    stack += [
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(256, activation="relu", name=_FEATURES),
        layers.Dropout(0.3),
        layers.Dense(source.train["w"].shape[-1], dtype="float32"),
    ]
    classifier = keras.Sequential(stack)
    steps = source.num_batches(_BATCH)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * steps)
    classifier.compile(keras.optimizers.Adam(rate), loss=keras.losses.BinaryCrossentropy(from_logits=True))
    batches = source.train_batches(_BATCH, seed, epochs=range(epochs)).map(lambda b: (b["x"], (b["w"] + 1) / 2))
    classifier.fit(batches, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    return classifier


def aucs(
    classifier: keras.Model, images: np.ndarray, attributes: np.ndarray, names: tuple[str, ...]
) -> dict[str, float]:
    """The area under the ROC curve of each attribute that varies, by name."""
    logits = classifier.predict(images, batch_size=200, verbose=0)
    truth = attributes > 0
    return {
        name: float(roc_auc_score(truth[:, index], logits[:, index]))
        for index, name in enumerate(names)
        if truth[:, index].any() and not truth[:, index].all()
    }


def features(classifier: keras.Model, images: np.ndarray) -> np.ndarray:
    """What the classifier's last hidden layer makes of images, `[N, 256]`."""
    inner = keras.Model(classifier.inputs, classifier.get_layer(_FEATURES).output)
    return inner.predict(images, batch_size=200, verbose=0).astype(np.float64)
