"""Every number of the MNIST study, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_jmvae import data
from tf_jmvae.evaluation import (
    Estimate,
    conditional_coherence,
    conditional_log_likelihood,
    joint_coherence,
    joint_log_likelihood,
    marginal_log_likelihood,
)
from tf_jmvae.models import HierarchicalJMVAE, MultimodalVAE
from tf_jmvae.reproduce import classifier
from tf_jmvae.reproduce.plan import Scale
from tf_jmvae.reproduce.study import Measurement

__all__ = ["COLUMNS", "COMPARED", "ROWS", "Models", "measurements"]

# Columns of Table 1: target and given.
COLUMNS = {"x-given-w": ("x", "w"), "w-given-x": ("w", "x"), "x-given-xw": ("x", "xw"), "w-given-xw": ("w", "xw")}
# Its rows: the training that answers for each target, and what a missing target starts from.
ROWS = {
    "cvae": ({"x": "cvae-x", "w": "cvae-w"}, "zeros"),
    "cvae-prior": ({"x": "cvae-x", "w": "cvae-w"}, None),
    "cmma": ({"x": "cmma-x", "w": "cmma-w"}, None),
    "jmvae": ({"x": "jmvae", "w": "jmvae"}, None),
    "jmvae-kl": ({"x": "jmvae-kl", "w": "jmvae-kl"}, None),
    "jmvae-kl-0.1": ({"x": "jmvae-kl-0.1", "w": "jmvae-kl-0.1"}, None),
    "hierarchical-jmvae": ({"x": "hierarchical-jmvae", "w": "hierarchical-jmvae"}, None),
}
# The models that Figures 3 to 5 compare.
COMPARED = ("jmvae", "hierarchical-jmvae", "jmvae-kl")
_POINTS = 2000


class Models:
    """Loads trained models by name, and keeps the last one."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._last: tuple[str, MultimodalVAE] | None = None

    def __call__(self, name: str) -> MultimodalVAE:
        if self._last is None or self._last[0] != name:
            self._last = name, keras.saving.load_model(self._folder / name / "model.keras")
        return self._last[1]


def measurements(scale: Scale, models: Models, source: data.Source, folder: Path, seed: int) -> dict[str, Measurement]:
    """All measurements, in an order that loads each model once."""
    found: list[tuple[str, str, Measurement]] = []

    def add(name: str, model: str, estimate: Callable[..., Estimate], examples: Mapping[str, Any], **options: Any):
        def compute() -> dict[str, Any]:
            return estimate(models(model), examples, seed=seed, verbose=0, **options).as_dict()

        passes = options.get("num_samples", 1) + options.get("num_steps", 0)
        found.append((model, name, Measurement(compute, len(examples["x"]) * passes)))

    def judge() -> keras.Model:
        return classifier.load_or_train(folder / "classifier.keras", source, epochs=scale.classifier_epochs, seed=seed)

    def judged(model: MultimodalVAE, examples: Mapping[str, Any], **options: Any) -> Estimate:
        return conditional_coherence(model, examples, classifier=judge(), labels=labels, **options)

    def judged_jointly(model: MultimodalVAE, examples: Mapping[str, Any], seed: int, verbose: int) -> Estimate:
        return joint_coherence(model, classifiers={"x": judge()}, num_samples=len(labels), seed=seed, verbose=verbose)

    test, labels = source.test, source.test["w"].argmax(-1)
    first = {name: values[: scale.figure_4_size] for name, values in test.items()}
    sampling = {"num_steps": scale.num_steps, "num_chains": 1}
    samples = {"num_samples": scale.importance_samples}

    for row, (trained, initial) in ROWS.items():
        for column, (target, given) in COLUMNS.items():
            options = {"target": target, "given": [*given], "num_samples": scale.num_samples, "initial": initial}
            if row != "cvae-prior" or target not in given:  # with the target given, both rows are one
                add(f"table-1/{row}/{column}", trained[target], conditional_log_likelihood, test, **options, **sampling)
        for target, given in ("xw", "wx"):
            options = {"target": target, "given": given, "initial": initial, "num_steps": scale.num_steps}
            if target == "x":
                add(f"coherence/{row}/x-from-w", trained["x"], judged, test, **options)
            else:
                add(f"coherence/{row}/w-from-x", trained["w"], conditional_coherence, test, **options)
        if trained["x"] == trained["w"]:
            add(f"coherence/{row}/joint", trained["x"], judged_jointly, test)

    for model in COMPARED:
        for steps in scale.steps if model != "jmvae-kl" else scale.steps[:1]:
            for column in ("x-given-w", "w-given-x"):
                target, given = COLUMNS[column]
                options = {"target": target, "given": given, "num_samples": scale.num_samples}
                chain = {"num_steps": steps, "num_chains": 1}
                add(f"figure-4/{model}/{column}/{steps}", model, conditional_log_likelihood, first, **options, **chain)
        found.append((f"{model}-2d", f"figure-5/{model}-2d", _latents(models, f"{model}-2d", test, scale, seed)))

    for model in ("jmvae", "jmvae-kl", "jmvae-kl-0.1"):
        add(f"importance/{model}/joint", model, joint_log_likelihood, test, **samples)
        proposals = {"jmvae": ("joint",), "jmvae-kl": ("own",), "jmvae-kl-0.1": ("joint", "own")}[model]
        for proposal in proposals:
            options = {"modality": "x", "proposal": proposal}
            add(f"importance/{model}/x-{proposal}", model, marginal_log_likelihood, test, **options, **samples)
    options = {"target": "x", "given": "w", "estimator": "importance"}
    add("importance/jmvae-kl-0.1/x-given-w", "jmvae-kl-0.1", conditional_log_likelihood, test, **options, **samples)

    classify = Measurement(lambda: _accuracy(judge(), test["x"], labels, seed), len(labels))
    found.append(("", "coherence/classifier", classify))
    return {name: compute for _, name, compute in sorted(found, key=lambda entry: entry[0])}


def _latents(models: Models, name: str, test: Mapping[str, np.ndarray], scale: Scale, seed: int) -> Measurement:
    """Figure 5: z from all modalities and from w alone; of a hierarchy the top layer."""

    def compute() -> dict[str, Any]:
        model = models(name)
        batch = {modality: values[:_POINTS] for modality, values in test.items()}
        points = {}
        for number, (key, observed) in enumerate((("all", batch), ("w", {"w": batch["w"]}))):
            posterior = model.posterior(observed, num_steps=scale.num_steps, seed=seed)
            z = posterior.sample(seed=(seed, number))
            points[key] = (model.layers_of(z)[-1] if isinstance(model, HierarchicalJMVAE) else z).numpy()
        area = {key: float(np.sqrt(np.linalg.det(np.cov(z.T)))) for key, z in points.items()}
        rounded = {key: np.round(z.astype(float), 4).tolist() for key, z in points.items()}
        return {
            "quantity": "area of z from w alone, as a share of that from all modalities (root of det cov)",
            "mean": area["w"] / area["all"],
            "num_examples": len(batch["w"]),
            "seed": seed,
            "points": {**rounded, "labels": batch["w"].argmax(-1).tolist()},
        }

    return Measurement(compute, _POINTS * scale.num_steps)


def _accuracy(judge: keras.Model, images: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, Any]:
    right = judge.predict(images, batch_size=500, verbose=0).argmax(-1) == labels
    return Estimate("real x is of its class", "accuracy", right.astype(float), 1, seed).as_dict()
