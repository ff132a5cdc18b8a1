"""Columns of counts, whole numbers of 0 or more, each of which may be missing separately."""

import numpy as np

from tf_jmvae.columns.base import refuse
from tf_jmvae.columns.numbers import Numbers, as_numbers
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns


@COLUMNS.register("counts")
class Counts(Numbers):
    """Columns of counts, whole numbers of 0 or more."""

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
            refuse(table[name], (numbers < 0) | (numbers != numbers.round()), "is not a count", advice)
        return super().encode(table, folder)
