"""Figures that both studies draw: images and bounds over the steps of iterated sampling."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from tf_jmvae.report.plots import image_grid, plain
from tf_jmvae.studies.collector import COMPARED
from tf_jmvae.studies.pages import TITLES, by_steps

__all__ = ["COLORS", "bounds_over_steps", "images_over_steps"]

COLORS = ("#c0392b", "#1f5f99", "#1a7f5a")


def images_over_steps(
    images: Mapping[str, Sequence[np.ndarray]],
    steps: Sequence[int],
    *,
    above: Mapping[str, np.ndarray] | None = None,
    titles: Sequence[str] = (),
) -> Figure:
    """Draws images from labels or attributes: a panel per model, a row per number of steps of iterated sampling.

    `images` has the rows of each of `COMPARED`, `[columns, H, W, C]`; those of JMVAE-kl are samples without steps.
    `above` are first rows by what stands to their left, the same in each panel, and `titles` those of the columns.
    """
    above = above or {}
    figure = Figure(figsize=(4.8 * len(images), 0.5 * (len(above) + len(steps)) + 0.9), layout="constrained", dpi=150)
    panels = figure.subfigures(1, len(images), wspace=0.04, squeeze=False)[0]
    for panel, (model, rows) in zip(panels, images.items(), strict=True):
        iterates = model != "jmvae-kl"
        panel.suptitle(TITLES[model], fontsize=12, fontweight="bold")
        panel.supylabel("steps of iterated sampling" if iterates else "no steps: new samples", fontsize=9)
        labels = [*above, *(f"{number}" if iterates else "" for number in steps)]
        image_grid(panel, [*above.values(), *rows], labels, titles)
    return figure


def bounds_over_steps(measured: Mapping[str, Any], figure_name: str, titles: Mapping[str, str]) -> Figure:
    """Draws the single conditional log-likelihood over the number of steps; one measurement makes a flat dashed line.

    A panel for each direction of `titles`, with the measurements `FIGURE/MODEL/DIRECTION/STEPS` of `COMPARED`.
    """
    figure = Figure(figsize=(5.6 * len(titles), 3.8), layout="constrained", dpi=150)
    for axis, (direction, title) in zip(figure.subplots(1, len(titles), squeeze=False)[0], titles.items(), strict=True):
        for color, model in zip(COLORS, COMPARED, strict=True):
            found = by_steps(measured, f"{figure_name}/{model}/{direction}")
            steps = np.array(list(found))
            means, errors = (np.array([one[key] for one in found.values()]) for key in ("mean", "standard_error"))
            if len(means) == 1:
                axis.axhline(means[0], color=color, linestyle="--", label=f"{TITLES[model]} (no steps)")
                continue
            axis.plot(steps, means, color=color, marker="o", markersize=4, label=TITLES[model])
            axis.fill_between(steps, means - 2 * errors, means + 2 * errors, color=color, alpha=0.2, linewidth=0)
            axis.set_xscale("log", base=2)
            axis.xaxis.set(
                major_locator=FixedLocator(steps), minor_locator=NullLocator(), major_formatter=ScalarFormatter()
            )
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("steps of iterated sampling", fontsize=9)
        axis.set_ylabel("nats per example", fontsize=9)
        plain(axis).grid(axis="y", alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    return figure
