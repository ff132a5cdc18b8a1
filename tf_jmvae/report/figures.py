"""Figures 3 to 5 of Suzuki and Matsuo."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from tf_jmvae.report.comparison import by_steps
from tf_jmvae.report.plots import image_grid
from tf_jmvae.report.titles import TITLES

__all__ = ["curves", "figure_3", "figure_4", "figure_5"]

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

    Args:
      images: by the model's title its rows, each `[columns, H, W, C]`, and their numbers of steps; for a model without
        steps, other texts.
      path: where to write the PNG.
      titles: of the columns.
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

    Args:
      curves: measurements with a mean and a standard error by direction, by the model's title, by steps.
      path: where to write the PNG.
      titles: of the directions.
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

    Args:
      latents: points `all` and `w`, each `[N, 2]`, and their `labels` `[N]`, by the model's title.
      class_names: what the labels mean.
      path: where to write the PNG.
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
