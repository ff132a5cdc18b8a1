"""Figures 3 to 5 of the MNIST study."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.figure import Figure

from tf_jmvae import data
from tf_jmvae.models.directions import pixels
from tf_jmvae.report.plots import plain
from tf_jmvae.studies.collector import COMPARED, Models
from tf_jmvae.studies.figures import bounds_over_steps, images_over_steps
from tf_jmvae.studies.pages import TITLES
from tf_jmvae.studies.study import Scale

__all__ = ["figures"]

_DIRECTIONS = {"x-given-w": "images from labels, log p(x | w)", "w-given-x": "labels from images, log p(w | x)"}


def figures(
    scale: Scale, models: Models, source: data.Source, measured: Mapping[str, Any], seed: int
) -> dict[str, Figure]:
    """Every figure by its name."""
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
    """A two-dimensional z coloured by label: from all modalities (left) and from w alone (right).

    `latents` has, by the model's title, points `all` and `w`, each `[N, 2]`, and their `labels` `[N]`.
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
