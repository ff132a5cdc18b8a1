"""The directions and subsets of a model's modalities."""

import itertools
from typing import Any

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
