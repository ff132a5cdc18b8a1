"""Pictures of a run: what it generates in each direction, and the terms of the bound over training."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tf_jmvae.directions import directions, named, pixels
from tf_jmvae.files import replace_atomically
from tf_jmvae.models import MultimodalVAE

__all__ = ["RIGHT", "WRONG", "both_directions", "history", "image_grid", "show_image"]

_SAMPLES, _CLASSES, _FACES = 10, 12, 8
_GUESSED, _NAMED, _LISTED = 15, 6, 7
RIGHT, WRONG = "#1a7f5a", "#c0392b"
_REST = "#b8c4cc"


def both_directions(
    model: MultimodalVAE,
    test: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    path: str | os.PathLike,
    *,
    seed: int = 0,
) -> None:
    """Draws what the model makes in each direction between an image and a label or attributes, side by side.

    Without such a direction it writes nothing.

    Args:
      model: any model; its modalities' specs say what is an image, a label or attributes.
      test: arrays `[N, ...]` by modality, as `fit` takes them; some of its images are those to name.
      class_names: what the entries of labels are called that have no names of their own.
      path: where to write the PNG, whole or not at all.
      seed: of the samples; equal seeds draw equal pictures.
    """
    kinds = {name: modality.spec.kind for name, modality in model.modalities.items()}
    drawers = [
        (_DRAWERS[kinds[target], kinds[given[0]]], target, given[0])
        for target, given in directions(model)
        if len(given) == 1 and (kinds[target], kinds[given[0]]) in _DRAWERS
    ]
    if not drawers:
        return
    figure = Figure(figsize=(6.6 * len(drawers), 5.8), layout="constrained", dpi=150)
    widths = [1.0 if kinds[target] == "image" else 1.15 for _, target, _ in drawers]
    panels = figure.subfigures(1, len(drawers), width_ratios=widths, wspace=0.03, squeeze=False)[0]
    names = {name: modality.spec.names(class_names) for name, modality in model.modalities.items()}
    for (draw, target, given), panel in zip(drawers, panels, strict=True):

        def make(observed: Any, target: str = target, **options: Any) -> Any:
            return model.generate(observed, targets=[target], seed=seed, **options)[target]

        draw(panel, model, test, names, target, given, make)
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format="png"))


def _images_from_labels(panel, model, test, names, target, given, make):
    labels = {given: np.eye(len(names[given]), dtype=np.float32)[:_CLASSES]}
    samples = np.swapaxes(make(labels, num_samples=_SAMPLES), 0, 1)
    rows = pixels(model, target, np.stack([make(labels, latent="mean"), *samples]))
    panel.suptitle(f"Images from labels: {target} given {given}", fontsize=12, fontweight="bold")
    image_grid(panel, rows, ["mean\nof z", "samples\nof z", *[""] * (_SAMPLES - 1)], names[given])


def _images_from_attributes(panel, model, test, names, target, given, make):
    real = model.read({name: test[name][:_FACES] for name in model.modalities})
    observed = {given: real[given]}
    drawn = make(observed, num_samples=2)
    rows = {
        "real": real[target],
        "recon-\nstructed": make(real, latent="mean"),
        "mean\nof z": make(observed, latent="mean"),
        "samples\nof z": drawn[:, 0],
        "": drawn[:, 1],
    }
    panel.suptitle(
        f"Images from the attributes of the real ones: {target} given {given}", fontsize=12, fontweight="bold"
    )
    image_grid(panel, [pixels(model, target, images) for images in rows.values()], list(rows))


def _labels_from_images(panel, model, test, names, target, given, make):
    images = model.read({given: test[given][:_GUESSED]})
    guessed = np.asarray(make(images, latent="mean"))
    panel.suptitle(f"Labels from unseen images: {target} given {given}", fontsize=12, fontweight="bold")
    pairs = panel.subplots(-(-len(guessed) // 3), 6, width_ratios=(1, 1.7) * 3, squeeze=False).reshape(-1, 2)
    for axes, image, values, truth in zip(
        pairs, pixels(model, given, images[given]), guessed, test[target], strict=False
    ):
        show_image(axes[0], image)
        _bars(axes[1], values, int(truth.argmax()), names[target])


def _attributes_from_images(panel, model, test, names, target, given, make):
    images, truth = model.read({given: test[given][-_NAMED:]}), test[target][-_NAMED:]
    panel.suptitle(f"Attributes of unseen images: {target} given {given}", fontsize=12, fontweight="bold")
    pairs = panel.subplots(-(-_NAMED // 2), 4, squeeze=False)
    for axis in pairs.ravel():
        axis.set_axis_off()
    shown = zip(pixels(model, given, images[given]), np.asarray(make(images, latent="mean")), truth, strict=True)
    for axes, (image, values, real) in zip(pairs.reshape(-1, 2), shown, strict=False):
        show_image(axes[0], image)
        present = {names[target][entry].replace("_", " ") for entry in np.flatnonzero(real > 0)}
        for line, (name, value) in enumerate(named(values, names[target], _LISTED)):
            label, color = f"{name}  {value:+.2f}", RIGHT
            if name not in present:
                label, color = f"{label}  (no)", WRONG
            axes[1].text(0.0, 0.93 - 0.135 * line, label, fontsize=9, color=color, transform=axes[1].transAxes)


_DRAWERS: dict[tuple[str, str], Callable[..., None]] = {
    ("image", "label"): _images_from_labels,
    ("image", "attributes"): _images_from_attributes,
    ("label", "image"): _labels_from_images,
    ("attributes", "image"): _attributes_from_images,
}


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
    """Shows an image as `directions.pixels` gives it, uint8 `[H, W, 1]` or `[H, W, 3]`, without a frame."""
    grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.shape[-1] == 1 else {}
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
