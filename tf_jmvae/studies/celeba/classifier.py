"""The classifier of attributes: their areas under the ROC curve in generated images, and features of faces."""

from collections.abc import Sequence

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from tf_jmvae import data

__all__ = ["aucs", "features", "of_attributes"]

_BATCH = 64
_FEATURES = "features"


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


def aucs(classifier: keras.Model, images: np.ndarray, attributes: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The area under the ROC curve of each attribute that varies, by name."""
    logits = classifier.predict(images, batch_size=200, verbose=0)
    truth = attributes > 0
    return {
        name: float(roc_auc_score(truth[:, index], logits[:, index]))
        for index, name in enumerate(names)
        if truth[:, index].any() and not truth[:, index].all()
    }


def features(classifier: keras.Model, images: np.ndarray) -> np.ndarray:
    """The activations of the classifier's last hidden layer for images, `[N, 256]`."""
    inner = keras.Model(classifier.inputs, classifier.get_layer(_FEATURES).output)
    return inner.predict(images, batch_size=200, verbose=0).astype(np.float64)
