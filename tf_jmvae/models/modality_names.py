"""Rules on the names of modalities."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tf_jmvae._utils import names
from tf_jmvae._utils.checks import listed
from tf_jmvae.modality import Modality

# Names that metrics and inputs of signatures use.
RESERVED = ("as_png", "as_uint8", "bytes", "noise", "prior", "rows", "seed", "self", "z")
_OF_CELLS = {"Texts": names.text, "Spreads": names.spread, "Probabilities": names.probability}
_MOST_COMBINED = 12  # largest number of modalities whose combinations of names are all compared


def checked_modalities(model: Any, modalities: Any) -> dict[str, Modality]:
    """Returns the modalities as a dict; raises `ValueError` unless the class `model` can be made from them."""
    if not isinstance(modalities, Mapping) or not modalities:
        raise ValueError(f"modalities must be a non-empty dict of Modality by name; got {modalities!r}.")
    for name, modality in modalities.items():
        if not isinstance(modality, Modality):
            raise ValueError(f"Modality {name!r}: expected a tf_jmvae.Modality; got {modality!r}.")
        plain = isinstance(name, str) and name.isidentifier() and name.isascii() and not name.startswith("_")
        if not plain or name in RESERVED or name.endswith(names.ENDINGS):
            raise ValueError(
                "Metrics and signatures are named after modalities, so a name must be an ASCII Python identifier, "
                f"begin with a letter, be none of {listed(RESERVED)}, and end in none of "
                f"{listed(names.ENDINGS)}; got {name!r}."
            )
    for name, modality in modalities.items():
        for what, called in _OF_CELLS.items():
            if modality.columns and called(name) in modalities:
                raise ValueError(f"{what} of {name!r} are called {called(name)}: rename the modality of that name.")
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
    given = [subset for size in sizes for subset in itertools.combinations(kinds, size)]
    subsets = [names.subset_name(subset) for subset in given]
    directions = [names.of_given(target, subset) for target in kinds for subset in given]
    images, attributes = ([name for name in kinds if kinds[name] == kind] for kind in ("image", "attributes"))
    for image, other in itertools.product(images, attributes):
        if image in names.edit_inputs(other):
            raise ValueError(
                f"Changes of {other!r} are called {' and '.join(names.edit_inputs(other))}, so an image beside it "
                f"cannot be called {image!r}. Rename one of them."
            )
    edits = [names.edit(image, other) for image, other in itertools.product(images, attributes)]
    for what, made in (("Subsets and directions", [*subsets, *directions]), ("Edits", edits)):
        for name, count in Counter(made).items():
            if count > 1:
                raise ValueError(
                    f"{what} are named after modalities, and {name!r} could be two of them. "
                    f"Rename one of {listed(kinds)}."
                )
