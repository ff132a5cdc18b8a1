"""Prototypes of networks: layers that models never call, but copy by their config, each copy with its own weights."""

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
    """The network; raises `TypeError`, in which `role` names it, unless it is a Keras layer."""
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"{role} must be a Keras layer or model, such as tf_jmvae.networks.mlp([512, 512]); got {network!r}."
        )
    return network


def clone(
    network: keras.layers.Layer, policy: keras.DTypePolicy | None = None, *, name: str | None = None
) -> keras.layers.Layer:
    """An unshared copy of a layer or model: made from its config, then given the weights that it has by now.

    What is not built yet will start with new weights. Every layer in the copy has the dtype policy, by default its own.
    The copy has the name, by default the network's. Raises `ValueError` if it cannot be made again from its config.
    """
    several_replicas = tf.distribute.get_strategy().num_replicas_in_sync > 1

    def adapted(config: dict[str, Any]) -> dict[str, Any]:
        settings, kind = config.get("config"), config.get("class_name")
        if policy and "dtype" in (settings or ()) and kind != "InputLayer":  # an input keeps the dtype of its values
            settings = {**settings, "dtype": policy.name}
        if several_replicas and kind == "BatchNormalization":  # by the statistics of the global batch, as on one device
            settings = {**settings, "synchronized": True}
        return {**config, "config": settings} if settings else config

    with default_policy(policy or keras.config.dtype_policy()):
        copy = remade(f"network {network.name!r}", _mapped(serialize(network), adapted), network)
    copy.name = name or network.name
    return copy


def serialize(network: Any) -> Any:
    """The config of a layer or model, without how it was compiled; what is no Keras object stays as it is."""
    # By the first Keras, while it loads a model, makes two copies one layer; the second is of another training.
    marks = ("shared_object_id", "compile_config")
    config = keras.saving.serialize_keras_object(network)
    return _mapped(config, lambda entries: {key: value for key, value in entries.items() if key not in marks})


def remade(role: str, config: dict[str, Any], like: keras.layers.Layer | None = None) -> Any:
    """What Keras makes of the config of `serialize`, with the weights of `like`; raises `ValueError` if it cannot."""
    try:
        made = keras.saving.deserialize_keras_object(config)
        if like is not None:
            _copy_state(like, made)
            for one, other in zip(flatten_layers(like), flatten_layers(made), strict=True):
                other.trainable = one.trainable  # in this order: what a layer is told, those in it are told
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
    """Layers that are made inside have this dtype policy, also those that other layers make."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_weights(layer: keras.layers.Layer, *examples: Any) -> Any:
    """Makes the weights of everything that a layer calls, by a pass over example arguments; gives the outputs."""
    # Keras would run the pass in a graph of its own, and what layers then make in `build` besides weights is lost.
    with keras.name_scope(layer.name):
        outputs = layer.call(*examples)
    layer.built = True
    return outputs


def _copy_state(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Weights and statistics of a layer and of those in it."""
    inner = functools.partial(flatten_layers, recursive=False, include_self=False)

    def build() -> None:
        if source.built and not target.built:
            target.build_from_config(source.get_build_config())

    if len(inner(source)) != len(inner(target)):
        build()  # which makes the layers in it
    for one, other in zip(inner(source), inner(target), strict=True):
        _copy_state(one, other)
    build()
    if source.built:
        store: dict[str, Any] = {}
        source.save_own_variables(store)
        target.load_own_variables({key: np.asarray(value) for key, value in store.items()})


def _mapped(config: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A config with every dict in it changed, from the inside out."""
    if isinstance(config, list | tuple):
        return type(config)(_mapped(value, change) for value in config)
    if not isinstance(config, dict):
        return config
    return change({key: _mapped(value, change) for key, value in config.items()})


class Template:
    """Holds a layer, or a plain value, out of reach of Keras's tracking, which would save it beside its copies."""

    def __init__(self, layer: Any):
        self.layer = layer


# The shape of what each network gave at first, without the batch's axis.
_FEATURES: weakref.WeakKeyDictionary[keras.layers.Layer, tf.TensorShape] = weakref.WeakKeyDictionary()


def read(role: str, network: keras.layers.Layer, inputs: tf.Tensor, *, flat: bool = False, **options: Any) -> tf.Tensor:
    """What a network gives for a batch, one tensor `[B, ...]`, as rows `[B, F]` where it is to be `flat`.

    Raises `ValueError`, in which `role` names the network, if it gives anything else.
    """
    shape = tuple(inputs.shape[1:])
    try:
        if isinstance(network, keras.Sequential) and not network.built:
            network.build((None, *shape))  # or `summary` showed the first batch's size
        outputs = network(inputs, **options)
    except Exception as error:
        if isinstance(error, tf.errors.OpError) and not isinstance(error, tf.errors.InvalidArgumentError):
            raise  # such as memory that is full, which is no fault of the network's
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
    """Features `[B, ...]`, all but B known, as rows `[B, F]`."""
    if features.shape.rank == 2:
        return features
    return tf.reshape(features, (tf.shape(features)[0], features.shape[1:].num_elements()))
