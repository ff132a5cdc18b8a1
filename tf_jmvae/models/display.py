"""Values of a modality for people to look at: as pictures and in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def pixels(model: Any, name: str, values: Any) -> np.ndarray:
    """Converts a modality's images to uint8 for display, `[..., H, W, C]`; greyscale is inverted to dark on white."""
    shown = model.pixels(name, values).numpy()
    return 255 - shown if shown.shape[-1] == 1 else shown


def named(values: np.ndarray, names: Sequence[str], count: int) -> list[tuple[str, float]]:
    """Returns the `count` largest entries of a vector with their names, largest first."""
    order = np.argsort(-np.asarray(values), kind="stable")[:count]
    return [(names[entry].replace("_", " "), float(values[entry])) for entry in order]


def in_words(model: Any, name: str, values: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    """Describes a modality's values `[*event_shape]`, in the model's units, as texts of at most `count` entries.

    The texts are a label with its probability, the most probable attributes, a table's texts or numbers in their unit,
    or else the first values. `names` are the names of the entries.
    """
    spec = model.modalities[name].spec
    if np.isnan(values).all():
        return ["not known"]
    if spec.kind == "label":
        ((text, probability),) = named(values, names, 1)
        return [text if probability == 1 else f"{text} ({probability:.0%})"]
    if spec.kind == "attributes":
        return [text for text, value in named(values, names, count) if value > spec.threshold] or ["none"]
    if spec.columns and spec.columns.kind in ("numbers", "counts", "text"):
        cells = model.modalities[name].cells.decode(model.postprocess({name: values[None]})[name])
        if spec.kind == "text":
            return [text or "no word" for (text,) in cells.values()]
        return [f"{column} {number:.4g}" for column, (number,) in cells.items() if number == number][:count]
    return [f"{value:.2f}" for value in np.ravel(values)[:count]]
