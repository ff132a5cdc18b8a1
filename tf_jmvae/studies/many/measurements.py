"""Measurements of the study of many modalities: classification of the generated images."""

import base64
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae import data
from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.evaluation import Estimate, frechet_distance
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.studies.collector import Collector, Models, load_or_train, scores
from tf_jmvae.studies.many.peers import Images, Peers
from tf_jmvae.studies.many.plan import VIEWS, ManyScale
from tf_jmvae.studies.mnist.measurements import train_classifier
from tf_jmvae.studies.study import Measurement

PRIORS = ("standard", "fitted")
PLAIN = "single-plain"  # single-pull with products of experts that do not remove the prior
SHOWN = (VIEWS[0],)  # views that are given in figures
_FITTED = 10_000  # number of training rows for the fitted prior
_BATCH = 500

Subset = tuple[str, ...]
# Images of one training: of the views that are not given, by the names of the given views or of the prior.
Made = dict[str, Images]


class Read(NamedTuple):
    """Output of a classifier for N images: their classes `[N]`, and its features `[N, F]`."""

    classes: np.ndarray
    features: np.ndarray


def measurements(
    scale: ManyScale, models: Models, source: data.Source, folder: Path, seed: int, peers: Peers | None = None
) -> dict[str, Measurement]:
    """Returns all measurements, in an order in which each training generates its images once.

    Each training has the coherence and the Frechet distance of images given 1 to 4 views, and joint coherence.
    """
    rows, labels = len(source.test["w"]), source.test["w"].argmax(-1)
    subsets = [given for count in scale.counts for given in itertools.combinations(VIEWS, count)]
    collector = Collector(models, seed)

    @functools.cache
    def classifier() -> keras.Model:
        per_view = scale.classifier["rows"]
        x = np.concatenate([source.train[view][:per_view] for view in VIEWS]).astype(np.float32) / 255
        digits = {"x": x, "w": np.tile(source.train["w"][:per_view], (len(VIEWS), 1))}
        of_all = replace(source, train=digits, test={})
        train = functools.partial(train_classifier, of_all, epochs=scale.classifier["epochs"])
        return load_or_train(folder / "classifier.keras", train, seed=seed)

    @functools.cache
    def reader() -> keras.Model:
        """Returns a model from images to scores and to the features before them."""
        return keras.Model(classifier().inputs, [layer.output for layer in reversed(classifier().layers[-2:])])

    def read(images: Mapping[Any, np.ndarray]) -> dict[Any, Read]:
        whole = np.concatenate(list(images.values())) / np.float32(255)
        scores, features = reader().predict(whole, batch_size=_BATCH, verbose=0)
        ends = np.cumsum([len(some) for some in images.values()])[:-1]
        parts = zip(np.split(scores.argmax(-1), ends), np.split(features, ends), strict=True)
        return {name: Read(*part) for name, part in zip(images, parts, strict=True)}

    @functools.cache
    def real() -> dict[str, Read]:
        return read({view: source.test[view] for view in VIEWS})

    @functools.lru_cache(maxsize=1)
    def made(training: str) -> Made:
        if training in scale.peers:
            asked = [list(given) for given in subsets]
            return dict(peers.images(training, scale.peers[training], rows, asked, seed))
        if training == PLAIN:
            return _given(models("single-pull"), source.test, subsets, seed, plain=True)
        return _all_of(models(training), source, subsets, seed)

    @functools.lru_cache(maxsize=1)
    def seen(training: str) -> dict[tuple[str, str], Read]:
        """Classifies each generated view, given some views or from a prior."""
        return read(
            {(given, view): values for given, views in made(training).items() for view, values in views.items()}
        )

    def of_count(training: str, count: int) -> dict[tuple[str, str], Read]:
        found = seen(training).items()
        return {key: one for key, one in found if key[0] not in PRIORS and key[0].count("+") + 1 == count}

    def coherence(training: str, count: int) -> dict[str, Any]:
        found = [one.classes == labels for one in of_count(training, count).values()]
        quantity = f"a view from {count} others is of its class"
        return scores(quantity, "coherence", np.mean(found, axis=0), source.test, seed)

    def matrix(training: str) -> dict[str, Any]:
        means = [
            [
                np.mean([one.classes == labels for (_, own), one in of_count(training, n).items() if own == view])
                for n in scale.counts
            ]
            for view in VIEWS
        ]
        return {"quantity": "coherence by target and by views given", "matrix": np.round(means, 4).tolist()}

    def joint(training: str, prior: str) -> dict[str, Any]:
        first, *others = [seen(training)[prior, view].classes for view in VIEWS]
        agree = np.all([one == first for one in others], axis=0).astype(float)
        return Estimate(
            f"all views from the {prior} prior are of one class", "joint coherence", agree, 1, seed
        ).as_dict()

    def frechet(training: str, count: int) -> dict[str, Any]:
        options = {"features": lambda values: values, "resamples": scale.resamples, "seed": seed}
        distances = [
            frechet_distance(one.features, real()[view].features, **options)
            for (_, view), one in of_count(training, count).items()
        ]
        mean, error = (float(np.mean([getattr(d, key) for d in distances])) for key in ("mean", "standard_error"))
        return {"quantity": f"Frechet distance given {count} views", "mean": mean, "standard_error": error}

    def pictures(training: str) -> dict[str, Any]:
        found = made(training)["+".join(SHOWN)]
        shown = np.stack([found[view][: scale.figure_size] for view in VIEWS if view not in SHOWN])
        return {"quantity": "images", "shape": shown.shape, "values": base64.b64encode(shown.tobytes()).decode()}

    compared = [*scale.trainings, *(scale.peers if peers else ())]
    for training in (*compared, PLAIN):
        add = functools.partial(_add, collector, PLAIN if training == PLAIN else training, rows)
        for count in scale.counts:
            add(f"table-coherence/{training}/{count}", coherence, training, count)
            add(f"frechet/{training}/{count}", frechet, training, count)
        add(f"matrix/{training}", matrix, training)
        if training != PLAIN:
            add(f"pictures/{training}", pictures, training)
            for prior in PRIORS:
                add(f"joint/{training}/{prior}", joint, training, prior)
    if peers:
        for training, one in scale.peers.items():
            _add(collector, training, rows, f"peer/{training}", peers.train, training, one)

    def accuracy() -> dict[str, Any]:
        right = np.mean([one.classes == labels for one in real().values()], axis=0)
        return scores("a real view is of its class", "accuracy", right, source.test, seed)

    collector.add_measurement("classifier", "", accuracy, rows)
    return collector.measurements()


def images_of(measured: Mapping[str, Any], training: str) -> np.ndarray:
    """Returns the pictures of a training, uint8 `[views, N, 28, 28, 3]`."""
    found = measured[f"pictures/{training}"]
    return np.frombuffer(base64.b64decode(found["values"]), np.uint8).reshape(found["shape"])


def _add(collector: Collector, model: str, cost: float, name: str, compute: Callable, *arguments: Any) -> None:
    collector.add_measurement(name, model, functools.partial(compute, *arguments), cost)


def _all_of(model: MultimodalVAE, source: data.Source, subsets: Sequence[Subset], seed: int) -> Made:
    """Generates images given each subset and from both priors, of which one is fitted to complete training rows."""
    model.fit_prior({view: source.train[view][:_FITTED] for view in VIEWS}, seed=seed)
    found = _given(model, source.test, subsets, seed)
    for number, prior in enumerate(PRIORS):
        size = len(source.test["w"])
        drawn = [
            _pixels(
                model, model.sample(min(_BATCH, size - start), prior=prior, seed=tf.constant([seed + number, start]))
            )
            for start in range(0, size, _BATCH)
        ]
        found[prior] = _joined(drawn)
    return found


def _given(model: MultimodalVAE, test: Images, subsets: Sequence[Subset], seed: int, *, plain: bool = False) -> Made:
    """Generates images given each subset, from one sample of z; `plain` uses plain products of experts."""
    return {"+".join(given): _joined(_batches(model, test, given, seed, plain)) for given in subsets}


def _batches(
    model: MultimodalVAE, test: Images, given: Sequence[str], seed: int, plain: bool
) -> Iterator[Mapping[str, np.ndarray]]:
    targets = [view for view in VIEWS if view not in given]
    for start in range(0, len(test["w"]), _BATCH):
        observed = model.read({view: test[view][start : start + _BATCH] for view in given})
        own = tf.constant([seed, start])
        if plain:
            z = _plain_product(model, observed).sample(seed=own)
            made = {view: p.mean() for view, p in model.likelihoods(z, names=targets).items()}
        else:
            made = model.generate(observed, targets=targets, seed=own)
        yield _pixels(model, made)


def _plain_product(model: MultimodalVAE, observed: Images) -> Any:
    """Returns the plain product of all q(z | m), which counts the prior once per modality."""
    experts = [model.posterior({view: values}) for view, values in observed.items()]
    precisions = [1.0 / expert.variance() for expert in experts]
    precision = tf.add_n(precisions)
    mean = tf.add_n([expert.mean() * own for expert, own in zip(experts, precisions, strict=True)]) / precision
    return diagonal_gaussian(mean, 1.0 / precision)


def _pixels(model: MultimodalVAE, made: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {view: model.pixels(view, values).numpy() for view, values in made.items() if view in VIEWS}


def _joined(batches: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    batches = list(batches)
    return {view: np.concatenate([batch[view] for batch in batches]) for view in batches[0]}
