"""Columns of short texts, as sequences of words of the training rows."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae.columns.base import Kind, as_texts, encoded_texts, one_column
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns

UNKNOWN = "[UNK]"
_PAD_AND_UNKNOWN = 2  # number of tokens that are not words


@COLUMNS.register("text")
class Text(Kind):
    """Column of short texts, in lower case and without punctuation; rare and unknown words are `[UNK]`.

    Args:
      columns: `Columns` of the modality, whose words are sorted by decreasing frequency.
    """

    averages = False

    def __init__(self, columns: Columns):
        super().__init__(columns)
        self.layer = keras.layers.TextVectorization(
            vocabulary=list(columns.words), output_sequence_length=columns.shape[0]
        )

    @classmethod
    def adapt(cls, table, names, folder=".", *, length=None, max_words=5000, min_count=2):
        name = one_column("text", names)
        given = {"max_words": max_words, "min_count": min_count} | ({} if length is None else {"length": length})
        for option, value in given.items():
            checks.positive_integer(f"{option} of column {name!r}", value)
        texts = [text for text in as_texts(table[name]) if text]
        if not texts:
            raise ValueError(f"Column {name!r} has no text in any training row: leave it out.")
        layer = keras.layers.TextVectorization()
        layer.adapt(texts)
        if len(layer.get_vocabulary()) <= _PAD_AND_UNKNOWN:
            raise ValueError(f"Column {name!r} has no word in any training row, only punctuation: leave it out.")
        tokens = layer(tf.constant(texts)).numpy()
        counts = np.bincount(tokens.ravel())
        words = [
            str(word) for token, word in enumerate(layer.get_vocabulary()) if token > 1 and counts[token] >= min_count
        ]
        if not words:
            raise ValueError(
                f"Column {name!r} has no word that occurs {min_count} times in the training rows: set min_count = 1, "
                "or leave the column out."
            )
        if length is None:
            length = max(int(np.quantile((tokens > 0).sum(axis=1), 0.99, method="higher")), 1)
        return Columns("text", (name,), (length,), tuple(words[:max_words]))

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "event_shape": self.columns.shape,
            "likelihood": "autoregressive_tokens",
            "vocabulary_size": len(self.columns.words) + _PAD_AND_UNKNOWN,
            "optional": True,
            "encoder": (128,),
            "decoder": (128,),
        }

    def encode(self, table, folder="."):
        (name,) = self.columns.names
        return self.from_strings(tf.constant(as_texts(table[name]), tf.string)).numpy()

    def requested(self, table, folder="."):
        return encoded_texts(table[self.columns.names[0]])

    def decode(self, values):
        (name,) = self.columns.names
        texts = self.to_strings(tf.constant(values, tf.float32)).numpy()
        return {name: np.array([text.decode() for text in texts], object)}

    def from_strings(self, strings):
        tokens = tf.cast(self.layer(strings), tf.float32)
        return tf.where(tf.strings.length(tf.strings.strip(strings))[..., None] > 0, tokens, np.nan)

    def to_strings(self, values):
        words = tf.gather(tf.constant(["", UNKNOWN, *self.columns.words]), tf.cast(values, tf.int32))
        return tf.strings.strip(tf.strings.reduce_join(words, axis=-1, separator=" "))
