"""Measurements of the MNIST study."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_jmvae import data, evaluation
from tf_jmvae.evaluation import Estimate
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.studies.collector import COMPARED, Collector, Models, load_or_train, scores
from tf_jmvae.studies.collector import ROWS as PAPER_ROWS
from tf_jmvae.studies.study import Measurement, Scale

# Rows of Table 1, and the model of the importance estimates.
_MORE = ("jmvae-kl-0.1", "jmvae-kl-flow")
ROWS = {**PAPER_ROWS, **{name: ({"x": name, "w": name}, None) for name in _MORE}}
_POINTS = 2000


def measurements(scale: Scale, models: Models, source: data.Source, folder: Path, seed: int) -> dict[str, Measurement]:
    """Returns all measurements, in an order that loads each model once."""
    collector = Collector(models, seed)
    add = collector.add

    @functools.cache
    def classifier() -> keras.Model:
        train = functools.partial(train_classifier, source, **scale.classifier)
        return load_or_train(folder / "classifier.keras", train, seed=seed)

    def coherence(model: MultimodalVAE, examples: Mapping[str, Any], **options: Any) -> Estimate:
        return evaluation.conditional_coherence(model, examples, classifier=classifier(), labels=labels, **options)

    def coherence_of_both(model: MultimodalVAE, examples: Mapping[str, Any], **options: Any) -> Estimate:
        return evaluation.joint_coherence(model, classifiers={"x": classifier()}, num_samples=len(labels), **options)

    test, labels = source.test, source.test["w"].argmax(-1)
    first = {name: values[: scale.figure_size] for name, values in test.items()}
    samples = {"num_samples": scale.importance_samples}

    collector.add_table("table-1", ROWS, test, scale)
    for row, (trained, initial) in ROWS.items():
        options = {"iterated_sampling": IteratedSampling(scale.num_steps, initial)}
        add(f"coherence/{row}/x-from-w", trained["x"], coherence, test, target="x", given="w", **options)
        options |= {"target": "w", "given": "x"}
        add(f"coherence/{row}/w-from-x", trained["w"], evaluation.conditional_coherence, test, **options)
        if trained["x"] == trained["w"]:
            add(f"coherence/{row}/joint", trained["x"], coherence_of_both, test)

    collector.add_steps("figure-4", ("x-given-w", "w-given-x"), first, scale)
    for model in COMPARED:
        name = f"{model}-2d"
        latents = functools.partial(_latents, models, name, test, scale, seed)
        collector.add_measurement(f"figure-5/{name}", name, latents, _POINTS * scale.num_steps)

    proposals = {"jmvae": ("joint",), "jmvae-kl": ("own",), **dict.fromkeys(_MORE, ("joint", "own"))}
    for model in proposals:
        add(f"importance/{model}/joint", model, evaluation.joint_log_likelihood, test, **samples)
        for proposal in proposals[model]:
            options = {"modality": "x", "proposal": proposal, **samples}
            add(f"importance/{model}/x-{proposal}", model, evaluation.marginal_log_likelihood, test, **options)
    for model in _MORE:
        options = {"target": "x", "given": "w", "estimator": "importance", **samples}
        add(f"importance/{model}/x-given-w", model, evaluation.conditional_log_likelihood, test, **options)

    def accuracy() -> dict[str, Any]:
        right = classifier().predict(test["x"], batch_size=500, verbose=0).argmax(-1) == labels
        return scores("real x is of its class", "accuracy", right.astype(float), test, seed)

    collector.add_measurement("coherence/classifier", "", accuracy, len(labels))
    return collector.measurements()


def train_classifier(source: data.Source, *, epochs: int) -> keras.Model:
    """Trains a classifier from images x, `[n, *event_shape]`, to `[n, C]`, on their one-hot labels w."""
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


def _latents(models: Models, name: str, test: Mapping[str, np.ndarray], scale: Scale, seed: int) -> dict[str, Any]:
    """Computes Figure 5: z from all modalities and from w alone; in a hierarchy the top layer."""
    model = models(name)
    batch = {modality: values[:_POINTS] for modality, values in test.items()}
    points, area = {}, {}
    for number, (key, observed) in enumerate((("all", batch), ("w", {"w": batch["w"]}))):
        posterior = model.posterior(observed, iterated_sampling=scale.num_steps, seed=seed)
        z = posterior.sample(seed=(seed, number))
        z = (model.layers_of(z)[-1] if model.num_layers > 1 else z).numpy()
        area[key] = float(np.sqrt(np.linalg.det(np.cov(z.T))))
        points[key] = np.round(z.astype(float), 4).tolist()
    return {
        "quantity": "area of z from w alone, as a fraction of that from all modalities (root of det cov)",
        "mean": area["w"] / area["all"],
        "num_examples": len(batch["w"]),
        "seed": seed,
        "points": {**points, "labels": batch["w"].argmax(-1).tolist()},
    }
