"""Measurements of the study of incomplete rows."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from tf_jmvae import data, evaluation
from tf_jmvae.evaluation import Estimate
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.studies.collector import Collector, Models, load_or_train
from tf_jmvae.studies.mnist.measurements import train_classifier
from tf_jmvae.studies.study import Measurement, Scale


def measurements(scale: Scale, models: Models, source: data.Source, folder: Path, seed: int) -> dict[str, Measurement]:
    """Returns all measurements, in an order that loads each model once.

    Each training has the accuracy of digits predicted from test images, log p(x), and the fraction of images from
    labels that a classifier recognises.
    """
    collector, test, labels = Collector(models, seed), source.test, source.test["w"].argmax(-1)

    @functools.cache
    def classifier() -> keras.Model:
        train = functools.partial(train_classifier, source, **scale.classifier)
        return load_or_train(folder / "classifier.keras", train, seed=seed)

    def recognised(model: MultimodalVAE, examples: Mapping[str, Any], **options: Any) -> Estimate:
        return evaluation.conditional_coherence(model, examples, classifier=classifier(), labels=labels, **options)

    for training in scale.trainings:
        add = functools.partial(collector.add, model=training, examples=test)
        named = {"estimate": evaluation.conditional_coherence, "latent": "mean"}
        add(f"table-named/{training}/w-from-x", target="w", given="x", **named)
        add(f"table-recognised/{training}/x-from-w", estimate=recognised, target="x", given="w")
        scored = {"estimate": evaluation.marginal_log_likelihood, "proposal": "own"}
        add(f"table-scored/{training}/x", modality="x", num_samples=scale.importance_samples, **scored)
    return collector.measurements()
