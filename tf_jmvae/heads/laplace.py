"""Laplace head for real events, with a fixed scale and heavier tails than a Gaussian's."""

from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.heads.base import LocationHead, positive
from tf_jmvae.heads.registration import register


@register("laplace")
class Laplace(LocationHead):
    """Laplace likelihood with a fixed scale, which multimodal benchmarks use for images.

    Args:
      scale: scale of every entry, a positive number in the unit of the data; 0.75 by default, as is usual for images in
        [0, 1].
      mean_activation: name of a Keras activation of the location; None, the default, is linear.
    """

    parameter_names = ("location",)

    def __init__(self, *, scale: float = 0.75, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = positive("scale", scale)

    def distribution(self, location):
        laplace = tfd.Laplace(self._activation(location), tf.constant(self.scale, location.dtype))
        return tfd.Independent(laplace, len(self.event_shape))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
