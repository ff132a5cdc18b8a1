"""Removal of modalities from complete data, for experiments on learning from incomplete rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_jmvae._utils.checks import listed
from tf_jmvae._utils.gaps import missing_rows


@dataclass(frozen=True)
class Missing:
    """Selection of rows that are to lack a modality.

    Attributes:
      fraction: fraction of all rows, from 0 to 1, drawn at random.
      of: names of entries of w, classes or attributes, to draw only rows with one of them; `()`, the default, for all
        rows.
      balanced: whether equally many rows of each class keep the modality; False by default.

    Raises:
      ValueError: if the fraction is not between 0 and 1.
    """

    fraction: float
    of: tuple[str, ...] = ()
    balanced: bool = False

    def __post_init__(self):
        object.__setattr__(self, "of", tuple(self.of))
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"missing: a fraction must lie between 0 and 1; got {self.fraction}.")


def without(
    arrays: Mapping[str, np.ndarray],
    missing: Mapping[str, Missing | float],
    *,
    entries: np.ndarray | None = None,
    seed: int = 0,
    class_names: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Removes modalities from random rows, independently for each modality.

    No row loses its last modality. Missing values are NaN, so an array with missing rows is float32, even if it was
    uint8.

    Args:
      arrays: dict of arrays `[N, ...]` by modality.
      missing: dict by modality of a `Missing`, or just the fraction of rows that are to lack it.
      entries: array `[N, C]` of one-hot labels or attributes w, to which `missing` refers; by default `arrays["w"]`.
      seed: integer seed of the random rows; by default 0.
      class_names: names of the entries of w; by default none.

    Returns:
      New dict of arrays; arrays without missing rows are not copied.

    Raises:
      ValueError: if a modality or name is unknown, or too few rows can lack a modality.
    """
    if unknown := [name for name in missing if name not in arrays]:
        raise ValueError(f"missing names {listed(unknown)}, but the modalities are {listed(arrays)}.")
    lacking = {name: missing_rows(array) for name, array in arrays.items()}
    entries = arrays.get("w") if entries is None else entries
    for number, (name, wanted) in enumerate(missing.items()):
        wanted = wanted if isinstance(wanted, Missing) else Missing(wanted)
        if wanted.balanced and entries is None:
            raise ValueError("missing: balanced=True balances the classes of w, which the data lack.")
        alone = np.ones(len(lacking[name]), bool)
        others = ~np.all([alone, *(rows for other, rows in lacking.items() if other != name)], axis=0)
        drawn_from = np.flatnonzero(others & ~lacking[name] & _has_any(entries, wanted.of, class_names))
        count = round(wanted.fraction * len(others))
        if count > len(drawn_from):
            raise ValueError(
                f"missing: {count:,} rows cannot lack {name!r}: {len(drawn_from):,} hold it, hold something else as "
                f"well, and have {listed(wanted.of) if wanted.of else 'any class'}."
            )
        order = np.random.default_rng([seed, number]).permutation(drawn_from)
        if wanted.balanced:  # classes alternate at the end, so that equally many rows of each are kept
            classes = entries[order].argmax(-1)
            turn = np.empty(len(order), int)
            for one in np.unique(classes):
                turn[classes == one] = np.arange(np.sum(classes == one))[::-1]
            order = order[np.argsort(-turn, kind="stable")]
        lacking[name][order[:count]] = True
    found = dict(arrays)
    for name in missing:
        found[name] = np.array(arrays[name], np.float32)
        found[name][lacking[name]] = np.nan
    return found


def _has_any(entries: np.ndarray | None, names: Sequence[str], class_names: Sequence[str]) -> np.ndarray | bool:
    """Returns which rows have one of the named entries of w, Boolean `[N]`; all rows without names."""
    if not names:
        return True
    if wrong := [name for name in names if name not in class_names]:
        raise ValueError(f"missing: {listed(wrong)} is none of {listed(class_names)}.")
    if entries is None:
        raise ValueError(f"missing: {listed(names)} are entries of w, which the data lack.")
    return (entries[:, [list(class_names).index(name) for name in names]] > 0).any(axis=1)
