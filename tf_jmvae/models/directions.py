"""Rules on modality names, and the directions, subsets and readable forms of a model's modalities."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_jmvae._utils.checks import listed
from tf_jmvae.modality import Modality

ALL_SUBSETS = 4
"""Largest number of modalities for which `subsets` lists every subset."""


def directions(model: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Returns pairs of a target and the modalities to generate it from: each other modality that has a posterior.

    A conditional model generates each target from all its conditions, and a VAE its one modality from itself.
    """
    if len(model.modalities) == 1:
        return [(name, (name,)) for name in model.targets]
    sources = [tuple(model.conditions)] if model.conditions else [(name,) for name in model.modalities]
    return [(t, given) for t in model.targets for given in sources if t not in given and model.has_posterior(given)]


def subsets(model: Any) -> list[tuple[str, ...]]:
    """Returns the subsets of modalities that have a posterior, in the model's order.

    Lists all subsets of up to four modalities; of more, the single ones, all but one, and all together.
    """
    count = len(model.modalities)
    sizes = range(1, count + 1) if count <= ALL_SUBSETS else (1, count - 1, count)
    found = (subset for size in sizes for subset in itertools.combinations(model.modalities, size))
    return [subset for subset in found if model.has_posterior(subset)]


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


# Names that metrics and inputs of signatures use.
RESERVED = ("as_png", "as_uint8", "bytes", "noise", "prior", "rows", "seed", "self", "z")
# Suffixes of inputs of encoded images, and of signatures with other forms of images or with table cells.
ENDINGS = ("_bytes", "_as_png", "_as_uint8", "_as_cells")
_MOST_COMBINED = 12  # largest number of modalities whose combinations of names are all compared


def checked_modalities(model: Any, modalities: Any) -> dict[str, Modality]:
    """Returns the modalities as a dict; raises `ValueError` unless the class `model` can be made from them."""
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"modalities must be a non-empty dict of Modality by name; got {modalities!r}.")
    for name, modality in modalities.items():
        if not isinstance(modality, Modality):
            raise ValueError(f"Modality {name!r}: expected a tf_jmvae.Modality; got {modality!r}.")
        plain = isinstance(name, str) and name.isidentifier() and name.isascii() and not name.startswith("_")
        if not plain or name in RESERVED or name.endswith(ENDINGS):
            raise ValueError(
                "Metrics and signatures are named after modalities, so a name must be an ASCII Python identifier, "
                f"begin with a letter, be none of {listed(RESERVED)}, and end in none of "
                f"{listed(ENDINGS)}; got {name!r}."
            )
    for name, modality in modalities.items():
        for what, ending in (("Texts", "_text"), ("Spreads", "_spread"), ("Probabilities", "_probability")):
            if modality.columns and name + ending in modalities:
                raise ValueError(f"{what} of {name!r} are called {name}{ending}: rename the modality of that name.")
    if len({name.lower() for name in modalities}) < len(modalities):
        raise ValueError(f"Names of modalities must differ in more than their case; got {', '.join(modalities)}.")
    _check_combinations({name: modality.spec.kind for name, modality in modalities.items()})
    fewest, most = model.modality_counts
    if not fewest <= len(modalities) <= (most or len(modalities)):
        wanted = f"exactly {fewest}" if fewest == most else f"at least {fewest}"
        raise ValueError(f"{model.__name__} takes {wanted} modalities; got {len(modalities)}: {', '.join(modalities)}.")
    return dict(modalities)


def _check_combinations(kinds: Mapping[str, str]) -> None:
    """Raises `ValueError` if two subsets, directions or edits would share a name, as a and b do with a_and_b."""
    ambiguous = any({"and", "from"} & set(name.split("_")) for name in kinds)
    if ambiguous and len(kinds) > _MOST_COMBINED:
        raise ValueError(f"Names of more than {_MOST_COMBINED} modalities must not contain the words 'and' and 'from'.")
    sizes = range(1, len(kinds) + 1) if ambiguous else ()
    subsets = ["_and_".join(subset) for size in sizes for subset in itertools.combinations(kinds, size)]
    directions = [f"{target}_from_{subset}" for target in kinds for subset in subsets]
    images, attributes = ([name for name in kinds if kinds[name] == kind] for kind in ("image", "attributes"))
    for image, other in itertools.product(images, attributes):
        if image in (f"{other}_changed", f"{other}_kept"):
            raise ValueError(
                f"Changes of {other!r} are called {other}_changed and {other}_kept, so an image beside it cannot be "
                f"called {image!r}. Rename one of them."
            )
    edits = [f"{image}_by_{other}" for image, other in itertools.product(images, attributes)]
    for what, made in (("Subsets and directions", [*subsets, *directions]), ("Edits", edits)):
        for name, count in Counter(made).items():
            if count > 1:
                raise ValueError(
                    f"{what} are named after modalities, and {name!r} could be two of them. "
                    f"Rename one of {listed(kinds)}."
                )
