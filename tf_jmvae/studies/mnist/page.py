"""Page of the MNIST study: Figures 3 to 5, and the paper's numbers compared with ours."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.figure import Figure

from tf_jmvae.data import Source
from tf_jmvae.models.display import pixels
from tf_jmvae.report.plots import plain
from tf_jmvae.studies.collector import COMPARED, Models
from tf_jmvae.studies.pages import TITLES, Table, bounds_over_steps, images_over_steps, render
from tf_jmvae.studies.study import Scale

_DIRECTIONS = {"x-given-w": "images from labels, log p(x | w)", "w-given-x": "labels from images, log p(w | x)"}
# arXiv 1611.01891 for log p(x, w); for log p(x) that paper's value as MultiVae's documentation compares with it.
IMPORTANCE = {
    "jmvae/joint": ("JMVAE", "log p(x, w)", "q(z \\| x, w)", -86.96),
    "jmvae/x-joint": ("JMVAE", "log p(x)", "q(z \\| x, w)", None),
    "jmvae-kl/joint": ("JMVAE-kl, alpha 1", "log p(x, w)", "q(z \\| x, w)", -89.28),
    "jmvae-kl/x-own": ("JMVAE-kl, alpha 1", "log p(x)", "q(z \\| x)", None),
    "jmvae-kl-0.1/joint": ("JMVAE-kl, alpha 0.1", "log p(x, w)", "q(z \\| x, w)", -86.93),
    "jmvae-kl-0.1/x-joint": ("JMVAE-kl, alpha 0.1", "log p(x)", "q(z \\| x, w)", -86.86),
    "jmvae-kl-0.1/x-own": ("JMVAE-kl, alpha 0.1", "log p(x)", "q(z \\| x)", -86.86),
    "jmvae-kl-0.1/x-given-w": ("JMVAE-kl, alpha 0.1", "log p(x \\| w)", "q(z \\| x, w)", None),
    "jmvae-kl-flow/joint": ("JMVAE-kl, flows", "log p(x, w)", "q(z \\| x, w)", None),
    "jmvae-kl-flow/x-joint": ("JMVAE-kl, flows", "log p(x)", "q(z \\| x, w)", None),
    "jmvae-kl-flow/x-own": ("JMVAE-kl, flows", "log p(x)", "q(z \\| x)", None),
    "jmvae-kl-flow/x-given-w": ("JMVAE-kl, flows", "log p(x \\| w)", "q(z \\| x, w)", None),
}
_TABLE_1 = Table(
    "table-1",
    {
        "cvae": (-448.8, -5.293, -70.42, -5.304),
        "cmma": (-451.1, -0.2971, -69.89, -0.002574),
        "jmvae": (-747.1, -0.2286, -69.57, -0.2026),
        "jmvae-kl": (-422.35, -0.2628, -76.94, -0.1874),
        "hierarchical-jmvae": (-475.5, -2.640, -196.9, -0.4456),
    },
    digits=(2, 4),
)

# Renders the page of a record such as `results/mnist.json`.
page = functools.partial(render, "mnist", table=_TABLE_1, importance=IMPORTANCE, titles=TITLES)


def figures(scale: Scale, models: Models, source: Source, measured: Mapping[str, Any], seed: int) -> dict[str, Figure]:
    """Makes all figures by name."""
    labels = np.eye(len(source.class_names), dtype=np.float32)
    images = {}
    for model in COMPARED:
        made = [
            models(model).generate({"w": labels}, num_steps=steps, seed=tf.constant([seed, steps]))["x"]
            for steps in scale.steps
        ]
        images[model] = pixels(models(model), "x", np.stack(made))
    latents = {TITLES[model]: measured[f"figure-5/{model}-2d"]["points"] for model in COMPARED}
    return {
        "figure-3": images_over_steps(images, scale.steps, titles=source.class_names),
        "figure-4": bounds_over_steps(measured, "figure-4", _DIRECTIONS),
        "figure-5": _latent_spaces(latents, source.class_names),
    }


def _latent_spaces(latents: Mapping[str, Mapping[str, Any]], class_names: Sequence[str]) -> Figure:
    """Plots a two-dimensional z coloured by label: from all modalities (left) and from w alone (right).

    `latents` has, by the model's title, the points `all` and `w`, each `[N, 2]`, and their `labels` `[N]`.
    """
    figure = Figure(figsize=(8.6, 4.0 * len(latents)), layout="constrained", dpi=130)
    colors = colormaps["tab10"](np.arange(len(class_names)) % 10)
    rows = figure.subplots(len(latents), 2, squeeze=False)
    for axes, (title, points) in zip(rows, latents.items(), strict=True):
        labels = np.array(points["labels"])
        reach = 1.05 * max(np.abs(points[key]).max() for key in ("all", "w"))
        for axis, key, source in zip(axes, ("all", "w"), ("all modalities", "w alone"), strict=True):
            plain(axis).scatter(*np.array(points[key]).T, c=colors[labels], s=4, alpha=0.7, linewidths=0)
            axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            axis.set_title(f"{title}: z from {source}", fontsize=10)
    handles = [
        figure.gca().scatter([], [], c=[color], s=25, label=name)
        for color, name in zip(colors, class_names, strict=True)
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=10)
    return figure
