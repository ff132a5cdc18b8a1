"""A map of the latent space: z itself where it has two numbers, else its two main directions."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.decomposition import PCA

from tf_jmvae.data import Source
from tf_jmvae.random import sampling, seeds
from tf_jmvae.report import charts
from tf_jmvae.report.facts import percent

__all__ = ["LatentMap", "latent_map"]

_SIZE = 340
_EXAMPLES = 1000
_BATCH = 250


class LatentMap(NamedTuple):
    """Drawings by title, the classes that colour them with the numbers of their colours, and what one sees."""

    panels: dict[str, str]
    classes: list[tuple[str, int]]
    text: str


def latent_map(model: Any, source: Source, *, seed: int) -> LatentMap | None:
    """Where test examples lie in z, seen through each modality alone as far as the model answers.

    In the first panel the means of the posterior, in the second one sample of z for each example.
    """
    test = {name: source.test[name][:_EXAMPLES] for name in model.modalities}
    if len(next(iter(test.values()))) < 3:
        return None
    observed = _observed(model)
    points = [_latents(model, test, names, seed, mean=i == 0) for i, names in enumerate(observed)]
    text = "Each point is a test example. "
    if points[0].shape[1] == 2:
        text += "z has two numbers, and these are they. "
    else:
        with np.errstate(invalid="ignore"):  # all means are one where the posterior collapsed: 0 of 0
            pca = PCA(2, random_state=seed).fit(points[0])
        fraction = percent(float(np.nan_to_num(pca.explained_variance_ratio_).sum()))
        text += (
            f"z has {points[0].shape[1]} numbers; shown are the two directions along which the means differ most "
            f"(PCA), {fraction} of their variance. "
        )
        points = [pca.transform(z) for z in points]
    classes, how = _classes(model, source, test, points[0])
    text += how
    if len(points) > 1:
        text += (
            f" On the left, the mean of z as inferred from {' and '.join(observed[0])}; on the right, a sample of z as "
            f"inferred from {' and '.join(observed[1])}. The model can translate where the same classes lie in the "
            "same places."
        )
    reach = 1.06 * max(float(np.abs(z).max()) for z in points) or 1.0  # all at 0: a posterior that collapsed
    # Two classes have colours of the style sheet that differ much.
    colors = [0, 5] if len(classes) == 2 else [number % 10 for number in range(len(classes))]
    panels = {}
    for names, z in zip(observed, points, strict=True):
        title = f"q(z | {', '.join(names)})"
        panels[title] = _panel(title, z, reach, classes, colors)
    return LatentMap(panels, [(name, color) for (name, _), color in zip(classes, colors, strict=True)], text)


def _observed(model: Any) -> list[tuple[str, ...]]:
    everything = tuple(model.modalities)
    if model.conditions:
        # Where p(z | conditions) is a network's it is worth a look; N(0, I) is not.
        conditions = {name: tf.zeros((1, *model.modalities[name].event_shape)) for name in model.conditions}
        learned = model.prior(conditions).batch_shape.rank > 0
        return [everything, tuple(model.conditions)] if learned else [everything]
    singles = [(name,) for name in everything if model.has_posterior((name,))]
    return singles[:2] or [everything]


def _latents(model: Any, test, names, seed: int, *, mean: bool) -> np.ndarray:
    parts = []
    for number, start in enumerate(range(0, len(test[names[0]]), _BATCH)):
        batch = {name: test[name][start : start + _BATCH] for name in names}
        first, second = seeds.split(seeds.to_tensor(seed + number), 2)
        posterior = model.posterior(model.read(batch), seed=first)
        z = posterior.mean() if mean else sampling.draw(posterior, second)
        if model.num_layers > 1:
            z = model.layers_of(z)[-1]  # the top layer, from which generation walks down
        parts.append(z.numpy())
    return np.concatenate(parts)


def _classes(model: Any, source: Source, test, points: np.ndarray) -> tuple[list[tuple[str, np.ndarray]], str]:
    """The points of each class, of the label or else of the attribute that is best told apart, and words for it."""
    label, attributes = map(model.spec.first, ("label", "attributes"))
    if label:
        names, labels = model.modalities[label].spec.names(source.class_names), test[label].argmax(-1)
        return [(name, labels == number) for number, name in enumerate(names)], f"The colour is its {label}."
    if not attributes:
        return [("test examples", np.ones(len(points), bool))], ""
    present = test[attributes] > 0
    # How much of an attribute the two directions explain; one that nearly all or none have shows little.
    fraction = present.mean(axis=0)
    explained = np.square(np.nan_to_num(_correlations(points, present))).sum(axis=0)
    entry = int(np.where((fraction > 0.2) & (fraction < 0.8), explained, explained - 2).argmax())
    words = model.modalities[attributes].spec.names(source.class_names)[entry].replace("_", " ")
    text = f"The colour is the attribute {words}, which differs most along them of those that many have."
    return [(words, present[:, entry]), (f"not {words}", ~present[:, entry])], text


def _correlations(points: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Of two directions with attributes, `[2, A]`; NaN where all have an attribute or none, or all points are one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        standardized = (points - points.mean(axis=0)) / points.std(axis=0)
        attributes = (present - present.mean(axis=0)) / present.std(axis=0)
    return standardized.T @ attributes / len(points)


def _panel(title: str, z: np.ndarray, reach: float, classes: list[tuple[str, np.ndarray]], colors: list[int]) -> str:
    axis = charts.axes(_SIZE, _SIZE)
    axis.figure.set_layout_engine("none")
    axis.set(position=(0, 0, 1, 1), xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    for (_, own), color in zip(classes, colors, strict=True):
        axis.plot(*z[own].T, "o", markersize=4.5, gid=f"k{color}")
    for name, own in classes:
        if own.any() and len(classes) > 2:
            axis.text(*np.median(z[own], axis=0), name, ha="center")
    return charts.svg(axis, f"Map of z, {title}, of {len(z)} test examples in {len(classes)} classes.")
