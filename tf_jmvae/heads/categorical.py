"""Categorical head for one-hot events."""

from tensorflow_probability import distributions as tfd

from tf_jmvae.heads.base import Head
from tf_jmvae.heads.registration import register


@register("categorical")
class Categorical(Head):
    """Categorical likelihood of one-hot events over the last axis, Eq. (4) of [1], from logits.

    Positions along the other axes are independent.
    """

    parameter_names = ("logits",)
    support = "one-hot rows (a single 1, all else 0, along the last axis)"

    def distribution(self, logits):
        one_hot = tfd.OneHotCategorical(logits=logits, dtype=logits.dtype)
        return tfd.Independent(one_hot, len(self.event_shape) - 1)

    def in_support(self, values):
        binary = ((values == 0) | (values == 1)).all(axis=-1, keepdims=True)
        return binary & (values.sum(axis=-1, keepdims=True) == 1)
