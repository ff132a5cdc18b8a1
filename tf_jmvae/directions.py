"""What a model generates from what, and how its modalities are shown to people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_jmvae import heads
from tf_jmvae.modality import Modality

__all__ = ["columns_of_names", "directions", "kind", "named", "pixels"]


def directions(model: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Each target with the modalities to generate it from: every other one alone, as far as the model answers.

    A one-way model has all that it is given for each target, and a model of one modality itself.
    """
    if len(model.modalities) == 1:
        return [(name, (name,)) for name in model.targets]
    pairs = []
    for target in model.targets:
        sources = [tuple(model.given)] if model.given else [(name,) for name in model.modalities if name != target]
        pairs.extend((target, given) for given in sources if model.has_posterior(given))
    return pairs


def kind(modality: Modality) -> str:
    """`"image"`, `"label"` (one-hot), `"attributes"` (named entries) or `"values"`."""
    shape = modality.event_shape
    if len(shape) == 3 and shape[-1] in (1, 3):
        return "image"
    if isinstance(modality.head, heads.Categorical) and len(shape) == 1:
        return "label"
    return "attributes" if modality.entry_names and len(shape) == 1 else "values"


def pixels(model: Any, name: str, values: Any) -> np.ndarray:
    """Images of a modality as people look at them: uint8 `[..., H, W, C]`; grey ones in [0, 1] are dark on white."""
    images = model.postprocess({name: values})[name]
    if images.dtype == np.uint8:
        return images
    shares = np.clip(images, 0.0, 1.0)
    return np.round(255 * (1 - shares if shares.shape[-1] == 1 else shares)).astype(np.uint8)


def columns_of_names(modalities: Mapping[str, Modality], class_names: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    """What the entries of each label, of attributes or of values are called.

    Args:
      modalities: by name.
      class_names: of the labels whose size they fit; other entries have numbers.
    """
    names = {}
    for name, modality in modalities.items():
        size = modality.event_shape[-1]
        fitting = tuple(class_names) if kind(modality) == "label" and len(class_names) == size else ()
        names[name] = modality.entry_names or fitting or tuple(str(number) for number in range(size))
    return names


def named(values: np.ndarray, names: Sequence[str], count: int) -> list[tuple[str, float]]:
    """The `count` entries of a vector that are largest, with what they are called, largest first."""
    order = np.argsort(-np.asarray(values), kind="stable")[:count]
    return [(names[entry].replace("_", " "), float(values[entry])) for entry in order]
