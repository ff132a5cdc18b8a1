"""Poisson head for counts."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.heads.base import Head
from tf_jmvae.heads.registration import register

# A rate of 2.7e8: for an infinite rate the sampler does not terminate. (From 2^24 = 1.7e7 on, float32 skips integers.)
MAX_LOG_RATE = 19.4


@register("counts")
class Poisson(Head):
    """Poisson likelihood of counts, such as a bag of words, from log rates."""

    parameter_names = ("log_rate",)
    support = "whole numbers of 0 or more"

    def distribution(self, log_rate):
        log_rate = tf.minimum(log_rate, MAX_LOG_RATE)
        return tfd.Independent(tfd.Poisson(log_rate=log_rate), len(self.event_shape))

    def in_support(self, values):
        return (values >= 0) & (values == np.floor(values))
