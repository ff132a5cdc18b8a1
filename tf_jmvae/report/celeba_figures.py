"""Figures 6 to 9 of Suzuki and Matsuo, and faces with and without a GAN side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from tf_jmvae.report.figures import curves, figure_3, figure_4
from tf_jmvae.report.plots import image_grid, show_image
from tf_jmvae.report.titles import TITLES

__all__ = ["figures"]

_DIRECTION = {"x-given-w": "images from attributes, log p(x | w)"}
_COLORS = ("#7f8c8d", "#c0392b", "#1f5f99", "#1a7f5a")


def figures(
    measured: Mapping[str, Any], drawn: Mapping[str, Any], steps: Sequence[int]
) -> dict[str, Callable[[str], None]]:
    """Functions that draw each figure to a path, by its name.

    Args:
      measured: the study's measurements.
      drawn: what `reproduce.celeba_pictures.pictures` gave.
      steps: of Figures 6 and 7.
    """
    panels = {
        TITLES[model]: (
            [drawn["examples"], *rows],
            ["real", *("" if model == "jmvae-kl" else str(step) for step in steps)],
        )
        for model, rows in drawn["steps"].items()
    }
    shown = curves(measured, "figure-7", "x-given-w", list(drawn["steps"]))
    return {
        "figure-6": lambda path: figure_3(panels, path),
        "figure-7": lambda path: figure_4({"x-given-w": shown}, path, _DIRECTION),
        "figure-8": lambda path: _figure_8(drawn["variations"], drawn["latents"], path),
        "figure-9": lambda path: _figure_9(drawn["edits"], path),
        "gan": lambda path: _comparison(drawn["comparison"], path),
    }


def _figure_8(variations: Mapping[str, np.ndarray], latents: Mapping[str, np.ndarray], path: str) -> None:
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
    for color, (title, z) in zip(_COLORS, latents.items(), strict=True):
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


def _figure_9(portraits: Sequence[Sequence[tuple[str, np.ndarray]]], path: str) -> None:
    """Unseen portraits, their reconstructions, and edits of single attributes."""
    columns = len(portraits[0])
    figure = Figure(figsize=(1.35 * columns, 1.6 * len(portraits)), layout="constrained", dpi=100)
    grid = figure.subplots(len(portraits), columns, squeeze=False)
    for axes, cells in zip(grid, portraits, strict=True):
        for axis, (title, image) in zip(axes, cells, strict=True):
            show_image(axis, image)
            axis.set_title(title, fontsize=10)
    figure.savefig(path, format="png")


def _comparison(rows: Mapping[str, np.ndarray], path: str) -> None:
    """The same faces and attributes with and without a GAN."""
    columns = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.1 * columns + 1.5, 1.1 * len(rows)), layout="constrained", dpi=100)
    image_grid(figure, list(rows.values()), list(rows))
    figure.savefig(path, format="png")
