"""Plots of a run: generated modalities in each direction, and the terms of the bound over the epochs."""

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.data import Source
from tf_jmvae.images.preprocessing import grid
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.report import galleries

RIGHT, WRONG = "#1a7f5a", "#c0392b"
_PANELS = 4  # number of panels in a row
_LETTERS, _LETTERS_OF_COLUMN = 18, 10  # letters per line of a name beside an image, and above a column of images
_COLORS = {True: RIGHT, False: WRONG, None: "#7f8c8d"}


def both_directions(model: MultimodalVAE, source: Source, path: str | os.PathLike, *, seed: int = 0) -> None:
    """Plots generation in each direction between an image and a label, attributes or a text, side by side.

    Nothing is written if there is no such direction.

    Args:
      model: `MultimodalVAE`, whose modalities' specs say what is an image, a label or attributes.
      source: `Source` of the model's data.
      path: path of the PNG, which is written atomically.
      seed: integer seed of the samples, 0 by default; equal seeds give equal plots.
    """
    shown = galleries.galleries(model, source, seed=seed, directions_only=True)
    if not shown:
        return
    columns = min(len(shown), _PANELS)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(6 * columns, 6.2 * rows), layout="constrained", dpi=150)
    panels = figure.subfigures(rows, columns, wspace=0.03, squeeze=False).ravel()
    for gallery, panel in zip(shown, panels, strict=False):
        panel.suptitle(gallery.title, fontsize=12, fontweight="bold")
        (_named if gallery.layout == "cards" else _captioned)(panel, gallery)
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))


def _captioned(panel: Any, gallery: galleries.Gallery) -> None:
    """Plots captioned columns of images, such as the mean and samples, or single images in a square grid."""
    cards = gallery.cards
    images = np.stack([np.split(card.picture.pixels, card.picture.rows) for card in cards], axis=1)
    letters = _LETTERS_OF_COLUMN if len(images) > 1 else _LETTERS
    titles = [_lines(card.caption, letters, 3) for card in cards]
    if len(images) > 1:
        image_grid(panel, images, [*gallery.rows, *[""] * (len(images) - len(gallery.rows))], titles)
        return
    columns = math.ceil(math.sqrt(len(cards)))
    axes = panel.subplots(-(-len(cards) // columns), columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, title in zip(axes, images[0], titles, strict=False):
        show_image(axis, image)
        axis.set_title(title, fontsize=6)


def _named(panel: Any, gallery: galleries.Gallery) -> None:
    """Plots images with the model's predictions beside them: right in green, wrong in red."""
    cards = gallery.cards
    pairs = panel.subplots(-(-len(cards) // 3), 6, width_ratios=(1, 1.7) * 3, squeeze=False).reshape(-1, 2)
    for axis in pairs.ravel():
        axis.set_axis_off()
    for (axis, beside), card in zip(pairs, cards, strict=False):
        show_image(axis, card.picture.pixels)
        colors = [_COLORS[bar.right] for bar in card.bars]
        places = -np.arange(len(colors))
        beside.barh(places, [bar.length for bar in card.bars], 0.3, color=colors)
        for place, bar, color in zip(places, card.bars, colors, strict=True):
            words = f"{_lines(bar.name, _LETTERS, 1)}  {bar.value}"
            beside.text(0, place + 0.2, words, fontsize=7, color=color, va="bottom")
        beside.set(xlim=(0, 1), ylim=(-max(len(colors), 3), 1), title="")
        beside.set_title(_lines(card.note, _LETTERS, 2), fontsize=7, color=WRONG, loc="left")


def _lines(text: str, letters: int, number: int) -> str:
    """Wraps text to at most `number` lines, because matplotlib would shrink the image next to longer ones."""
    return "\n".join(textwrap.wrap(text, letters, max_lines=number, placeholder="…"))


def history(recorded: Mapping[str, Sequence[float | None]], path: str) -> None:
    """Plots each term of the bound over the epochs, in nats per example, training and test, as a PNG.

    `recorded` has values per epoch by name, as in `callbacks.Checkpoint`; `val_` marks the test set.
    """
    names = [name for name in recorded if name != "seconds" and not name.startswith("val_")]
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.5 * rows), layout="constrained", dpi=120)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        for label, values, style in (
            ("training", recorded[name], {"color": "#7f8c8d"}),
            ("test", recorded.get(f"val_{name}", ()), {"color": "#1f5f99", "marker": ".", "markersize": 3}),
        ):
            points = [(epoch, value) for epoch, value in enumerate(values, start=1) if value is not None]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, linewidth=1.4, **style)
        plain(axis).set_title(name, fontsize=10)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    axes[0].legend(fontsize=8, frameon=False)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("nats per example", fontsize=9)
    figure.savefig(path, format="png")


def image_grid(panel: Any, rows: Sequence[np.ndarray], labels: Sequence[str], titles: Sequence[str] = ()) -> Axes:
    """Plots rows of images `[columns, H, W, C]` close together in a figure or subfigure, and returns the axes.

    `labels` are to the left of each row, `titles` above the first columns.
    """
    height, width = rows[0].shape[1:3]
    factor = -(-64 // width)  # enlarges small images, so that the gaps between them are narrow
    gap = factor * width // 25
    axis = show_image(panel.subplots(), grid(np.stack(rows), factor=factor, gap=gap))
    axis.xaxis.tick_top()
    down, across = factor * height + gap, factor * width + gap
    axis.set_xticks(across * (np.arange(len(titles)) + 0.5), titles, fontsize=10)
    axis.set_yticks(down * (np.arange(len(rows)) + 0.5), labels, fontsize=9)
    axis.tick_params(length=0)
    return axis


def plain(axis: Axes) -> Axes:
    """Removes the upper and right spines, and makes the tick labels small."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    return axis


def show_image(axis: Axes, image: np.ndarray) -> Axes:
    """Plots an image of `display.pixels`, uint8 `[H, W, 1]` or `[H, W, 3]`, without a frame."""
    grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.shape[-1] == 1 else {}
    axis.imshow(image, **grey)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    return axis
