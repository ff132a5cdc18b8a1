"""Beta head for proportions."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import UniformTransform
from tf_jmvae.heads.base import Head
from tf_jmvae.heads.registration import register

# Bounds the stddev from below, at about 0.0035, because the density would grow without bound.
_MAX_LOG_CONCENTRATION = 9.2
_LEAST_CONCENTRATION = 1e-2
# The float32 numbers next to 0 and 1.
_LEAST, _MOST = np.finfo(np.float32).tiny, 1.0 - 2.0**-24


@register("beta")
class Beta(Head):
    """Beta likelihood of proportions, numbers between 0 and 1, from the logarithms of its two concentrations.

    The mean is c1 / (c1 + c0), and the variance mean * (1 - mean) / (1 + c1 + c0). The density may be infinite at 0 and
    1: move such values inwards by half of the smallest step of the data, or use `"bernoulli"`.
    """

    parameter_names = ("log_concentration1", "log_concentration0")
    support = "numbers between 0 and 1, neither of them included"

    def distribution(self, log_concentration1, log_concentration0):
        beta = _Beta(_concentration(log_concentration1), _concentration(log_concentration0))
        return tfd.Independent(beta, len(self.event_shape))

    def in_support(self, values):
        return (values >= _LEAST) & (values <= _MOST)


def _concentration(logarithm: tf.Tensor) -> tf.Tensor:
    return tf.exp(tf.minimum(logarithm, _MAX_LOG_CONCENTRATION)) + _LEAST_CONCENTRATION


class _Beta(UniformTransform, tfd.Beta):
    """TFP's beta with samples that are never rounded to 0 or 1, and a mode even if the density is unbounded."""

    def from_uniform(self, noise):
        noise = tf.cast(noise, tf.float64)  # in float32 the quantile function is wrong in the third digit
        c1, c0 = self.beside(noise, self.concentration1, self.concentration0)
        return _inside(tf.cast(tfp.math.betaincinv(c1, c0, noise), tf.float32))

    def _mode(self):
        """Returns the mode, or the endpoint of unbounded density, of two the one with the larger concentration."""
        c1, c0 = self.concentration1, self.concentration0
        inner = (c1 > 1) & (c0 > 1)
        mode = (c1 - 1) / tf.where(inner, c1 + c0 - 2, tf.ones_like(c1))
        return _inside(tf.where(inner, mode, tf.cast(c1 >= c0, c1.dtype)))


def _inside(values: tf.Tensor) -> tf.Tensor:
    """Clips values to the float32 numbers strictly between 0 and 1."""
    return tf.clip_by_value(values, _LEAST, _MOST)
