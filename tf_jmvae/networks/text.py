"""`TextEncoder`, an encoder of token sequences."""

from typing import Any

import keras
import tensorflow as tf

from tf_jmvae._utils import checks


@keras.saving.register_keras_serializable("tf_jmvae")
class TextEncoder(keras.layers.Layer):
    """Encoder of texts, `[B, T]` to `[B, units]`: token embeddings, then a bidirectional GRU or a dense layer.

    It reads each text up to and including the first 0, the end-of-text token, and ignores the padding after it. Tokens
    stay whole numbers under every precision policy.

    Args:
      vocabulary_size: V, the number of tokens, a positive integer; token 0 ends a text and pads it.
      units: width of the embeddings and of the output, an even positive integer; 128 by default.
      kind: `"gru"`, the default, reads the tokens in order; `"mean"` reads the mean of their embeddings.
      **kwargs: other arguments of `keras.layers.Layer`.

    Raises:
      ValueError: if an option has an unknown or invalid value.
    """

    def __init__(self, vocabulary_size: int, units: int = 128, *, kind: str = "gru", **kwargs: Any):
        super().__init__(autocast=False, **kwargs)
        self.vocabulary_size = checks.positive_integer("vocabulary_size", vocabulary_size)
        self.units = checks.positive_integer("units", units)
        checks.check_option("kind", kind, ("gru", "mean"))
        vocabulary_size, units = self.vocabulary_size, self.units
        if units % 2:
            raise ValueError(f"units must be even, half of them for each direction of a GRU; got {units}.")
        self.kind = kind
        options = {"dtype": self.dtype_policy}
        self.embedding = keras.layers.Embedding(vocabulary_size, units, **options)
        if kind == "gru":
            self.reader = keras.layers.Bidirectional(keras.layers.GRU(units // 2, **options), **options)
        else:
            self.reader = keras.layers.Dense(units, activation="relu", **options)

    def build(self, inputs_shape):
        self.embedding.build(inputs_shape)
        embedded = (*inputs_shape, self.units)
        self.reader.build(embedded if self.kind == "gru" else (inputs_shape[0], self.units))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Encodes texts.

        Args:
          inputs: tensor `[B, T]` of tokens, whole numbers from 0 to V - 1.

        Returns:
          Float tensor `[B, units]`.
        """
        ends = keras.ops.cast(keras.ops.equal(inputs, 0), "int32")
        read = keras.ops.equal(keras.ops.cumsum(ends, axis=1) - ends, 0)  # up to the first 0
        embedded = self.embedding(inputs)
        if self.kind == "gru":
            return self.reader(embedded, mask=read)
        weights = keras.ops.cast(read, embedded.dtype)[..., None]
        return self.reader(keras.ops.sum(embedded * weights, axis=1) / keras.ops.sum(weights, axis=1))

    def compute_output_shape(self, inputs_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """Returns the shape of the output.

        Args:
          inputs_shape: shape of the tokens, `(B, T)`.

        Returns:
          The shape `(B, units)`.
        """
        return (inputs_shape[0], self.units)

    def get_config(self):
        own = {"vocabulary_size": self.vocabulary_size, "units": self.units, "kind": self.kind}
        return {**super().get_config(), **own}
