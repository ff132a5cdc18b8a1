"""Figures 3 to 9 of Suzuki and Matsuo, and faces with and without a GAN side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from sklearn.decomposition import PCA

from tf_jmvae.report.plots import image_grid, show_image
from tf_jmvae.studies.comparison import TITLES, by_steps

__all__ = ["comparison", "curves", "figure_3", "figure_4", "figure_5", "figure_8", "figure_9"]

_GREY = "#7f8c8d"
_COLORS = ("#c0392b", "#1f5f99", "#1a7f5a")
_DIRECTIONS = {"x-given-w": "images from labels, log p(x | w)", "w-given-x": "labels from images, log p(w | x)"}


def curves(
    measured: Mapping[str, Any], figure: str, direction: str, models: Sequence[str]
) -> dict[str, dict[int, Mapping[str, Any]]]:
    """What `figure_4` draws of one direction: measurements by the model's title, by steps."""
    return {TITLES[model]: by_steps(measured, f"{figure}/{model}/{direction}") for model in models}


def figure_3(
    images: Mapping[str, tuple[Sequence[np.ndarray], Sequence[str]]], path: str, titles: Sequence[str] = ()
) -> None:
    """Images made from labels or attributes: a panel per model, a row per number of steps of iterated sampling.

    `images` has by the model's title its rows, each `[columns, H, W, C]`, and their numbers of steps; for a model
    without steps, other texts. `titles` are the columns'.
    """
    num_rows = max(len(labels) for _, labels in images.values())
    figure = Figure(figsize=(4.8 * len(images), 0.5 * num_rows + 0.9), layout="constrained", dpi=150)
    panels = figure.subfigures(1, len(images), wspace=0.04, squeeze=False)[0]
    for panel, (title, (rows, labels)) in zip(panels, images.items(), strict=True):
        panel.suptitle(title, fontsize=12, fontweight="bold")
        iterates = any(label.isdigit() for label in labels)
        panel.supylabel("steps of iterated sampling" if iterates else "no steps: new samples", fontsize=9)
        image_grid(panel, rows, labels, titles)
    figure.savefig(path, format="png")


def figure_4(
    curves: Mapping[str, Mapping[str, Mapping[int, Mapping[str, Any]]]],
    path: str,
    titles: Mapping[str, str] = _DIRECTIONS,
) -> None:
    """Single conditional log-likelihood over the number of steps; one measurement makes a flat dashed line.

    `curves` are measurements with a mean and a standard error by direction, by the model's title, by steps.
    """
    figure = Figure(figsize=(5.6 * len(curves), 3.8), layout="constrained", dpi=150)
    for axis, (direction, models) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        for color, (title, measured) in zip(_COLORS, models.items(), strict=False):
            means = np.array([value["mean"] for value in measured.values()])
            errors = np.array([value["standard_error"] for value in measured.values()])
            if len(means) == 1:
                axis.axhline(means[0], color=color, linestyle="--", label=f"{title} (no steps)")
                continue
            steps = np.array(list(measured))
            axis.plot(steps, means, color=color, marker="o", markersize=4, label=title)
            axis.fill_between(steps, means - 2 * errors, means + 2 * errors, color=color, alpha=0.2, linewidth=0)
            axis.set_xscale("log", base=2)
            axis.xaxis.set(
                major_locator=FixedLocator(steps), minor_locator=NullLocator(), major_formatter=ScalarFormatter()
            )
        axis.set_title(titles[direction], fontsize=11)
        axis.set_xlabel("steps of iterated sampling", fontsize=9)
        axis.set_ylabel("nats per example", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(path, format="png")


def figure_5(latents: Mapping[str, Mapping[str, Any]], class_names: Sequence[str], path: str) -> None:
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
            z = np.array(points[key])
            axis.scatter(*z.T, c=colors[labels], s=4, alpha=0.7, linewidths=0)
            axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            axis.set_title(f"{title}: z from {source}", fontsize=10)
            axis.tick_params(labelsize=7)
            axis.spines[["top", "right"]].set_visible(False)
    handles = [
        figure.gca().scatter([], [], c=[color], s=25, label=name)
        for color, name in zip(colors, class_names, strict=True)
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize=10)
    figure.savefig(path, format="png")


def figure_8(variations: Mapping[str, np.ndarray], latents: Mapping[str, np.ndarray], path: str) -> None:
    """Mean face and random faces for each change of attributes, and where their z lie by their first two
    principal components.
    """
    columns = len(next(iter(variations.values())))
    figure = Figure(figsize=(0.95 * columns + 5.2, 4.4), layout="constrained", dpi=100)
    left, right = figure.subfigures(1, 2, width_ratios=(0.95 * columns + 1.2, 4.0))
    grid = image_grid(left, list(variations.values()), list(variations))
    grid[0, 0].set_title("mean", fontsize=10)
    grid[0, 1].set_title("random", fontsize=10, loc="left")
    points = PCA(2).fit(np.concatenate(list(latents.values())))
    axis = right.subplots()
    for color, (title, z) in zip((_GREY, *_COLORS), latents.items(), strict=True):
        placed = points.transform(z)
        axis.scatter(*placed[1:].T, s=9, alpha=0.5, linewidths=0, color=color, label=title)
        axis.scatter(*placed[0], s=130, marker="*", color=color, edgecolors="black", linewidths=0.8, zorder=3)
    axis.set_title("z: random faces, and mean faces (stars)", fontsize=10)
    axis.set_xlabel("first principal component", fontsize=9)
    axis.set_ylabel("second principal component", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=9, frameon=False)
    figure.savefig(path, format="png")


def figure_9(portraits: Sequence[Sequence[tuple[str, np.ndarray]]], path: str) -> None:
    """Unseen portraits, their reconstructions, and edits of single attributes."""
    columns = len(portraits[0])
    figure = Figure(figsize=(1.35 * columns, 1.6 * len(portraits)), layout="constrained", dpi=100)
    grid = figure.subplots(len(portraits), columns, squeeze=False)
    for axes, cells in zip(grid, portraits, strict=True):
        for axis, (title, image) in zip(axes, cells, strict=True):
            show_image(axis, image)
            axis.set_title(title, fontsize=10)
    figure.savefig(path, format="png")


def comparison(rows: Mapping[str, np.ndarray], path: str) -> None:
    """The same faces and attributes with and without a GAN."""
    columns = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.1 * columns + 1.5, 1.1 * len(rows)), layout="constrained", dpi=100)
    image_grid(figure, list(rows.values()), list(rows))
    figure.savefig(path, format="png")
