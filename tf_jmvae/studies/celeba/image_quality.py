"""How good generated faces are: by a classifier of attributes that is trained on real ones, and by their sharpness.

References:
  [1] Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017: the
      Frechet distance between Gaussians fitted to features, there of the Inception network.
"""

from collections.abc import Sequence

import keras
import numpy as np
from scipy import linalg
from sklearn.metrics import roc_auc_score

from tf_jmvae import data

__all__ = ["aucs", "features", "frechet_distance", "gradient_magnitude", "of_attributes"]

_BATCH = 64
_FEATURES = "features"


def of_attributes(source: data.Source, *, epochs: int, seed: int, channels: Sequence[int]) -> keras.Model:
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


def gradient_magnitude(images: np.ndarray) -> np.ndarray:
    """The mean length of the brightness gradient of each image, uint8 RGB `[N, H, W, 3]`, in pixel values per pixel."""
    grey = images.astype(np.float64).mean(axis=-1)
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    return np.hypot(down, right).mean(axis=(1, 2))


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """`|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))` of the means and covariances of features `[N, F]` and `[M, F]` [1]."""
    mean, other_mean = features.mean(axis=0), others.mean(axis=0)
    covariance, other_covariance = np.cov(features.T), np.cov(others.T)
    # The eigenvalues of C C' are real and not negative but for rounding.
    eigenvalues = linalg.eigvals(covariance @ other_covariance).real
    root_trace = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    distance = np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * root_trace
    return max(float(distance), 0.0)  # of equal sets, rounding may leave less
