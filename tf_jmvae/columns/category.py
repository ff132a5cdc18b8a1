"""Columns of categories: one of several class names."""

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae.columns.base import Kind, as_texts, one_column, refuse
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns

_MOST = 1000  # largest number of classes


@COLUMNS.register("category")
class Category(Kind):
    """Column of one of several classes by name, such as a species.

    Args:
      columns: `Columns` of the modality, whose words are the classes.
    """

    def __init__(self, columns: Columns):
        super().__init__(columns)
        self.layer = keras.layers.StringLookup(vocabulary=list(columns.words), num_oov_indices=1)

    @classmethod
    def adapt(cls, table, names, folder="."):
        name = one_column("category", names)
        texts, counts = np.unique([text for text in as_texts(table[name]) if text], return_counts=True)
        if len(texts) < 2:
            raise ValueError(
                f"Column {name!r} has one value in all training rows, or none: there is nothing to learn from it. "
                "Leave it out."
            )
        if len(texts) > _MOST:
            raise ValueError(
                f"Column {name!r} has {len(texts):,} different values, and a category may have {_MOST:,}. If they are "
                "names of single rows, leave the column out; of sentences take kind = 'text'; otherwise join the rare "
                f"ones ({int((counts == 1).sum()):,} come once)."
            )
        words = sorted(map(str, texts), key=lambda text: (_number(text), text))
        return Columns("category", (name,), (len(words),), tuple(words))

    @property
    def settings(self):
        return {
            "event_shape": self.columns.shape,
            "likelihood": "categorical",
            "optional": True,
            "entry_names": self.columns.words,
            "encoder": (64,),
            "decoder": (64,),
        }

    def encode(self, table, folder="."):
        (name,) = self.columns.names
        texts = self._known(table[name])
        values = self.from_strings(tf.constant(texts, tf.string)).numpy()
        known = ", ".join(self.columns.words[:10]) + (", ..." if len(self.columns.words) > 10 else "")
        wrong = np.isnan(values).all(axis=1) & (texts != "")
        refuse(table[name], wrong, "is not a class in the training rows", f"They have {known}. Or empty the cell.")
        return values

    def requested(self, table, folder="."):
        self.encode(table, folder)  # raises for unknown classes, which a server would take as missing
        return np.array([text.encode() for text in self._known(table[self.columns.names[0]])], object)

    def _known(self, cells) -> np.ndarray:
        """Converts cells to texts, `[N]`, and numbers to the class of the same number, as 2.0 is read for 2."""
        texts, words = as_texts(cells), set(self.columns.words)
        numbers: dict[float, list[str]] = {}
        for word in self.columns.words:
            numbers.setdefault(_number(word), []).append(word)
        for row, text in enumerate(texts):
            same = numbers.get(_number(text), []) if text not in words and np.isfinite(_number(text)) else []
            if len(same) == 1:
                texts[row] = same[0]
        return texts

    def decode(self, values):
        (name,) = self.columns.names
        return {name: np.array(self.columns.words, object)[np.asarray(values).argmax(axis=-1)]}

    def sureness(self, values):
        (name,) = self.columns.names
        return {name: np.asarray(values, np.float64).max(axis=-1)}

    def from_strings(self, strings):
        index = self.layer(tf.strings.strip(strings))[..., None]  # 0 if unknown
        one_hot = tf.one_hot(index[..., 0] - 1, len(self.columns.words))
        return tf.where(index > 0, one_hot, np.nan)

    def to_strings(self, values):
        return tf.gather(tf.constant(self.columns.words), tf.argmax(values, axis=-1))


def _number(text: str) -> float:
    """Returns a text as a number, the first sort key of classes; infinity if it is not a number."""
    try:
        return float(text) if float(text) == float(text) else float("inf")
    except ValueError:
        return float("inf")
