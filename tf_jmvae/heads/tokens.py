"""Heads of token sequences: texts of up to T tokens, independent given z or autoregressive.

A text is a sequence of whole numbers from 1 to V - 1, padded with 0, as `keras.layers.TextVectorization` returns it.
The first 0 is the end-of-text token, by which the length is learned; later zeros are padding without a density:

    log p(m | z) = sum_{t <= L} log p(m_t | z, ..),    L the position of the first 0, or T

So the probabilities of all texts add up to 1.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import checks
from tf_jmvae.distributions import UniformTransform
from tf_jmvae.heads.base import Head
from tf_jmvae.heads.registration import register


class _Tokens(Head):
    """Base class of heads of token sequences."""

    def __init__(self, *, vocabulary_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.vocabulary_size = checks.positive_integer("vocabulary_size", vocabulary_size)
        if vocabulary_size < 2:
            raise ValueError(
                "vocabulary_size must be 2 or more: token 0, the end of a text, and at least one other; got 1."
            )
        if self.event_shape is not None and len(self.event_shape) != 1:
            raise ValueError(
                f"The shape of token sequences has one axis, its largest length, such as (12,); got {self.event_shape}."
            )

    @property
    def support(self) -> str:
        return f"whole numbers from 0 to {self.vocabulary_size - 1}, and after a 0 nothing but 0"

    def in_support(self, values):
        token = (values >= 0) & (values < self.vocabulary_size) & (values == values.round())
        after_the_end = (values == 0).cumsum(axis=-1) > (values == 0)
        return token & ~(after_the_end & (values != 0))

    def noise(self, batch_size):
        """Returns a distribution with equally likely tokens, without the weights of a recurrent network."""
        return TokenSequence(tf.zeros([batch_size, *self.event_shape, self.vocabulary_size]))

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


@register("tokens")
class Tokens(_Tokens):
    """Likelihood of a token sequence `[T]` whose tokens are independent given z, from logits `[T, V]`.

    The `mean` of the distribution is its mode, the most probable text.

    Args:
      vocabulary_size: V, the number of tokens, 2 or more; token 0 ends a text and pads it.
    """

    parameter_names = ("logits",)

    def parameter_shape(self, name):
        return (*self.event_shape, self.vocabulary_size)

    def distribution(self, logits):
        return TokenSequence(logits)


@register("autoregressive_tokens")
class AutoregressiveTokens(_Tokens):
    """Autoregressive likelihood of a token sequence `[T]`: each token given z and the previous tokens, by a GRU.

    The features give the initial state of a GRU, which reads the previous tokens and computes the logits of the next.
    The `mean` of the distribution is the greedy decoding: the most probable token at each position given those before
    it.

    Args:
      vocabulary_size: V, the number of tokens, 2 or more; token 0 ends a text and pads it.
      units: width of the GRU's state and of the tokens' embeddings, a positive integer; 128 by default.
    """

    parameter_names = ("state",)

    def __init__(self, *, vocabulary_size: int, units: int = 128, **kwargs: Any):
        super().__init__(vocabulary_size=vocabulary_size, **kwargs)
        self.units = checks.positive_integer("units", units)
        options = {"dtype": "float32"}
        self.embedding = keras.layers.Embedding(self.vocabulary_size, self.units, **options, name="embedding")
        self.cell = keras.layers.GRUCell(self.units, **options, name="cell")
        self.logits = keras.layers.Dense(self.vocabulary_size, **options, name="logits")

    def build(self, features_shape):
        super().build(features_shape)
        self.embedding.build()
        for layer in (self.cell, self.logits):
            layer.build((None, self.units))

    def parameter_shape(self, name):
        return (self.units,)

    def distribution(self, state):
        return AutoregressiveSequence(tf.tanh(state), self.event_shape[0], self._step)

    def _step(self, token: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes logits `[N, V]` of the next token and the next state `[N, units]` from the previous token, `[N]`."""
        _, (state,) = self.cell(self.embedding(token), [state])
        return self.logits(state), state

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class _Sequence(UniformTransform):
    """Distribution over texts `[T]`, float32, whose batch shape is that of `like` without its last `axes` axes."""

    def __init__(self, like: tf.Tensor, axes: int, length: int, parameters: dict):
        self._like, self._axes, self._length = like, axes, length
        super().__init__(
            tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=type(self).__name__,
        )

    def _batch_shape(self):
        return self._like.shape[: -self._axes]

    def _batch_shape_tensor(self, **_):
        return tf.shape(self._like)[: -self._axes]

    def _event_shape(self):
        return tf.TensorShape([self._length])

    def _event_shape_tensor(self, **_):
        return tf.constant([self._length], tf.int32)

    def _mean(self):
        return self._mode()


class TokenSequence(_Sequence):
    """Distribution over texts of independent tokens, from logits `[..., T, V]`."""

    def __init__(self, logits: tf.Tensor):
        self.logits = logits
        super().__init__(logits, 2, logits.shape[-2], {"logits": logits})

    def _log_prob(self, value):
        return tf.reduce_sum(_scores(self.logits, value) * _scored(value), axis=-1)

    def _mode(self):
        log_p = tf.nn.log_softmax(self.logits)
        best = tf.argmax(log_p[..., 1:], axis=-1) + 1
        of_best, of_end = tf.reduce_max(log_p[..., 1:], axis=-1), log_p[..., 0]
        before = tf.concat([tf.zeros_like(of_end[..., :1]), tf.cumsum(of_best, axis=-1)], axis=-1)
        totals = before + tf.concat([of_end, tf.zeros_like(of_end[..., :1])], axis=-1)  # best texts by length, 0 to T
        length = tf.argmax(totals, axis=-1)[..., None]
        return tf.where(tf.range(self._length, dtype=length.dtype) < length, tf.cast(best, tf.float32), 0.0)

    def from_uniform(self, noise):
        logits = self.logits[None] if self.logits.shape.rank == 2 else self.logits
        return _ended(_token(logits[:, None], noise))


class AutoregressiveSequence(_Sequence):
    """Autoregressive distribution over texts; `step` maps a token and a state to the next logits and state."""

    def __init__(self, state: tf.Tensor, length: int, step: Any):
        self.state, self._step = state, step
        super().__init__(state, 1, length, {"state": state, "length": length, "step": step})

    def _log_prob(self, value):
        shape = tf.broadcast_dynamic_shape(tf.shape(value)[:-1], self.batch_shape_tensor())
        value = tf.broadcast_to(value, tf.concat([shape, [self._length]], axis=0))
        tokens = tf.reshape(value, (-1, self._length))
        logits = self._run(self._states(shape), lambda t, _: tokens[:, t])[0]
        scores = tf.reshape(_scores(logits, tokens), tf.shape(value))
        return tf.reduce_sum(scores * _scored(value), axis=-1)

    def _mode(self):
        shape = self.batch_shape_tensor()
        _, tokens = self._run(self._states(shape), lambda _, logits: tf.cast(tf.argmax(logits, axis=-1), tf.float32))
        return _ended(self._shaped(tokens, shape))

    def from_uniform(self, noise):
        shape = tf.shape(noise)[:-1]
        state = self.state[None] if self.state.shape.rank == 1 else self.state
        states = tf.broadcast_to(state[:, None], tf.concat([shape, tf.shape(state)[-1:]], axis=0))
        numbers = tf.reshape(noise, (-1, self._length))
        _, tokens = self._run(
            tf.reshape(states, (-1, state.shape[-1])), lambda t, logits: _token(logits, numbers[:, t])
        )
        return _ended(tf.ensure_shape(tf.reshape(tokens, tf.shape(noise)), noise.shape))

    def _states(self, shape: tf.Tensor) -> tf.Tensor:
        """Returns the initial states, `[N, units]`, for a batch shape of N in all."""
        units = self.state.shape[-1]
        return tf.reshape(tf.broadcast_to(self.state, tf.concat([shape, [units]], axis=0)), (-1, units))

    def _shaped(self, tokens: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        tokens = tf.reshape(tokens, tf.concat([shape, [self._length]], axis=0))
        return tf.ensure_shape(tokens, [*self.batch_shape, self._length])

    def _run(self, state: tf.Tensor, choose: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs the GRU; returns logits `[N, T, V]` and the tokens `[N, T]` that `choose(t, logits)` selects."""
        token, all_logits, tokens = tf.zeros(tf.shape(state)[:1]), [], []
        for t in range(self._length):
            logits, state = self._step(token, state)
            token = choose(t, logits)
            all_logits.append(logits)
            tokens.append(token)
        return tf.stack(all_logits, axis=1), tf.stack(tokens, axis=1)


def _scores(logits: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """Computes the log-probability of each token, `[..., T]`, from logits `[..., T, V]`, with broadcasting."""
    one_hot = tf.one_hot(tf.cast(tokens, tf.int32), logits.shape[-1], dtype=logits.dtype)
    return tf.reduce_sum(tf.nn.log_softmax(logits) * one_hot, axis=-1)


def _scored(tokens: tf.Tensor) -> tf.Tensor:
    """Returns a mask `[..., T]` that is 1 up to and including the first 0 of each text."""
    return tf.math.cumprod(tf.cast(tokens > 0, tf.float32), axis=-1, exclusive=True)


def _ended(tokens: tf.Tensor) -> tf.Tensor:
    """Sets all tokens after the first 0 to 0."""
    return tokens * _scored(tokens)


def _token(logits: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """Samples tokens, float32, from logits `[.., V]` by inversion with uniform noise `[..]`."""
    bounds = tf.cumsum(tf.nn.softmax(logits), axis=-1)[..., :-1]
    return tf.reduce_sum(tf.cast(bounds <= noise[..., None], tf.float32), axis=-1)
