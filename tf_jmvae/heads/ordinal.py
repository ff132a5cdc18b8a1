"""Ordinal head for one-hot events of ordered classes.

The cumulative-logit (proportional odds) model [2]: z gives a location, and the K - 1 cut points between the classes are
weights of the head, shared by all examples.

    P(class <= k | z) = sigmoid(cut_k - location(z)),    cut_1 < .. < cut_{K-1}

References:
  [2] McCullagh, Regression models for ordinal data, 1980.
"""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae.heads.categorical import Categorical
from tf_jmvae.heads.registration import register

_LEAST_DISTANCE = 1e-4  # between cut points: a class between equal ones would have probability 0


@register("ordinal")
class Ordinal(Categorical):
    """Ordinal likelihood of one-hot events over the last axis, for ordered classes such as grades, sizes or stars.

    One location per event determines the class probabilities. Positions along the other axes are independent, with
    their own cut points; initially all classes are equally likely.

    Raises:
      ValueError: if the last axis has fewer than two classes.
    """

    parameter_names = ("location",)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.event_shape is not None and self.event_shape[-1] < 2:
            raise ValueError(
                f"There must be two or more ordered classes along the last axis; got shape {self.event_shape}."
            )

    def build(self, features_shape):
        super().build(features_shape)
        *axes, num_classes = self.event_shape
        below = np.arange(1, num_classes) / num_classes
        cuts = np.log(below / (1 - below))
        raw = np.append(cuts[0], np.log(np.expm1(np.diff(cuts) - _LEAST_DISTANCE)))  # inverse of the softplus
        shape = (*axes, num_classes - 1)
        self.raw_cuts = self.add_weight(name="raw_cuts", shape=shape, initializer=keras.initializers.Constant(raw))

    def parameter_shape(self, name):
        return (*self.event_shape[:-1], 1)

    def distribution(self, location):
        raw = tf.convert_to_tensor(self.raw_cuts)
        distances = tf.nn.softplus(raw[..., 1:]) + _LEAST_DISTANCE
        cuts = tf.cumsum(tf.concat([raw[..., :1], distances], axis=-1), axis=-1)
        up_to, above = (-tf.nn.softplus(sign * (location - cuts)) for sign in (1.0, -1.0))  # log-probabilities
        # For a class between two cuts, sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)).
        inner = up_to[..., 1:] + above[..., :-1] + tfp.math.log1mexp(distances)
        return super().distribution(tf.concat([up_to[..., :1], inner, above[..., -1:]], axis=-1))

    def noise(self, batch_size):
        return super().distribution(tf.zeros(tf.concat([[batch_size], self.event_shape], axis=0)))
