"""Columns of counts: one modality of whole numbers from 0 on, each of which may be missing by itself."""

import numpy as np

from tf_jmvae.columns.base import refuse
from tf_jmvae.columns.numbers import Numbers, as_numbers
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns


@COLUMNS.register("counts")
class Counts(Numbers):
    """How often something was counted."""

    @classmethod
    def adapt(cls, table, names, folder="."):
        return Columns("counts", super().adapt(table, names).names, (len(names),))

    @property
    def settings(self):
        return {**super().settings, "likelihood": "counts", "standardized": False}

    def encode(self, table, folder="."):
        for name in self.columns.names:
            numbers = np.nan_to_num(as_numbers(table[name]))
            advice = "Take kind = 'numbers' for the column."
            refuse(table[name], (numbers < 0) | (numbers != numbers.round()), "is no count", advice)
        return super().encode(table, folder)
