"""Rows that a measure can score, of data that may lack modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_jmvae._utils import checks, gaps
from tf_jmvae.models import MultimodalVAE


class NoExamplesError(ValueError):
    """Raised if no row holds what a measure needs."""


@dataclass
class ScoredRows:
    """Selects the rows that hold a modality of each group in `groups`, and counts the rows of all batches."""

    groups: Sequence[Sequence[str]]
    num_scored: int = 0
    num_left_out: int = 0

    def select(self, batch: Mapping[str, Any], among: np.ndarray | None = None) -> np.ndarray:
        """Returns which rows of a batch can be scored, Boolean `[N]`; all others, and all not `among` them, cannot."""
        every = np.ones(len(next(iter(batch.values()))), bool) if among is None else among
        held = (gaps.rows_with_any([batch[name] for name in group]) for group in self.groups)
        found = np.all([every, *held], axis=0)
        self.num_scored += int(found.sum())
        self.num_left_out += int((~found).sum())
        return found

    def settings(self) -> dict[str, int]:
        """Returns what an estimate says of rows that were left out; raises `NoExamplesError` if none was scored."""
        if not self.num_scored:
            hint = " that can be scored" if self.num_left_out else ""
            raise NoExamplesError(f"The data contain no examples{hint}.")
        return {"rows_left_out": self.num_left_out} if self.num_left_out else {}


def scored(
    model: MultimodalVAE, data: Mapping[str, Any], groups: Sequence[Sequence[str]], among: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, int]]:
    """Returns the checked modalities of all groups in the rows that can be scored, which rows, and the settings."""
    names = [name for group in groups for name in group]
    checks.check_names(model.modalities, dict.fromkeys(names))
    checks.check_names(model.modalities, data, required=names)
    arrays = checks.to_arrays(model.modalities, {name: data[name] for name in names})
    rows = ScoredRows(groups)
    kept = rows.select(arrays, among)
    return {name: np.asarray(values)[kept] for name, values in arrays.items()}, kept, rows.settings()
