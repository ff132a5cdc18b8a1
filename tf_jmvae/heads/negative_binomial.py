"""Negative binomial head for counts that are overdispersed relative to a Poisson distribution."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import UniformTransform
from tf_jmvae.heads.base import Head
from tf_jmvae.heads.poisson import MAX_LOG_RATE
from tf_jmvae.heads.registration import register
from tf_jmvae.random import sampling

# exp(10) = 22,000, where counts are nearly Poisson; above it the float32 density loses digits to cancellation.
_MAX_LOG_INVERSE_DISPERSION = 10.0
_LEAST_INVERSE_DISPERSION = 1e-3
_LOG_RAREST = 17.0  # minus the logarithm of the smallest uniform number


@register("negative_binomial")
class NegativeBinomial(Head):
    """Negative binomial likelihood of counts with mean mu and inverse dispersion r: the variance is mu + mu^2 / r.

    It is a Poisson distribution whose rate is gamma-distributed with mean mu and shape r, as for counts of gene reads
    or of words in a text. For large r it approaches a Poisson distribution.
    """

    parameter_names = ("log_mean", "log_inverse_dispersion")
    support = "whole numbers of 0 or more"

    def distribution(self, log_mean, log_inverse_dispersion):
        bounded = tf.minimum(log_inverse_dispersion, _MAX_LOG_INVERSE_DISPERSION)
        inverse_dispersion = tf.exp(bounded) + _LEAST_INVERSE_DISPERSION
        logits = tf.minimum(log_mean, MAX_LOG_RATE) - tf.math.log(inverse_dispersion)
        return tfd.Independent(_NegativeBinomial(inverse_dispersion, logits=logits), len(self.event_shape))

    def in_support(self, values):
        return (values >= 0) & (values == np.floor(values))


class _NegativeBinomial(UniformTransform, tfd.NegativeBinomial):
    """TFP's negative binomial with samples by inversion of the distribution function."""

    def from_uniform(self, noise):
        noise = tf.cast(noise, tf.float64)  # in float32 the incomplete beta function is wrong in the first digit
        shape, logits = self.beside(noise, self.total_count, self.logits)
        ratio = tf.exp(logits)
        # Upper bound of the search, by Bernstein's inequality for a variance of mean * (1 + ratio).
        most = tf.sqrt(2.0 * _LOG_RAREST * shape * ratio * (1.0 + ratio)) + _LOG_RAREST * (1.0 + ratio)
        most = tf.math.ceil(shape * ratio + most)
        counts = sampling.least_count(
            lambda count: tf.math.betainc(shape, count + 1.0, tf.sigmoid(-logits)), noise, most
        )
        return tf.cast(counts, tf.float32)
