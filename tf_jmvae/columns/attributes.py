"""Columns of binary attributes (yes or no), each of which may be missing separately."""

from collections import Counter

import numpy as np

from tf_jmvae.columns.base import Kind, as_texts, refuse
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns

_NO = ("no", "false", "0", "0.0", "n", "f", "off", "-1", "-1.0", "-")
_YES = ("yes", "true", "1", "1.0", "y", "t", "on", "+1", "+")
WORDS = frozenset(_NO + _YES)


@COLUMNS.register("attributes")
class Attributes(Kind):
    """Columns of yes or no, in the table's own words: yes, true, 1, y, t, on, +, or no, ..."""

    @classmethod
    def adapt(cls, table, names, folder="."):
        words: list[str] = []
        for name in names:
            texts = as_texts(table[name])
            _numbers(table[name], texts)
            for said, default in ((_NO, "no"), (_YES, "yes")):
                own = Counter(text for text in texts if text.lower() in said)
                words.append(own.most_common(1)[0][0] if own else default)
        return Columns("attributes", tuple(names), (len(names),), tuple(words))

    @property
    def settings(self):
        return {
            "event_shape": self.columns.shape,
            "likelihood": "bernoulli",
            "optional": "entries",
            "entry_names": self.columns.names,
            "encoder": (64,),
            "decoder": (64,),
        }

    def encode(self, table, folder="."):
        columns = [_numbers(table[name], as_texts(table[name])) for name in self.columns.names]
        return np.stack(columns, axis=1).astype(np.float32)

    def decode(self, values):
        words = np.array(self.columns.words, object).reshape(-1, 2)
        yes = (np.asarray(values) > 0.5).astype(int)
        return {name: words[number][yes[:, number]] for number, name in enumerate(self.columns.names)}

    def sureness(self, values):
        values = np.asarray(values, np.float64)
        return dict(zip(self.columns.names, np.maximum(values, 1 - values).T, strict=True))


def _numbers(cells, texts: np.ndarray) -> np.ndarray:
    """Converts cells to 1 for yes, 0 for no and NaN if missing, `[N]`; raises `ValueError` for other words."""
    said = {**dict.fromkeys(_NO, 0.0), **dict.fromkeys(_YES, 1.0), "": np.nan}
    numbers = np.array([said.get(text.lower(), 2.0) for text in texts])
    advice = "Use yes or no, true or false, 1 or 0; or take kind = 'category' for the column."
    refuse(cells, numbers == 2, "is neither yes nor no", advice)
    return numbers
