"""Every number of the CelebA study, by name."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae import data
from tf_jmvae.evaluation import attribute_accuracy
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.studies import classifier
from tf_jmvae.studies.celeba.plan import UNWEIGHTED, Scale
from tf_jmvae.studies.collector import ROWS, Collector, Models, scores
from tf_jmvae.studies.image_quality import frechet_distance, gradient_magnitude
from tf_jmvae.studies.study import Measurement

__all__ = ["JUDGED", "generate", "measurements"]

# The models whose images the judge sees, each with whether it needs steps.
JUDGED = dict.fromkeys(("jmvae-kl", "jmvae-kl-gan", "cmma-x", "cvae-x"), False)
JUDGED |= dict.fromkeys(("jmvae", "hierarchical-jmvae"), True)
_BATCH = 200


def measurements(scale: Scale, models: Models, source: data.Source, folder: Path, seed: int) -> dict[str, Measurement]:
    """All measurements, in an order that loads each model once."""
    collector = Collector(models, seed)
    test, names, size = source.test, source.class_names, len(source.test["x"])
    first = {name: values[: scale.figure_7_size] for name, values in test.items()}

    @functools.cache
    def judge() -> keras.Model:
        options = {"epochs": scale.judge_epochs, "seed": seed, "channels": scale.judge_channels}
        train = functools.partial(classifier.of_attributes, source, **options)
        return classifier.load_or_train(
            folder / "attribute_classifier.keras", train, seed=seed, precision="mixed_bfloat16"
        )

    def judged(images: Callable[[], np.ndarray], quantity: str) -> dict[str, Any]:
        found = classifier.aucs(judge(), images(), test["w"], names)
        return {"quantity": f"AUC of {quantity}", "by_attribute": found, "mean": float(np.mean(list(found.values())))}

    def looked_at(images: Callable[[], np.ndarray], quantity: str) -> dict[str, Any]:
        made = images()
        real = classifier.features(judge(), test["x"])
        title = f"mean gradient magnitude of {quantity}"
        found = scores(title, "grey levels per pixel", gradient_magnitude(made), test, seed)
        return {**found, "frechet_distance": frechet_distance(classifier.features(judge(), made), real)}

    def generated(model: str, **options: Any) -> np.ndarray:
        return generate(models(model), test["w"], seed=seed, **options)

    def add(name: str, model: str, compute: Callable[..., dict[str, Any]], *arguments: Any, cost: float = size) -> None:
        collector.add_measurement(name, model, functools.partial(compute, *arguments), cost)

    collector.add_table("table-2", ROWS, test, scale)
    collector.add_steps("figure-7", ("x-given-w",), first, scale)
    named = {row: (trained["w"], initial) for row, (trained, initial) in ROWS.items() if row != "cvae-prior"}
    named |= {model: (model, None) for model in ("jmvae-kl-gan", *([UNWEIGHTED] if scale.unweighted else []))}
    for row, (model, initial) in named.items():
        options = {"iterated_sampling": IteratedSampling(scale.num_steps, initial)}
        collector.add(f"attributes/{row}", model, attribute_accuracy, test, **options)

    for model, iterates in (JUDGED | ({UNWEIGHTED: True} if scale.unweighted else {})).items():
        for steps in (1, scale.num_steps) if iterates else (1,):
            images = functools.partial(generated, model, num_steps=steps)
            quantity = f"images of {model} from attributes, " + (f"{steps} steps" if iterates else "z at its mean")
            add(f"judge/{model}/{steps}", model, judged, images, quantity, cost=size * steps)
    for model in ("jmvae-kl", "jmvae-kl-gan"):
        images = functools.partial(generated, model, latent="sample")
        add(f"sharpness/{model}", model, looked_at, images, f"images of {model} from attributes, z ~ q(z | w)")

    add("judge/real", "", judged, lambda: test["x"], "real images")
    add("sharpness/real", "", looked_at, lambda: test["x"], "real images")
    add("attributes/majority", "", _majority, source, seed)
    add("figure-7/mean-image", "jmvae-kl", lambda: _mean_image(models("jmvae-kl"), first["x"], seed))
    return collector.measurements()


def generate(
    model: MultimodalVAE, attributes: np.ndarray, *, num_steps: int = 1, latent: str = "mean", seed: int = 0
) -> np.ndarray:
    """Images from attributes `[N, A]` as pixels, uint8 `[N, H, W, 3]`, a batch at a time."""
    batches = [
        model.generate(
            {"w": attributes[start : start + _BATCH]},
            targets=["x"],
            latent=latent,
            num_steps=num_steps,
            seed=tf.constant([seed, start]),
        )["x"]
        for start in range(0, len(attributes), _BATCH)
    ]
    return np.concatenate([model.pixels("x", images) for images in batches])


def _mean_image(model: MultimodalVAE, images: np.ndarray, seed: int) -> dict[str, Any]:
    """How likely images are if nothing is known of them: under the mean image, 0, with the models' variance of 1."""
    images = model.read({"x": images})["x"].numpy()
    values = -0.5 * (np.square(images) + np.log(2 * np.pi)).reshape(len(images), -1).sum(axis=1, dtype=np.float64)
    return scores("log p(x) under the mean image", "exact", values, {"x": images}, seed)


def _majority(source: data.Source, seed: int) -> dict[str, Any]:
    """How often each attribute has the value that most training images have."""
    guess = np.where(source.train["w"].mean(axis=0) > 0, 1, -1)
    shares = (source.test["w"] == guess).mean(axis=1)
    return scores("w is what most training images have", "attribute accuracy", shares, source.test, seed)
