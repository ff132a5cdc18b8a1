"""Pictures of a run: generation in both directions, and the terms of the bound over training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_jmvae.models import MultimodalVAE

__all__ = ["RIGHT", "WRONG", "both_directions", "draw_directions", "history", "image_grid", "show_image"]

_ROWS = 11
_GUESSED = 15
RIGHT, WRONG = "#1a7f5a", "#c0392b"
_REST = "#b8c4cc"


def both_directions(
    model: MultimodalVAE,
    test: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    path: str,
    *,
    num_steps: int = 1,
    seed: int = 0,
) -> None:
    """Draws images x generated from every label w, and labels generated from images, as far as the model does.

    Args:
      model: one with an image modality x and a categorical modality w.
      test: arrays `[N, ...]` by modality; its first images are those to name.
      class_names: what the entries of w mean.
      path: where to write the PNG.
      num_steps: of iterated sampling, for models that need it.
      seed: of the samples; equal seeds draw equal pictures.
    """
    names, options = class_names, {"num_steps": num_steps, "seed": seed}
    draw_directions(model, {"x": _draw_images, "w": _draw_labels}, path, test, names, **options)


def draw_directions(
    model: MultimodalVAE, drawers: Mapping[str, Callable[..., None]], path: str, *arguments: Any, **options: Any
) -> None:
    """Draws a panel for each modality that the model makes, side by side.

    Args:
      model: whose targets are drawn.
      drawers: by modality, functions of a panel and the model.
      path: where to write the PNG.
      *arguments: for all drawers.
      **options: the same.
    """
    drawn = [draw for name, draw in drawers.items() if name in model.targets]
    figure = Figure(figsize=(6.6 * len(drawn), 5.8), layout="constrained", dpi=150)
    panels = figure.subfigures(1, len(drawn), width_ratios=(1.0, 1.15)[: len(drawn)], wspace=0.03, squeeze=False)[0]
    for draw, panel in zip(drawn, panels, strict=True):
        draw(panel, model, *arguments, **options)
    figure.savefig(path, format="png")


def _draw_images(panel, model, test, class_names, *, num_steps, seed):
    num_classes = len(class_names)
    labels = np.eye(num_classes, dtype=np.float32)
    images = model.generate({"w": labels}, num_samples=_ROWS - 1, num_steps=num_steps, seed=seed)["x"].numpy()
    mean = model.generate({"w": labels}, latent="mean", num_steps=num_steps, seed=seed)["x"].numpy()
    panel.suptitle("Images from labels: x given w", fontsize=12, fontweight="bold")
    rows = [mean, *np.swapaxes(images, 0, 1)]
    image_grid(panel, rows, ["mean\nof z", "samples\nof z", *[""] * (_ROWS - 2)], class_names)


def _draw_labels(panel, model, test, class_names, *, num_steps, seed):
    given = test["x"][:_GUESSED]
    truth = test["w"][:_GUESSED].argmax(-1)
    guessed = model.generate({"x": given}, latent="mean", num_steps=num_steps, seed=seed)["w"].numpy()
    panel.suptitle("Labels from unseen images: w given x", fontsize=12, fontweight="bold")
    pairs = panel.subplots(_GUESSED // 3, 6, width_ratios=(1, 1.7) * 3)
    for index in range(_GUESSED):
        row, column = divmod(index, 3)
        show_image(pairs[row, 2 * column], given[index])
        _bars(pairs[row, 2 * column + 1], guessed[index], int(truth[index]), class_names)


def history(recorded: Mapping[str, Sequence[float | None]], path: str) -> None:
    """Draws each term of the bound over the epochs, in nats per example, training and test.

    Args:
      recorded: values per epoch by name, as `callbacks.Checkpoint` keeps them; `val_` marks the test set.
      path: where to write the PNG.
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
        axis.set_title(name, fontsize=10)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    axes[0].legend(fontsize=8, frameon=False)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("nats per example", fontsize=9)
    figure.savefig(path, format="png")


def image_grid(panel: Any, rows: Sequence[np.ndarray], labels: Sequence[str], titles: Sequence[str] = ()) -> np.ndarray:
    """Shows images close together, and gives the axes.

    Args:
      panel: a figure or a part of one.
      rows: images `[columns, H, W, C]`, as `show_image` takes them.
      labels: to the left of each row.
      titles: above the columns.
    """
    spaces = {"wspace": 0.04, "hspace": 0.04}
    grid = panel.subplots(len(rows), len(rows[0]), gridspec_kw=spaces, squeeze=False)
    for axes, images, label in zip(grid, rows, labels, strict=True):
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for axis, image in zip(axes, images, strict=True):
            show_image(axis, image)
    for axis, title in zip(grid[0], titles, strict=False):
        axis.set_title(title, fontsize=10)
    return grid


def show_image(axis: Axes, image: np.ndarray) -> None:
    """Shows a grey image in [0, 1], `[H, W, 1]`, dark on white, or a uint8 RGB one, `[H, W, 3]`; without a frame."""
    grey = {"cmap": "gray_r", "vmin": 0, "vmax": 1} if image.shape[-1] == 1 else {}
    axis.imshow(image, **grey)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _bars(axis: Axes, probabilities: np.ndarray, truth: int, class_names: Sequence[str]) -> None:
    named = int(probabilities.argmax())
    colors = [_REST] * len(class_names)
    colors[named] = RIGHT if named == truth else WRONG
    axis.bar(range(len(class_names)), probabilities, color=colors)
    axis.set_title(
        f"{class_names[named]}  ({probabilities[named]:.0%})"
        + ("" if named == truth else f", is {class_names[truth]}"),
        fontsize=8,
        color=colors[named],
    )
    axis.set(ylim=(0, 1), yticks=[], xticks=range(len(class_names)))
    axis.set_xticklabels(class_names, fontsize=6)
    axis.tick_params(length=0, pad=1)
    axis.spines[["top", "left", "right"]].set_visible(False)
