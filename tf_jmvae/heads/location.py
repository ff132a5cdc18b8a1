"""What heads over real values have in common."""

import math
import numbers
from typing import Any

import keras
import tensorflow as tf

from tf_jmvae.heads.base import Head

__all__ = ["LocationHead", "positive"]


class LocationHead(Head):
    """A head over real values whose location may pass through an activation."""

    def __init__(self, *, mean_activation: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.mean_activation = mean_activation
        self._activation = keras.activations.get(mean_activation)

    @property
    def is_location(self) -> bool:
        return len(self.parameter_names) == 1

    def get_config(self):
        return {**super().get_config(), "mean_activation": self.mean_activation}


def positive(name: str, value: Any) -> float:
    """The value as a float; raises `ValueError` unless it is a positive, finite number."""
    if not (isinstance(value, numbers.Real) or tf.is_tensor(value)) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive; got {value!r}.")
    return float(value)
