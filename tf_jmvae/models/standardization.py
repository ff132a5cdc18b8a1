"""Standardised modalities: raw values in, standardised values to the model, and the way back."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae import checks

__all__ = ["Standardization", "StandardizedModalities"]


class Standardization(keras.layers.Layer):
    """`(value - mean) / deviation`, entry by entry, in float32; both are saved with the model."""

    def __init__(self, event_shape: tuple[int, ...]):
        super().__init__(dtype="float32", trainable=False)
        state = {"shape": event_shape, "dtype": "float32", "trainable": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **state)
        self.deviation = self.add_weight(name="deviation", initializer="ones", **state)
        self.built = True

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Raw `[..., *event_shape]` to standardised values."""
        return (tf.cast(values, tf.float32) - self.mean) / self.deviation

    def inverse(self, values: tf.Tensor) -> tf.Tensor:
        """Standardised `[..., *event_shape]` to raw values."""
        return tf.cast(values, tf.float32) * self.deviation + self.mean


class StandardizedModalities:
    """What models do with modalities that are `standardized`; others pass through."""

    def set_statistics(self, name: str, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Tells the model the training split's statistics of a modality.

        Args:
          name: of the modality.
          mean: `[*event_shape]`, in the raw values' unit.
          deviation: `[*event_shape]`, the standard deviation.

        Raises:
          ValueError: the modality is not `standardized`, or a shape or a deviation does not fit.
        """
        if name not in self.standardizations:
            raise ValueError(f"Modality {name!r} is not standardized: make it with Modality(..., standardized=True).")
        layer = self.standardizations[name]
        for role, value in (("mean", mean), ("deviation", deviation)):
            if np.shape(value) != layer.mean.shape:
                raise ValueError(
                    f"Modality {name!r}: its {role} must have shape {layer.mean.shape}; got {np.shape(value)}."
                )
        if not (np.isfinite(mean).all() and np.isfinite(deviation).all() and np.min(deviation) > 0):
            raise ValueError(f"Modality {name!r}: means must be finite, and deviations positive and finite.")
        layer.mean.assign(mean)
        layer.deviation.assign(deviation)

    def preprocess(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Raw modalities, such as uint8 RGB, to what the model reads: standardised where a modality is.

        Args:
          raw: `[B, *event_shape]` by name, any subset.

        Returns:
          float32 tensors `[B, *event_shape]` by name.
        """
        batch = checks.to_tensors(self.modalities, raw)
        return {
            name: self.standardizations[name](value) if name in self.standardizations else value
            for name, value in batch.items()
        }

    def postprocess(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What the model generates to what people look at: standardised images to uint8 RGB.

        Args:
          values: `[..., *event_shape]` by name, such as `generate` gives.

        Returns:
          NumPy arrays; of standardised modalities the raw values, rounded to uint8 where they are images.
        """
        checks.check_names(self.modalities, values)
        return {name: self._raw(name, value) for name, value in values.items()}

    def _raw(self, name: str, values: Any) -> np.ndarray:
        if name not in self.standardizations:
            return np.asarray(values)
        raw = self.standardizations[name].inverse(tf.convert_to_tensor(values)).numpy()
        is_image = len(self.modalities[name].event_shape) == 3
        return np.clip(np.round(raw), 0, 255).astype(np.uint8) if is_image else raw
