"""Bernoulli head for binary events."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.heads.base import Head
from tf_jmvae.heads.registration import register


@register("bernoulli")
class Bernoulli(Head):
    """Bernoulli likelihood of binary entries, Eq. (3) of [1], from logits.

    A value strictly between 0 and 1 is taken as the probability of a 1: its log-density is the expectation over the
    binary value.
    """

    parameter_names = ("logits",)
    support = "values in [0, 1]"

    def distribution(self, logits):
        return tfd.Independent(_Bernoulli(logits=logits, dtype=logits.dtype), len(self.event_shape))

    def in_support(self, values):
        return (values >= 0) & (values <= 1)


class _Bernoulli(tfd.Bernoulli):
    """TFP's Bernoulli with a log-density from one softplus rather than two, which halves the time for images."""

    def _log_prob(self, event):
        logits = tf.convert_to_tensor(self.logits)
        return tf.cast(event, logits.dtype) * logits - tf.math.softplus(logits)
