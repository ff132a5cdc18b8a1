"""SVG drawings of the page: a small chart for each term of the bound, and a map of the latent space."""

import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.decomposition import PCA

from tf_jmvae._utils.gaps import missing_rows, rows_with_any, rows_without
from tf_jmvae.data import Source
from tf_jmvae.random import sampling, seeds
from tf_jmvae.report.facts import meaning, number, percent

_PIXELS = 72  # pixels per inch of an SVG
_MAP_SIZE, _EXAMPLES, _BATCH = 340, 1000, 250
_COLORS = 10  # number of colours of the style sheet


class Chart(NamedTuple):
    """Chart of a term over the epochs: its name, its meaning in a sentence, its drawing, and its last values."""

    name: str
    meaning: str
    svg: str
    last: dict[str, str]


def charts(history: Mapping[str, Sequence[float | None]]) -> list[Chart]:
    """Draws a chart for each term: the bound first, then in the equation's order."""
    names = [name for name in history if name != "seconds" and not name.startswith("val_")]
    order = sorted(names, key=lambda name: (name != "elbo", name == "loss"))
    made = (_chart(name, history[name], history.get(f"val_{name}", ())) for name in order)
    return [chart for chart in made if chart]


def _chart(name: str, train: Sequence[float | None], validation: Sequence[float | None]) -> Chart | None:
    lines = {}
    for label, values in (("training", train), ("test", validation)):
        points = [(epoch, v) for epoch, v in enumerate(values, start=1) if v is not None and math.isfinite(v)]
        if points:
            lines[label] = points
    if not lines:
        return None
    axis = _axes(320, 190)
    for label, points in lines.items():
        marker = "o" if label == "test" and len(points) <= 40 else ""
        axis.plot(*zip(*points, strict=True), gid=label, marker=marker, markersize=5)
    last_epoch = max(len(train), len(validation), 2)
    axis.set_xlim(1, last_epoch)
    axis.set_xticks(np.unique(np.linspace(1, last_epoch, 5).astype(int)))
    low, high = axis.get_ylim()
    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= tick <= high]
    places = next((p for p in range(5) if np.allclose(ticks, np.round(ticks, p), rtol=0, atol=1e-9)), 4)
    axis.set_yticks(ticks, [number(tick, places) for tick in ticks])
    axis.grid(axis="y", gid="grid")
    last = {label: _significant(points[-1][1]) for label, points in lines.items()}
    words = ", ".join(f"{label} {value}" for label, value in last.items())
    alt = f"{name} over {len(train)} epochs; at the end {words}."
    return Chart(name, meaning(name), _svg(axis, alt), last)


def _significant(value: float) -> str:
    """Formats a value of any size with about four significant digits."""
    return number(value, min(4, max(0, 3 - math.floor(math.log10(abs(value))))) if value else 0)


def scatter(name: str, truth: np.ndarray, said: np.ndarray) -> Chart:
    """Draws predictions of a column's hidden cells over the true values, `[N]`, with the diagonal."""
    axis = _axes(320, 240)
    low, high = (float(side(np.concatenate([truth, said]))) for side in (np.min, np.max))
    axis.plot([low, high], [low, high], gid="training")
    axis.plot(truth, said, "o", markersize=4.5, gid="k0")
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.grid(gid="grid")
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = float(np.corrcoef(truth, said)[0, 1]) if len(truth) > 1 else math.nan
    alt = f"{name}: the model's predictions for {len(truth)} hidden cells over their true values."
    return Chart(name, "", _svg(axis, alt), {"correlation": number(correlation, 2)})


class LatentMap(NamedTuple):
    """Maps of z by the observed modalities, classes with the numbers of their colours, and texts of the page."""

    panels: dict[tuple[str, ...], str]
    classes: list[tuple[str, int]]
    coloring: str  # a sentence
    latent_dim: int
    explained: str  # variance explained by two directions; empty if z has two entries


def latent_map(model: Any, source: Source, *, seed: int) -> LatentMap | None:
    """Draws test examples in z, given each modality alone if the model has a posterior for it.

    The first panel shows the means of the posterior, the second one sample of z for each example.
    """
    observed = _observed(model)
    held = [rows_with_any([source.test[name] for name in names]) for names in observed]
    if not model.incomplete_rows:
        held.append(~rows_without(model.modalities, source.test))
    rows = np.flatnonzero(np.all(held, axis=0))[:_EXAMPLES]
    if len(rows) < 3:
        return None
    test = {name: source.test[name][rows] for name in model.modalities}
    points = [_latents(model, test, names, seed, mean=i == 0) for i, names in enumerate(observed)]
    latent_dim, explained = points[0].shape[1], ""
    if latent_dim != 2:
        with np.errstate(invalid="ignore"):  # a collapsed posterior has equal means, and 0 / 0 explained variance
            pca = PCA(2, random_state=seed).fit(points[0])
        explained = percent(float(np.nan_to_num(pca.explained_variance_ratio_).sum()))
        points = [pca.transform(z) for z in points]
    classes, coloring = _classes(model, source, test, points[0])
    reach = 1.06 * max(float(np.abs(z).max()) for z in points) or 1.0  # all means are 0 if the posterior collapsed
    # Two classes get clearly different colours of the style sheet.
    colors = [0, 5] if len(classes) == 2 else [number % _COLORS for number in range(len(classes))]
    panels = {names: _panel(names, z, reach, classes, colors) for names, z in zip(observed, points, strict=True)}
    shown = [(name, color) for (name, _), color in zip(classes, colors, strict=True)]
    return LatentMap(panels, shown, coloring, latent_dim, explained)


def _observed(model: Any) -> list[tuple[str, ...]]:
    everything = tuple(model.modalities)
    if model.conditions:
        # p(z | conditions) is shown if it is learned, but not N(0, I).
        conditions = {name: tf.zeros((1, *model.modalities[name].event_shape)) for name in model.conditions}
        learned = model.prior(conditions).batch_shape.rank > 0
        return [everything, tuple(model.conditions)] if learned else [everything]
    singles = [(name,) for name in everything if model.has_posterior((name,))]
    return singles[:2] or [everything]


def _latents(model: Any, test, names, seed: int, *, mean: bool) -> np.ndarray:
    parts = []
    for index, start in enumerate(range(0, len(test[names[0]]), _BATCH)):
        batch = {name: test[name][start : start + _BATCH] for name in names}
        first, second = seeds.split(seeds.to_tensor(seed + index), 2)
        posterior = model.posterior(model.read(batch), seed=first)
        z = posterior.mean() if mean else sampling.draw(posterior, second)
        if model.num_layers > 1:
            z = model.layers_of(z)[-1]  # the top layer, from which generation starts
        parts.append(z.numpy())
    return np.concatenate(parts)


def _classes(model: Any, source: Source, test, points: np.ndarray) -> tuple[list[tuple[str, np.ndarray]], str]:
    """Returns masks of the classes, of the label or else of the best separated attribute, and a text about them."""
    label, attributes = map(model.spec.first, ("label", "attributes"))
    if label:
        names, labels = model.modalities[label].spec.names(source.class_names), test[label].argmax(-1)
        known = ~missing_rows(test[label])
        classes = [(name, known & (labels == number)) for number, name in enumerate(names)]
        if len(names) > _COLORS:  # only the most frequent classes
            classes = sorted(classes, key=lambda one: -one[1].sum())[: _COLORS - 1]
        others = ~np.any([own for _, own in classes], axis=0)
        classes += [("any other" if len(names) > _COLORS else "not known", others)] if others.any() else []
        return classes, f"Colours show the {label} of the example."
    if not attributes:
        return [("test examples", np.ones(len(points), bool))], ""
    present = test[attributes] > model.modalities[attributes].spec.threshold
    # Variance of an attribute explained by the two directions; rare and very frequent ones are ranked last.
    fraction = present.mean(axis=0)
    explained = np.square(np.nan_to_num(_correlations(points, present))).sum(axis=0)
    entry = int(np.where((fraction > 0.2) & (fraction < 0.8), explained, explained - 2).argmax())
    words = model.modalities[attributes].spec.names(source.class_names)[entry].replace("_", " ")
    text = f"Colours show the attribute {words}, the one of medium frequency that the axes explain best."
    return [(words, present[:, entry]), (f"not {words}", ~present[:, entry])], text


def _correlations(points: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Computes correlations of two directions with attributes, `[2, A]`; NaN if either is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        standardized = (points - points.mean(axis=0)) / points.std(axis=0)
        attributes = (present - present.mean(axis=0)) / present.std(axis=0)
    return standardized.T @ attributes / len(points)


def _panel(names, z: np.ndarray, reach: float, classes: list[tuple[str, np.ndarray]], colors: list[int]) -> str:
    axis = _axes(_MAP_SIZE, _MAP_SIZE)
    axis.figure.set_layout_engine("none")
    axis.set(position=(0, 0, 1, 1), xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    for (_, own), color in zip(classes, colors, strict=True):
        axis.plot(*z[own].T, "o", markersize=4.5, gid=f"k{color}")
    for name, own in classes:
        if own.any() and len(classes) > 2:
            axis.text(*np.median(z[own], axis=0), name, ha="center")
    return _svg(axis, f"Map of z, q(z | {', '.join(names)}), of {len(z)} test examples in {len(classes)} classes.")


def _axes(width: int, height: int) -> Axes:
    """Makes axes of a new drawing of this size in pixels, with tick labels on the left and below, without a frame."""
    axis = Figure(figsize=(width / _PIXELS, height / _PIXELS), layout="constrained", facecolor="none").subplots()
    axis.figure.patch.set_visible(False)
    axis.set_frame_on(False)
    axis.tick_params(length=0, labelsize=11)
    return axis


def _svg(axis: Axes, alt: str) -> str:
    """Converts a drawing to an SVG element of the page, whose groups have the artists' `gid` as their class.

    `alt` is the alternative text, and makes the ids of its markers unique on the page.
    """
    for artist in axis.findobj():
        artist.set_clip_on(False)  # a clip path would need an id
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt, "path.simplify": False}):
        axis.figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    before, _, body = buffer.getvalue().partition('version="1.1">')
    for pattern, text in (
        (r"<(metadata|style).*?</\1>", ""),
        (r'<g id="[\w.]+_\d+"', "<g"),  # ids of matplotlib
        (r'<g id="(\w+)"', r'<g class="\1"'),
        (r' style="[^"]*(text-anchor): (\w+)[^"]*"', r' \1="\2"'),
        (r' (style|transform)="[^"]*"', ""),
        (r"(?<=\.\d\d)\d+(?=[^<>]*>)", ""),  # round to hundredths of a pixel, but not the numbers on an axis
        (r"\s*<g/>|(?<=[>\d])\s+(?=[<LCz\"])", ""),
    ):
        body = re.sub(pattern, text, body, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', before)[0]
    return f'<svg {box} role="img" aria-label="{html.escape(alt)}">{body}'
