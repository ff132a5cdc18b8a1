"""Checks of the data that `fit`, `evaluate` and `predict` get, before any step runs."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae import checks

__all__ = ["ValidatedFit"]


class ValidatedFit:
    """Puts a check in front of Keras's loops.

    Arrays are checked whole. Of a `tf.data.Dataset` the first batch is checked; names,
    shapes and dtypes of every batch are checked while the step is traced.
    """

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        self._check_data(x, y, complete=True)
        validation = kwargs.get("validation_data")
        if isinstance(validation, tuple):
            validation_x, validation_y, weight = keras.utils.unpack_x_y_sample_weight(validation)
            self._check_data(validation_x, validation_y, complete=True)
            kwargs["validation_data"] = (validation_x, _keep(weight), weight)
        elif validation is not None:
            self._check_data(validation, complete=True)
        if kwargs.get("class_weight") is not None:
            raise ValueError("class_weight needs targets, which a multimodal VAE has not; use sample_weight.")
        if isinstance(x, tf.data.Dataset | tf.distribute.DistributedDataset):
            kwargs.setdefault("shuffle", False)  # Keras's default, True, is for arrays; here it warns of it
        return super().fit(x, _keep(kwargs.get("sample_weight")), *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._check_data(x, y, complete=True)
        return super().evaluate(x, _keep(kwargs.get("sample_weight")), *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        self._check_data(x, complete=False)
        return super().predict(x, *args, **kwargs)

    def _check_data(self, x: Any, y: Any = None, *, complete: bool) -> None:
        checks.check_no_targets(y)
        if x is None:
            raise ValueError(
                "No data was given: pass a dict of arrays by modality, or a tf.data.Dataset of such dicts."
            )
        if isinstance(x, tf.data.Dataset):
            for batch in x.take(1):
                self._check_data(keras.utils.unpack_x_y_sample_weight(batch)[0], complete=complete)
        elif isinstance(x, Mapping) or _is_array(x):
            checks.check_names(self.modalities, x, required=self.modalities if complete else None)
            checks.to_tensors(self.modalities, x)


def _keep(sample_weight: Any) -> np.ndarray | None:
    """Targets of no columns, for the sample weights' sake: where y is None, Keras drops them without a word."""
    return None if sample_weight is None else np.zeros((len(sample_weight), 0), np.float32)


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | list) or tf.is_tensor(x)
