"""The Gaussian head, of real events with a learned or a fixed variance."""

from typing import Any

import tensorflow as tf

from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.heads.base import LocationHead, positive
from tf_jmvae.heads.registration import register

# Keeps the stddev's gradient finite where softplus underflows to 0.
_VARIANCE_FLOOR = 1e-8


@register("gaussian")
class Gaussian(LocationHead):
    """Gaussian likelihood with diagonal covariance, Eq. (2) of [1]: softplus gives the VARIANCE.

    Args:
      variance: fixed variance of every entry, a positive number in squared units of the data; None, the default, learns
        one for each entry and example.
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
        if raw_variance is None:
            variance = tf.constant(self.variance, mean.dtype)
        else:
            variance = tf.nn.softplus(raw_variance) + _VARIANCE_FLOOR
        return diagonal_gaussian(self._activation(mean), variance, len(self.event_shape))

    def get_config(self):
        return {**super().get_config(), "variance": self.variance}
