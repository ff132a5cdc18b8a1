"""Standardisation of modalities: conversion of raw values to standardised values and back."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import cells, checks, gaps
from tf_jmvae.data.statistics import Statistics
from tf_jmvae.images.preprocessing_in_graph import to_pixels
from tf_jmvae.models.objective import Batch

_BATCH = 4096  # number of rows of arrays to read at once


class Standardization(keras.layers.Layer):
    """Layer `(value - mean) / stddev`, elementwise in float32; mean and stddev are saved with the model."""

    def __init__(self, event_shape: tuple[int, ...], name: str | None = None):
        super().__init__(dtype="float32", trainable=False, name=name)
        state = {"shape": event_shape, "dtype": "float32", "trainable": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **state)
        self.stddev = self.add_weight(name="stddev", initializer="ones", **state)
        self.output_shape = (None, *event_shape)
        self.build(self.output_shape)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Converts raw values `[..., *event_shape]` to standardised values."""
        return (tf.cast(values, tf.float32) - self.mean) / self.stddev

    def inverse(self, values: tf.Tensor) -> tf.Tensor:
        """Converts standardised values `[..., *event_shape]` to raw values."""
        return tf.cast(values, tf.float32) * self.stddev + self.mean

    def is_set(self) -> bool:
        """Returns whether the mean is not 0 or the stddev not 1 anywhere."""
        return bool(np.any(self.mean.numpy() != 0) or np.any(self.stddev.numpy() != 1))


class StandardizedModalities:
    """Mixin of methods that convert `standardized` modalities; others pass through unchanged."""

    def set_statistics(self, name: str, mean: np.ndarray, stddev: np.ndarray) -> None:
        """Sets the mean and stddev, those of the training split, by which a modality is standardised.

        Args:
          name: name of the modality.
          mean: array `[*event_shape]` of the mean of each entry, in the raw values' unit.
          stddev: array `[*event_shape]` of the stddev of each entry, in the same unit; positive.

        Raises:
          ValueError: if the modality is not `standardized`, a shape or a stddev does not fit, or an image's mean is
            outside the range of its preprocessing.
        """
        if name not in self.standardizations:
            raise ValueError(f"Modality {name!r} is not standardized: make it with Modality(..., standardized=True).")
        layer = self.standardizations[name]
        for role, value in (("mean", mean), ("stddev", stddev)):
            shape, wanted = np.shape(value), layer.mean.shape
            if shape != wanted:
                raise ValueError(f"Modality {name!r}: its {role} must have shape {wanted}; got {shape}.")
        if not (np.isfinite(mean).all() and np.isfinite(stddev).all() and np.min(stddev) > 0):
            raise ValueError(f"Modality {name!r}: means must be finite, and stddevs positive and finite.")
        black, white = self.modalities[name].preprocessing.range
        low, high = np.min(mean), np.max(mean)
        of_other_pixels = low < black or high > white or (white == 255 and high <= 1)
        if self.modalities[name].spec.is_image and of_other_pixels:
            raise ValueError(
                f"Modality {name!r}: its mean lies between {low:g} and {high:g}, but its pixels between {black:g} and "
                f"{white:g}. Say which values are black and white: Modality(..., "
                "preprocessing=Preprocessing(range=(0, 1)))."
            )
        layer.mean.assign(mean)
        layer.stddev.assign(stddev)

    def adapt(self, data: Any) -> None:
        """Computes the statistics of standardised modalities that have none yet from training data, as `fit` does.

        Args:
          data: training data as `fit` takes them: a dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of
            batches, which is read once.

        Raises:
          ValueError: if the data are neither arrays nor a finite dataset, or an image's mean is outside the range of
            its preprocessing.
        """
        unset = [name for name, layer in self.standardizations.items() if not layer.is_set()]
        names = [name for name in unset if self.modalities[name].standardized is True]
        if not names:
            return
        data, _ = cells.encoded(self.modalities, data)
        if isinstance(data, Mapping):
            data = _batches({name: data[name] for name in (*names, *self._left_out_without()) if name in data})
        elif not isinstance(data, tf.data.Dataset) or data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"The statistics of {names} are not known, and these data cannot be read before the training: call "
                "set_statistics(name, mean, stddev), or adapt(...) with a part of the data that ends."
            )
        for name, statistics in Statistics.of_batches(self._checked_batches(data, names)).items():
            self.set_statistics(name, *statistics)

    def _checked_batches(self, data: Iterable[Any], names: list[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yields the values of the rows that the model uses."""
        first_row = 0
        for element in data:
            batch = keras.utils.unpack_x_y_sample_weight(element)[0]
            arrays = checks.to_arrays(self.modalities, batch, required=names, first_row=first_row)
            first_row += len(arrays[names[0]])
            kept = ~gaps.rows_without([name for name in self._left_out_without() if name in arrays], arrays)
            yield {name: np.asarray(arrays[name])[kept] for name in names}

    def preprocess(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Converts raw modalities, such as uint8 RGB, to the model's own values, standardised where applicable.

        Args:
          raw: arrays or tensors `[B, *event_shape]` by name, of any subset of the modalities.

        Returns:
          Dict of float32 tensors `[B, *event_shape]` by name.
        """
        return self._standardized(checks.to_tensors(self.modalities, raw), (True, "before"))

    def postprocess(self, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Converts generated values to raw values, and standardised images to uint8 pixels.

        Args:
          values: dict of arrays or tensors `[..., *event_shape]` by name, as `generate` returns them.

        Returns:
          Dict of NumPy arrays: for standardised modalities the raw values, as uint8 pixels if they are images.
        """
        checks.check_names(self.modalities, values)
        return {
            name: self.pixels(name, value).numpy()
            if name in self.standardizations and self.modalities[name].spec.is_image
            else self._raw(name, value, (True, "before")).numpy()
            for name, value in values.items()
        }

    def pixels(self, name: str, values: Any) -> tf.Tensor:
        """Converts images of a modality to pixel values.

        Args:
          name: name of the modality.
          values: array or tensor `[..., H, W, C]`, in the model's own values.

        Returns:
          uint8 tensor of the same shape, from 0 to 255.
        """
        return to_pixels(self._raw(name, values, (True, "before")), self.modalities[name].preprocessing)

    def read(self, data: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Converts data as `fit` takes them to the model's own values.

        Args:
          data: dict of arrays or tensors `[B, *event_shape]` by name, of any subset of the modalities; raw values for a
            standardised modality, unless it is marked as standardised before.

        Returns:
          Dict of checked float32 tensors `[B, *event_shape]` by name.
        """
        return self._standardized(checks.to_tensors(self.modalities, data), (True,))

    def _standardized(self, batch: Batch, when: tuple) -> dict[str, tf.Tensor]:
        return {
            name: self.standardizations[name](value) if self.modalities[name].standardized in when else value
            for name, value in batch.items()
        }

    def _raw(self, name: str, values: Any, when: tuple) -> tf.Tensor:
        values = tf.convert_to_tensor(values)
        return self.standardizations[name].inverse(values) if self.modalities[name].standardized in when else values


def _batches(arrays: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields batches of arrays, so that integers and memory-mapped arrays need not fit in memory as floats."""
    for start in range(0, max(map(len, arrays.values())), _BATCH):
        yield {name: array[start : start + _BATCH] for name, array in arrays.items()}
