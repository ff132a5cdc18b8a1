"""Gaussian head for real events, with a learned or a fixed variance."""

from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.heads.base import LocationHead, positive
from tf_jmvae.heads.registration import register

# Keeps the gradient of the stddev finite if softplus underflows to 0.
_VARIANCE_FLOOR = 1e-8


def learned_gaussian(mean: tf.Tensor, raw_variance: tf.Tensor, event_ndims: int = 1) -> tfd.Distribution:
    """Returns the Gaussian `[..., *event_shape]` whose variance is the softplus of `raw_variance`."""
    return diagonal_gaussian(mean, tf.nn.softplus(raw_variance) + _VARIANCE_FLOOR, event_ndims)


@register("gaussian")
class Gaussian(LocationHead):
    """Gaussian likelihood with diagonal covariance, Eq. (2) of [1], whose variance (not stddev) is a softplus.

    Args:
      variance: fixed variance of every entry, a positive number in squared units of the data; None, the default, learns
        a variance for each entry and example.
      mean_activation: name of a Keras activation of the mean; None, the default, is linear. The paper's CelebA heads
        have `variance=1.0, mean_activation="tanh"`.
    """

    parameter_names = ("mean", "variance")

    def __init__(self, *, variance: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.variance = None if variance is None else positive("variance", variance)
        if variance is not None:
            self.parameter_names = ("mean",)

    def distribution(self, mean, raw_variance=None):
        mean, event_ndims = self._activation(mean), len(self.event_shape)
        if raw_variance is None:
            return diagonal_gaussian(mean, tf.constant(self.variance, mean.dtype), event_ndims)
        return learned_gaussian(mean, raw_variance, event_ndims)

    def get_config(self):
        return {**super().get_config(), "variance": self.variance}
