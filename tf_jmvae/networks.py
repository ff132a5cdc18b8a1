"""The paper's network blocks as Keras models: tensor in, tensor out.

What these functions return is a pattern: a `Modality` keeps it, and a model
makes a fresh copy wherever it needs one (a tower of the joint encoder, a single
encoder). Any Keras model or layer that can be made again from its config will do
in their place.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Template", "clone", "flatten", "mlp"]


def mlp(
    units: Sequence[int] = (512, 512),
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    name: str | None = None,
) -> keras.Sequential:
    """`DkR` layers in a row, e.g. D512R-D512R for `[512, 512]` (section 4.2.1).

    Args:
      units: width of each dense layer; an empty sequence only flattens.
      activation: any Keras activation by name.
      dropout: share of each layer's outputs that is dropped in training.
      name: name of the Keras model.

    Returns:
      An unbuilt `keras.Sequential`: `[B, ...]` to `[B, units[-1]]`.
    """
    layers: list[keras.layers.Layer] = [keras.layers.Flatten()]
    for width in units:
        layers.append(keras.layers.Dense(width, activation=activation))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential(layers, name=name)


def clone(pattern: keras.layers.Layer) -> keras.layers.Layer:
    """A fresh, unshared copy of a layer or model from its config, with new weights.

    Raises:
      ValueError: if the layer cannot be made again from its config.
    """
    config = _without_sharing(keras.saving.serialize_keras_object(pattern))
    try:
        return keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The network {pattern.name!r} cannot be made again from its config, which models do for every copy: "
            "register its classes with keras.saving.register_keras_serializable, give them get_config, and use no "
            f"Lambda layers. Keras says: {error}"
        ) from error


def _without_sharing(config: Any) -> Any:
    """The config without the marks by which Keras, while it loads a model, makes two copies one layer."""
    if isinstance(config, dict):
        return {key: _without_sharing(value) for key, value in config.items() if key != "shared_object_id"}
    if isinstance(config, list | tuple):
        return type(config)(_without_sharing(value) for value in config)
    return config


class Template:
    """Holds a layer that is only ever copied, out of reach of Keras's tracking.

    As an attribute of its own the layer would be saved and counted beside its copies.

    Args:
      layer: a Keras layer or model, or None.
    """

    def __init__(self, layer: keras.layers.Layer | None):
        self.layer = layer

    def serialize(self) -> dict[str, Any] | None:
        """The layer as a Keras config, or None."""
        return None if self.layer is None else keras.saving.serialize_keras_object(self.layer)


def flatten(features: tf.Tensor) -> tf.Tensor:
    """`[B, ...]` to `[B, F]`."""
    if features.shape.rank == 2:
        return features
    return tf.reshape(features, (tf.shape(features)[0], features.shape[1:].num_elements()))
