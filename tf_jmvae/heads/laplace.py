"""Real events with a fixed scale and heavier tails than a Gaussian's."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae.heads.location import LocationHead, positive
from tf_jmvae.heads.registration import register

tfd = tfp.distributions

__all__ = ["Laplace"]


@register("laplace")
class Laplace(LocationHead):
    """Real events with a fixed scale: what multimodal benchmarks use for images.

    Args:
      scale: the same for every dimension (0.75 is usual for images in [0, 1]).
      mean_activation: Keras activation of the location.
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
