"""Measurements of the study of spoken digits: coherence in every direction, and joint coherence."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_jmvae import data
from tf_jmvae.evaluation import conditional_coherence, joint_coherence
from tf_jmvae.studies.collector import Collector, Models, load_or_train, scores
from tf_jmvae.studies.mnist.measurements import train_classifier
from tf_jmvae.studies.spoken.plan import MODEL
from tf_jmvae.studies.study import Measurement, Scale

MODALITIES = ("image", "sound", "w")
CLASSIFIED = ("image", "sound")  # by a network; of labels the largest probability counts
PRIORS = ("standard", "fitted")
# Every direction: what is given, and the target.
DIRECTIONS = [
    (given, target)
    for count in (1, 2)
    for given in itertools.combinations(MODALITIES, count)
    for target in MODALITIES
    if target not in given
]
_FITTED = 10_000  # training rows that a prior is fitted to


def direction(given: Sequence[str], target: str) -> str:
    """Returns the name of the measurement of a direction."""
    return f"coherence/{'+'.join(given)}/{target}"


def measurements(scale: Scale, models: Models, source: data.Source, folder: Path, seed: int) -> dict[str, Measurement]:
    """Returns all measurements by name: coherences, from both priors if joint, and the accuracy of the classifiers."""
    collector = Collector(models, seed)
    test, labels = source.test, source.test["w"].argmax(-1)
    recordings, recording = np.unique(test["sound"], axis=0, return_inverse=True)

    @functools.cache
    def classifier(name: str) -> keras.Model:
        rows = scale.classifier["rows"]
        digits = {"x": source.train[name][:rows], "w": source.train["w"][:rows]}
        train = functools.partial(
            train_classifier, replace(source, train=digits, test={}), epochs=scale.classifier["epochs"]
        )
        return load_or_train(folder / f"classifier-{name}.keras", train, seed=seed)

    def by_recording(quantity: str, values: np.ndarray) -> dict[str, Any]:
        """Makes a measurement from values of rows, `[N]`, of which some share a recording."""
        means = np.bincount(recording.ravel(), values) / np.bincount(recording.ravel())
        return scores(quantity, "coherence", means, {"sound": recordings}, seed)

    def coherence(given: Sequence[str], target: str) -> dict[str, Any]:
        classify = classifier(target) if target in CLASSIFIED else None
        options = {"target": target, "given": given, "classifier": classify, "labels": labels}
        found = conditional_coherence(models(MODEL), test, **options, seed=seed, verbose=0)
        return by_recording(found.quantity, found.values) if "sound" in given else found.as_dict(values=True)

    def joint(prior: str) -> dict[str, Any]:
        model = models(MODEL)
        if prior == "fitted":
            model.fit_prior({name: source.train[name][:_FITTED] for name in MODALITIES}, seed=seed)
        options = {"classifiers": {name: classifier(name) for name in CLASSIFIED}, "num_samples": len(labels)}
        return joint_coherence(model, prior=prior, **options, seed=seed, verbose=0).as_dict()

    def accuracy(name: str) -> dict[str, Any]:
        right = classifier(name).predict(test[name], batch_size=500, verbose=0).argmax(-1) == labels
        quantity = f"real {name} is of its class"
        if name == "sound":
            return by_recording(quantity, right.astype(float))
        return scores(quantity, "accuracy", right.astype(float), test, seed)

    for given, target in DIRECTIONS:
        compute = functools.partial(coherence, given, target)
        collector.add_measurement(direction(given, target), MODEL, compute, len(labels))
    for prior in PRIORS:
        collector.add_measurement(f"joint/{prior}", MODEL, functools.partial(joint, prior), len(labels))
    for name in CLASSIFIED:
        collector.add_measurement(f"classifier/{name}", "", functools.partial(accuracy, name), len(labels))
    return collector.measurements()


def examples(test: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Takes the first test row of each digit that there is."""
    rows = np.unique(test["w"].argmax(-1), return_index=True)[1]
    return {name: values[rows] for name, values in test.items()}
