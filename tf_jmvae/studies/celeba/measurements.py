"""Measurements of the CelebA study, with a classifier of attributes and the sharpness of generated faces."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from tf_jmvae import data
from tf_jmvae.evaluation import attribute_accuracy
from tf_jmvae.evaluation.frechet import distance_of_features
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.studies.celeba.plan import UNWEIGHTED
from tf_jmvae.studies.collector import ROWS, Collector, Models, load_or_train, scores
from tf_jmvae.studies.study import Measurement, Scale

# Models whose images are classified, and whether each iterates.
CLASSIFIED = dict.fromkeys(("jmvae-kl", "jmvae-kl-gan", "cmma-x", "cvae-x"), False)
CLASSIFIED |= dict.fromkeys(("jmvae", "hierarchical-jmvae", UNWEIGHTED), True)
_BATCH, _TRAIN_BATCH = 200, 64
_FEATURES = "features"


def measurements(scale: Scale, models: Models, source: data.Source, folder: Path, seed: int) -> dict[str, Measurement]:
    """Returns all measurements, in an order that loads each model once."""
    collector = Collector(models, seed)
    test, names, size = source.test, source.class_names, len(source.test["x"])
    first = {name: values[: scale.figure_size] for name, values in test.items()}

    @functools.cache
    def trained() -> keras.Model:
        train = functools.partial(train_classifier, source, seed=seed, **scale.classifier)
        return load_or_train(folder / "attribute_classifier.keras", train, seed=seed, precision="mixed_bfloat16")

    def classified(images: Callable[[], np.ndarray], quantity: str) -> dict[str, Any]:
        found = _aucs(trained(), images(), test["w"], names)
        return {"quantity": f"AUC of {quantity}", "by_attribute": found, "mean": float(np.mean(list(found.values())))}

    def sharpness(images: Callable[[], np.ndarray], quantity: str) -> dict[str, Any]:
        made, title = images(), f"mean gradient magnitude of {quantity}"
        found = scores(title, "pixel values per pixel", _gradient_magnitude(made), test, seed)
        hidden = (_features(trained(), shown) for shown in (made, test["x"]))
        return {**found, "frechet_distance": distance_of_features(*hidden)}

    def add(name: str, model: str, compute: Callable[..., dict[str, Any]], *arguments: Any, cost: float = size) -> None:
        collector.add_measurement(name, model, functools.partial(compute, *arguments), cost)

    collector.add_table("table-2", ROWS, test, scale)
    collector.add_steps("figure-7", ("x-given-w",), first, scale)
    named = {row: (trained["w"], initial) for row, (trained, initial) in ROWS.items() if row != "cvae-prior"}
    named |= {model: (model, None) for model in ("jmvae-kl-gan", UNWEIGHTED) if model in scale.trainings}
    for row, (model, initial) in named.items():
        options = {"iterated_sampling": IteratedSampling(scale.num_steps, initial)}
        collector.add(f"attributes/{row}", model, attribute_accuracy, test, **options)

    def generated(model: str, **options: Any) -> Callable[[], np.ndarray]:
        return lambda: generate(models(model), test["w"], seed=seed, **options)

    for model in filter(scale.trainings.__contains__, CLASSIFIED):
        iterates = CLASSIFIED[model]
        for steps in (1, scale.num_steps) if iterates else (1,):
            quantity = f"images of {model} from attributes, " + (f"{steps} steps" if iterates else "z at its mean")
            images = generated(model, num_steps=steps)
            add(f"classifier/{model}/{steps}", model, classified, images, quantity, cost=size * steps)
    for model in ("jmvae-kl", "jmvae-kl-gan"):
        quantity = f"images of {model} from attributes, z ~ q(z | w)"
        add(f"sharpness/{model}", model, sharpness, generated(model, latent="sample"), quantity)

    add("classifier/real", "", classified, lambda: test["x"], "real images")
    add("sharpness/real", "", sharpness, lambda: test["x"], "real images")
    add("attributes/majority", "", _majority, source, seed)
    add("figure-7/mean-image", "jmvae-kl", lambda: _mean_image(models("jmvae-kl"), first["x"], seed))
    return collector.measurements()


def generate(
    model: MultimodalVAE, attributes: np.ndarray, *, num_steps: int = 1, latent: str = "mean", seed: int = 0
) -> np.ndarray:
    """Generates images from attributes `[N, A]` as pixel values, uint8 `[N, H, W, 3]`, batch by batch."""
    images = []
    for start in range(0, len(attributes), _BATCH):
        options = {"latent": latent, "num_steps": num_steps, "seed": tf.constant([seed, start])}
        made = model.generate({"w": attributes[start : start + _BATCH]}, targets=["x"], **options)["x"]
        images.append(model.pixels("x", made))
    return np.concatenate(images)


def train_classifier(source: data.Source, *, epochs: int, seed: int, channels: Sequence[int]) -> keras.Model:
    """Trains a classifier from images x, RGB from 0 to 255, to a logit for each attribute w in {-1, 1}.

    `seed` is the seed of the order of the images; `channels` are those of the convolutions, each followed by pooling.
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
    steps = source.num_batches(_TRAIN_BATCH)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * steps)
    classifier.compile(keras.optimizers.Adam(rate), loss=keras.losses.BinaryCrossentropy(from_logits=True))
    batches = source.train_batches(_TRAIN_BATCH, seed, epochs=range(epochs)).map(lambda b: (b["x"], (b["w"] + 1) / 2))
    classifier.fit(batches, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    return classifier


def _aucs(model: keras.Model, images: np.ndarray, attributes: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Computes the area under the ROC curve of each attribute that varies, by name."""
    logits = model.predict(images, batch_size=_BATCH, verbose=0)
    truth = attributes > 0
    return {
        name: float(roc_auc_score(truth[:, index], logits[:, index]))
        for index, name in enumerate(names)
        if truth[:, index].any() and not truth[:, index].all()
    }


def _features(classifier: keras.Model, images: np.ndarray) -> np.ndarray:
    """Computes the activations of the classifier's last hidden layer for images, `[N, 256]`."""
    inner = keras.Model(classifier.inputs, classifier.get_layer(_FEATURES).output)
    return inner.predict(images, batch_size=_BATCH, verbose=0).astype(np.float64)


def _gradient_magnitude(images: np.ndarray) -> np.ndarray:
    """Computes the mean magnitude of each image's brightness gradient, in pixel values per pixel, `[N]`."""
    grey = images.astype(np.float64).mean(axis=-1)
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    return np.hypot(down, right).mean(axis=(1, 2))


def _mean_image(model: MultimodalVAE, images: np.ndarray, seed: int) -> dict[str, Any]:
    """Computes the log-likelihood of images under a baseline, the mean image, 0, with the models' variance of 1."""
    images = model.read({"x": images})["x"].numpy()
    values = -0.5 * (np.square(images) + np.log(2 * np.pi)).reshape(len(images), -1).sum(axis=1, dtype=np.float64)
    return scores("log p(x) under the mean image", "exact", values, {"x": images}, seed)


def _majority(source: data.Source, seed: int) -> dict[str, Any]:
    """Computes the accuracy of a baseline, the most frequent value of each attribute in the training images."""
    guess = np.where(source.train["w"].mean(axis=0) > 0, 1, -1)
    right = (source.test["w"] == guess).mean(axis=1)
    return scores("w is what most training images have", "attribute accuracy", right, source.test, seed)
