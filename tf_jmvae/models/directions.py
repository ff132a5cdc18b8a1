"""What a model generates from what, and how its modalities are shown to people."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["directions", "named", "pixels", "subsets"]

_ALL_SUBSETS = 4  # modalities, up to which every subset counts


def directions(model: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Each target with the modalities to generate it from: every other one alone, as far as the model answers.

    A one-way model has all that it is given for each target, and a model of one modality itself.
    """
    if len(model.modalities) == 1:
        return [(name, (name,)) for name in model.targets]
    sources = [tuple(model.conditions)] if model.conditions else [(name,) for name in model.modalities]
    return [(t, given) for t in model.targets for given in sources if t not in given and model.has_posterior(given)]


def subsets(model: Any) -> list[tuple[str, ...]]:
    """Subsets of modalities to start from, as far as the model does, in its order of modalities.

    All of up to four modalities; of more, single ones, all but one, and all together.
    """
    count = len(model.modalities)
    sizes = range(1, count + 1) if count <= _ALL_SUBSETS else (1, count - 1, count)
    found = (subset for size in sizes for subset in itertools.combinations(model.modalities, size))
    return [subset for subset in found if model.has_posterior(subset)]


def pixels(model: Any, name: str, values: Any) -> np.ndarray:
    """Images of a modality as people look at them: uint8 `[..., H, W, C]`; grey ones are dark on white."""
    shown = model.pixels(name, values).numpy()
    return 255 - shown if shown.shape[-1] == 1 else shown


def named(values: np.ndarray, names: Sequence[str], count: int) -> list[tuple[str, float]]:
    """The `count` entries of a vector that are largest, with what they are called, largest first."""
    order = np.argsort(-np.asarray(values), kind="stable")[:count]
    return [(names[entry].replace("_", " "), float(values[entry])) for entry in order]
