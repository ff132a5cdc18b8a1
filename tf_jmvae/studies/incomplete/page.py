"""Page of the study of incomplete rows: accuracy of predicted digits by the number of labels, and images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tf_jmvae.data import Source
from tf_jmvae.models.display import pixels
from tf_jmvae.report.plots import image_grid, plain
from tf_jmvae.studies.collector import Models
from tf_jmvae.studies.incomplete.plan import APART, labelled
from tf_jmvae.studies.pages import COLORS, render
from tf_jmvae.studies.study import Scale

# Kingma et al., Semi-supervised learning with deep generative models, 2014, Table 1: errors with 600 labels.
PUBLISHED = {"their M1+M2": 0.0259, "their M2": 0.0494, "a plain network": 0.1144}
_TITLES = {
    "keep": "all rows",
    "again": "self-training, round 1",
    "twice": "self-training, round 2",
    "drop": "complete rows only",
}
_APART = ("keep", "drop")
_COLUMNS = {  # titles and names of measurements
    "named": ("Digits classified correctly from test images", "table-named/{}/w-from-x"),
    "recognised": ("Images from labels recognised as their digit", "table-recognised/{}/x-from-w"),
    "scored": ("log p(x), nats per test image", "table-scored/{}/x"),
}
_SAMPLES = 4  # number of images from each label


def page(record: Mapping[str, Any], findings: str | None = None) -> str:
    """Renders the page of a record such as `results/incomplete.json`."""
    seeds = _seeds(record["trainings"])
    rows = {fraction: _row(record, fraction, numbers) for fraction, numbers in seeds.items()}
    shown = {"rows": rows, "published": PUBLISHED, "apart": APART, "titles": _TITLES}
    shown["tables"] = {column: title for column, (title, _) in _COLUMNS.items()}
    return render("incomplete", record, findings, **shown)


def figures(scale: Scale, models: Models, source: Source, measured: Mapping[str, Any], seed: int) -> dict[str, Figure]:
    """Makes all figures by name."""
    seeds = _seeds(scale.trainings)
    named = {
        way: {
            fraction: [measured[f"table-named/{labelled(fraction, way, n)}/w-from-x"]["mean"] for n in numbers]
            for fraction, numbers in seeds.items()
            if labelled(fraction, way, 0) in scale.trainings
        }
        for way in _TITLES
    }
    labels = np.eye(len(source.class_names), dtype=np.float32)
    images = {}
    for way in _APART:
        model = models(f"apart-{way}")
        made = [model.generate({"w": labels}, seed=tf.constant([seed, row]))["x"] for row in range(_SAMPLES)]
        images[_TITLES[way]] = pixels(model, "x", np.stack(made))
    return {"named": _named(named, len(source.train["x"])), "apart": _images(images, source.class_names)}


def _seeds(trainings: Mapping[str, Any]) -> dict[float, list[int]]:
    """Returns the seeds of each fraction of labels, in increasing order."""
    found: dict[float, list[int]] = {}
    for name in trainings:
        if name.startswith("labels-") and "-keep-" in name:
            _, fraction, _, seed = name.split("-")
            found.setdefault(float(fraction), []).append(int(seed))
    return dict(sorted(found.items()))


def _row(record: Mapping[str, Any], fraction: float, seeds: Sequence[int]) -> dict[str, Any]:
    """Returns means over the seeds, with standard errors, of the measurements with this fraction of labels."""
    measured, row = record["measurements"], {"seeds": len(seeds), "labels": round(fraction * record["data"]["train"])}
    for way in _TITLES:
        names = [name for seed in seeds if (name := labelled(fraction, way, seed)) in record["trainings"]]
        row[way] = {
            column: _mean([measured[path.format(name)] for name in names]) if names else None
            for column, (_, path) in _COLUMNS.items()
        }
    return row


def _mean(estimates: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Computes the mean over seeds and its standard error; for one seed returns the estimate itself."""
    if len(estimates) == 1:
        return estimates[0]
    means = [one["mean"] for one in estimates]
    return {"mean": float(np.mean(means)), "standard_error": float(np.std(means, ddof=1) / np.sqrt(len(means)))}


def _named(named: Mapping[str, Mapping[float, Sequence[float]]], size: int) -> Figure:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained", dpi=150)
    axis = plain(figure.subplots())
    for color, (way, found) in zip((*COLORS, "#8a6d1f"), named.items(), strict=True):
        counts = [round(fraction * size) for fraction in found]
        means = [100 * np.mean(values) for values in found.values()]
        axis.plot(counts, means, color=color, marker="o", markersize=4, label=_TITLES[way])
        for count, values in zip(counts, found.values(), strict=True):
            axis.plot(
                [count] * len(values), 100 * np.array(values), color=color, marker=".", markersize=3, linestyle=""
            )
    axis.set_xscale("log")
    ticks = sorted({round(fraction * size) for found in named.values() for fraction in found})
    axis.set_xticks(ticks, [f"{count:,}" for count in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("labelled images", fontsize=9)
    axis.set_ylabel("digits classified correctly from test images, %", fontsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=8, frameon=False)
    return figure


def _images(images: Mapping[str, np.ndarray], titles: Sequence[str]) -> Figure:
    figure = Figure(figsize=(4.8 * len(images), 0.5 * _SAMPLES + 0.9), layout="constrained", dpi=150)
    panels = figure.subfigures(1, len(images), wspace=0.04, squeeze=False)[0]
    for panel, (title, rows) in zip(panels, images.items(), strict=True):
        panel.suptitle(title, fontsize=12, fontweight="bold")
        image_grid(panel, list(rows), [""] * len(rows), titles)
    return figure
