"""The negative binomial head, of counts that vary more than Poisson ones."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import UniformTransform
from tf_jmvae.heads.base import Head
from tf_jmvae.heads.poisson import MAX_LOG_RATE
from tf_jmvae.heads.registration import register
from tf_jmvae.random import sampling

# Up to 22,000, where counts are all but Poisson ones; beyond, the density in float32 loses digits to cancellation.
_MAX_LOG_INVERSE_DISPERSION = 10.0
_LEAST_INVERSE_DISPERSION = 1e-3
_LOG_RAREST = 17.0  # minus the logarithm of the smallest uniform number


@register("negative_binomial")
class NegativeBinomial(Head):
    """Negative binomial likelihood of counts with mean mu and inverse dispersion r: the variance is mu + mu^2 / r.

    It is a Poisson distribution whose rate is gamma-distributed, with mean mu and shape r, such as reads of genes or
    words of a text. Large r make it a Poisson distribution.
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
    """TFP's, with samples by the inverse of the distribution function."""

    def from_uniform(self, noise):
        noise = tf.cast(noise, tf.float64)  # in float32 the incomplete beta function is wrong in the first digit
        shape, logits = self.beside(noise, self.total_count, self.logits)
        ratio = tf.exp(logits)
        # Next to nothing lies beyond: Bernstein's inequality for a variance of mean * (1 + ratio).
        most = tf.sqrt(2.0 * _LOG_RAREST * shape * ratio * (1.0 + ratio)) + _LOG_RAREST * (1.0 + ratio)
        most = tf.math.ceil(shape * ratio + most)
        counts = sampling.least_count(
            lambda count: tf.math.betainc(shape, count + 1.0, tf.sigmoid(-logits)), noise, most
        )
        return tf.cast(counts, tf.float32)
