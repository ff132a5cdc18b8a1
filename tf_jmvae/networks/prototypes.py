"""Prototypes of networks: layers that models copy by their config, each copy with its own weights."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils.keras_api import flatten_layers


def checked(role: str, network: Any) -> keras.layers.Layer:
    """Returns the network; raises `TypeError`, which names it by `role`, unless it is a Keras layer."""
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"{role} must be a Keras layer or model, such as tf_jmvae.networks.mlp([512, 512]); got {network!r}."
        )
    return network


def clone(
    network: keras.layers.Layer, policy: keras.DTypePolicy | None = None, *, name: str | None = None
) -> keras.layers.Layer:
    """Copies a layer or model: makes it from its config and copies the weights of all layers that are built.

    Layers that are not built start with new weights. All layers of the copy have the dtype `policy`, by default their
    own, and the copy has the `name`, by default that of the network. Raises `ValueError` if the network cannot be made
    from its config.
    """
    several_replicas = tf.distribute.get_strategy().num_replicas_in_sync > 1

    def adapted(config: dict[str, Any]) -> dict[str, Any]:
        settings, kind = config.get("config"), config.get("class_name")
        if policy and "dtype" in (settings or ()) and kind != "InputLayer":  # inputs keep the dtype of their values
            settings = {**settings, "dtype": policy.name}
        if several_replicas and kind == "BatchNormalization":  # statistics of the global batch, as on one device
            settings = {**settings, "synchronized": True}
        return {**config, "config": settings} if settings else config

    with default_policy(policy or keras.config.dtype_policy()):
        copy = remade(f"network {network.name!r}", _mapped(serialize(network), adapted), network)
    copy.name = name or network.name
    return copy


def serialize(network: Any) -> Any:
    """Returns the config of a layer or model without its compile config; other values are returned as they are."""
    # shared_object_id would make two copies one layer on loading; compile_config belongs to another training.
    marks = ("shared_object_id", "compile_config")
    config = keras.saving.serialize_keras_object(network)
    return _mapped(config, lambda entries: {key: value for key, value in entries.items() if key not in marks})


def remade(role: str, config: dict[str, Any], like: keras.layers.Layer | None = None) -> Any:
    """Makes a layer from the config of `serialize`, with the weights of `like`; raises `ValueError` on failure."""
    try:
        made = keras.saving.deserialize_keras_object(config)
        if like is not None:
            copy_state(like, made)
            for one, other in zip(flatten_layers(like), flatten_layers(made), strict=True):
                other.trainable = one.trainable  # owners first, because a layer sets `trainable` of its sublayers
        return made
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The {role} cannot be made again from its config, which models do for every copy and when they are "
            "loaded: register its classes and functions with keras.saving.register_keras_serializable, give classes "
            "get_config, use plain numbers, and no lambdas or Lambda layers. Keras says: "
            + str(error).rpartition("Exception encountered: ")[2]
        ) from error


@contextlib.contextmanager
def default_policy(policy: keras.DTypePolicy) -> Iterator[None]:
    """Context in which new layers, including nested ones, have this dtype policy by default."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_weights(layer: keras.layers.Layer, *examples: Any) -> Any:
    """Makes all weights of a layer by calling it on example arguments; returns the outputs."""
    # Keras would trace the call in its own graph, and lose what layers make in `build` besides weights.
    with keras.name_scope(layer.name):
        outputs = layer.call(*examples)
    layer.built = True
    return outputs


def copy_state(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copies the weights and statistics of a layer and of its nested layers."""
    inner = functools.partial(flatten_layers, recursive=False, include_self=False)

    def build() -> None:
        if source.built and not target.built:
            target.build_from_config(source.get_build_config())

    if len(inner(source)) != len(inner(target)):
        build()  # which makes the nested layers
    for one, other in zip(inner(source), inner(target), strict=True):
        copy_state(one, other)
    build()
    if source.built:
        store: dict[str, Any] = {}
        source.save_own_variables(store)
        target.load_own_variables({key: np.asarray(value) for key, value in store.items()})


def _mapped(config: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Applies `change` to every dict in a config, innermost first."""
    if isinstance(config, list | tuple):
        return type(config)(_mapped(value, change) for value in config)
    if not isinstance(config, dict):
        return config
    return change({key: _mapped(value, change) for key, value in config.items()})


class Template:
    """Container that hides a layer from Keras's tracking, which would save the prototype beside its copies."""

    def __init__(self, layer: Any):
        self.layer = layer


# Shape of each network's first output, without the batch axis.
_FEATURES: weakref.WeakKeyDictionary[keras.layers.Layer, tf.TensorShape] = weakref.WeakKeyDictionary()


def read(role: str, network: keras.layers.Layer, inputs: tf.Tensor, *, flat: bool = False, **options: Any) -> tf.Tensor:
    """Calls a network on a batch and returns its one output tensor `[B, ...]`, or `[B, F]` if `flat`.

    Raises `ValueError`, which names the network by `role`, for any other output.
    """
    shape = tuple(inputs.shape[1:])
    try:
        if isinstance(network, keras.Sequential) and not network.built:
            network.build((None, *shape))  # else `summary` would show the size of the first batch
        outputs = network(inputs, **options)
    except Exception as error:
        if isinstance(error, tf.errors.OpError) and not isinstance(error, tf.errors.InvalidArgumentError):
            raise  # such as exhausted memory, which is not the network's fault
        raise ValueError(f"The {role} cannot read a batch of shape {(None, *shape)}: {error}") from error
    if not tf.is_tensor(outputs):
        several = f" of {len(outputs)}" if isinstance(outputs, list | tuple | dict) else ""
        raise ValueError(
            f"The {role} must give one tensor of features, [B, ...]; got a {type(outputs).__name__}{several}. Mean "
            "and variance are the model's own part: leave out what makes them of the features, for example by "
            "keras.Model(network.inputs, features)."
        )
    rank = outputs.shape.rank
    if rank is not None and (rank < 2 or not outputs.shape[:1].is_compatible_with(inputs.shape[:1])):
        raise ValueError(
            f"The {role} must give features [B, ...] for a batch of B; of {inputs.shape} it makes {outputs.shape}."
        )
    first = _FEATURES.setdefault(network, outputs.shape[1:])
    if first != outputs.shape[1:]:
        raise ValueError(
            f"The {role} must give features of one fixed size; they were {first}, and now are {outputs.shape[1:]}."
        )
    return flatten(outputs) if flat else outputs


def flatten(features: tf.Tensor) -> tf.Tensor:
    """Flattens features `[B, ...]`, whose shape is known except for B, to `[B, F]`."""
    if features.shape.rank == 2:
        return features
    return tf.reshape(features, (tf.shape(features)[0], features.shape[1:].num_elements()))
