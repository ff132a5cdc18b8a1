"""The paper's network blocks as Keras models: tensor in, tensor out.

What these functions return is a prototype: a `Modality` keeps it, and a model makes a copy wherever it needs one (a
tower of the joint encoder, a single encoder). Any Keras model or layer that can be made again from its config will do
in their place. A copy has weights of its own. Where the prototype has some already, each copy starts from them: a
pre-trained network, an adapted `Normalization`, also any functional model, whose weights come with it. Where it has
none yet, as those made here, each copy starts anew; `keras.models.clone_model(network)` gives one without its weights.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = [
    "BatchNormalization",
    "Template",
    "checked",
    "clone",
    "conv_decoder",
    "conv_encoder",
    "default_policy",
    "flatten",
    "last_activation",
    "make_weights",
    "mlp",
    "one_tensor",
    "reads_rows_alone",
    "remade",
    "serialize",
    "upsampling",
]

_CONVOLUTION = {"kernel_size": 4, "strides": 2, "padding": "same"}  # section 4.2.2


def mlp(
    units: Sequence[int] = (512, 512),
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    name: str | None = None,
) -> keras.Sequential:
    """`DkR` layers in a row, e.g. D512R-D512R for `[512, 512]` (section 4.2.1).

    Args:
      units: width of each dense layer; an empty sequence only flattens.
      activation: any Keras activation by name.
      batch_norm: normalise batches in every layer but the first: D512R-D512BR (section 4.2.2).
      dropout: share of each layer's outputs that is dropped in training.
      name: name of the Keras model.

    Returns:
      An unbuilt `keras.Sequential`: `[B, ...]` to `[B, units[-1]]`.
    """
    layers: list[keras.layers.Layer] = [keras.layers.Flatten()]
    for index, width in enumerate(units):
        layers += _block(keras.layers.Dense, width, activation, batch_norm and index > 0)
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential(layers, name=name)


def conv_encoder(
    filters: Sequence[int] = (64, 128, 256, 256),
    units: Sequence[int] = (),
    *,
    activation: str = "relu",
    batch_norm: bool = True,
    name: str | None = None,
) -> keras.Sequential:
    """C64R-C128BR-C256BR-C256BR-F, then `DkR` layers (section 4.2.2): 4x4 convolutions of stride 2.

    Args:
      filters: channels of each convolution; each halves height and width.
      units: widths of dense layers after it; none by default.
      activation: any Keras activation by name.
      batch_norm: normalise batches after every convolution but the first.
      name: name of the Keras model.

    Returns:
      An unbuilt `keras.Sequential`: `[B, H, W, C]` to `[B, F]`.
    """
    layers: list[keras.layers.Layer] = []
    for index, channels in enumerate(filters):
        layers += _block(keras.layers.Conv2D, channels, activation, batch_norm and index > 0, **_CONVOLUTION)
    layers.append(keras.layers.Flatten())
    for width in units:
        layers += _block(keras.layers.Dense, width, activation)
    return keras.Sequential(layers, name=name)


def conv_decoder(
    filters: Sequence[int] = (256, 128, 64),
    *,
    start: Sequence[int] = (4, 4),
    activation: str = "relu",
    batch_norm: bool = True,
    name: str | None = None,
) -> keras.Sequential:
    """D4096R-DC256BR-DC128BR-DC64BR (section 4.2.2): 4x4 transposed convolutions of stride 2.

    The head's `projection` is to be the last of them: `upsampling(3)`, the paper's DC3.

    Args:
      filters: channels of each transposed convolution; each doubles height and width.
      start: height and width before the first one, which the dense layer makes, with `filters[0]` channels. With the
        head's projection an image has `2^(len(filters) + 1)` times this size.
      activation: any Keras activation by name.
      batch_norm: normalise batches after every transposed convolution.
      name: name of the Keras model.

    Returns:
      An unbuilt `keras.Sequential`: `[B, D]` to `[B, H / 2, W / 2, filters[-1]]`.
    """
    layers = _block(keras.layers.Dense, math.prod(start) * filters[0], activation)
    layers.append(keras.layers.Reshape((*start, filters[0])))
    for channels in filters:
        layers += _block(keras.layers.Conv2DTranspose, channels, activation, batch_norm, **_CONVOLUTION)
    return keras.Sequential(layers, name=name)


def upsampling(channels: int) -> keras.layers.Layer:
    """DCk: a 4x4 transposed convolution of stride 2 and nothing else.

    Args:
      channels: k.

    Returns:
      A Keras layer: `[B, H, W, F]` to `[B, 2 H, 2 W, k]`.
    """
    return keras.layers.Conv2DTranspose(channels, **_CONVOLUTION)


def _block(
    layer: type[keras.layers.Layer], size: int, activation: str, batch_norm: bool = False, **options: Any
) -> list[keras.layers.Layer]:
    """A layer and its activation, with batch normalisation between the two where it is wanted."""
    if not batch_norm:
        return [layer(size, activation=activation, **options)]
    # Normalisation takes away any bias before it, and has one of its own.
    return [layer(size, use_bias=False, **options), BatchNormalization(), keras.layers.Activation(activation)]


@keras.saving.register_keras_serializable("tf_jmvae")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, with TensorFlow's one kernel for what it computes of a batch of images in training.

    Keras writes the mean, the variance and the normalisation as operations of their own, in float32; each reads the
    images anew. Arguments, state and results are Keras's.

    Args:
      *args: as of `keras.layers.BatchNormalization`.
      **kwargs: likewise.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Normalises a batch.

        Args:
          inputs: `[B, ...]`.
          training: whether to normalise by the batch's statistics, and to learn the moving ones.
          mask: which entries to count, for inputs with steps.

        Returns:
          The normalised inputs, of their own shape.
        """
        if not (training and self.trainable and self._has_kernel(inputs, mask)):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        size = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), variance.dtype)
        # The kernel's variance is that of a sample, Keras's that of the batch.
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance * (size - 1) / size)):
            moving.assign(moving * self.momentum + found * (1 - self.momentum))
        return outputs

    def _has_kernel(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> bool:
        images = inputs.shape.rank == 4 and self.axis in (-1, 3) and inputs.dtype != tf.float64
        of_this_batch = not (self.synchronized or self.renorm)  # and of no other replica's, nor of batches before
        return images and of_this_batch and self.scale and self.center and mask is None


def checked(role: str, network: Any) -> keras.layers.Layer:
    """The network, if it is one.

    Args:
      role: what the message calls it.
      network: anything.

    Returns:
      The same network.

    Raises:
      TypeError: it is no Keras layer.
    """
    if not isinstance(network, keras.layers.Layer):
        raise TypeError(
            f"{role} must be a Keras layer or model, such as tf_jmvae.networks.mlp([512, 512]); got {network!r}."
        )
    return network


def clone(network: keras.layers.Layer, policy: keras.DTypePolicy | None = None) -> keras.layers.Layer:
    """An unshared copy of a layer or model: made from its config, then given the weights that it has by now.

    Args:
      network: a Keras layer or model.
      policy: the dtype policy of every layer in the copy; by default those of the network.

    Returns:
      Another one of the same class, settings and weights; what is not built yet will start with new weights.

    Raises:
      ValueError: if the layer cannot be made again from its config.
    """
    config = serialize(network)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        config = _changed(config, _synchronized)
    if policy is None:
        return remade(f"network {network.name!r}", config, network)
    with default_policy(policy):
        return remade(f"network {network.name!r}", _changed(config, _with_policy(policy.name)), network)


def serialize(network: Any) -> Any:
    """The config of a layer or model, without how it was compiled; what is no Keras object stays as it is."""
    return _changed(keras.saving.serialize_keras_object(network), _without_marks)


def remade(role: str, config: dict[str, Any], like: keras.layers.Layer | None = None) -> Any:
    """What Keras makes of the config.

    Args:
      role: what the message calls it.
      config: of `serialize`.
      like: whose weights the new layer gets.

    Raises:
      ValueError: Keras cannot make it, as when it loads a model.
    """
    try:
        made = keras.saving.deserialize_keras_object(config)
        if like is not None:
            _copy_state(like, made)
            for one, other in zip(like._flatten_layers(), made._flatten_layers(), strict=True):
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
    """Makes the weights of everything that a layer calls, by a pass over one example.

    Keras would run the pass in a graph of its own, and what layers then make in `build` besides weights is lost.

    Args:
      layer: a layer whose `call` makes no weights of its own.
      *examples: arguments of its `call`.

    Returns:
      What it gives.
    """
    with keras.name_scope(layer.name):
        outputs = layer.call(*examples)
    layer.built = True
    return outputs


def _copy_state(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Weights and statistics of a layer and of those in it."""
    if len(source._layers) != len(target._layers):
        _build_like(source, target)  # which makes the layers in it
    for one, other in zip(source._layers, target._layers, strict=True):
        _copy_state(one, other)
    _build_like(source, target)
    if source.built:
        store: dict[str, Any] = {}
        source.save_own_variables(store)
        target.load_own_variables({key: np.asarray(value) for key, value in store.items()})


def _build_like(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    if source.built and not target.built:
        target.build_from_config(source.get_build_config())


# By the first Keras, while it loads a model, makes two copies one layer; the second is of another training.
_MARKS = ("shared_object_id", "compile_config")


def _without_marks(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in _MARKS}


def _synchronized(entry: dict[str, Any]) -> dict[str, Any]:
    """Batches normalised by the statistics of the global batch, as on one device."""
    if entry.get("class_name") == "BatchNormalization":
        return {**entry, "config": {**entry["config"], "synchronized": True}}
    return entry


def _with_policy(policy: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A dtype policy for every layer; inputs keep the dtype of what they are given."""

    def change(entry: dict[str, Any]) -> dict[str, Any]:
        if "dtype" in (entry.get("config") or ()) and entry["class_name"] != "InputLayer":
            return {**entry, "config": {**entry["config"], "dtype": policy}}
        return entry

    return change


def _changed(config: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The config with every dict in it changed."""
    if isinstance(config, list | tuple):
        return type(config)(_changed(value, change) for value in config)
    if not isinstance(config, dict):
        return config
    return change({key: _changed(value, change) for key, value in config.items()})


class Template:
    """Holds a layer that is only ever copied, out of reach of Keras's tracking.

    As an attribute of its own the layer would be saved and counted beside its copies.

    Args:
      layer: a Keras layer or model, or a plain value in its place.
    """

    def __init__(self, layer: Any):
        self.layer = layer

    def serialize(self) -> Any:
        """The layer as a Keras config."""
        return serialize(self.layer)


def one_tensor(role: str, outputs: Any) -> tf.Tensor:
    """The outputs of a network, if they are one tensor.

    Args:
      role: what the message calls the network.
      outputs: anything.

    Returns:
      The same tensor.

    Raises:
      ValueError: several tensors, or something else.
    """
    if not tf.is_tensor(outputs):
        several = f" of {len(outputs)}" if isinstance(outputs, list | tuple | dict) else ""
        raise ValueError(
            f"The {role} must give one tensor of features, [B, ...]; got a {type(outputs).__name__}{several}. Mean "
            "and variance are the model's own part: leave out what makes them of the features, for example by "
            "keras.Model(network.inputs, features)."
        )
    return outputs


def flatten(features: tf.Tensor, role: str = "network") -> tf.Tensor:
    """Features as rows.

    Args:
      features: `[B, ...]`, all but B known.
      role: what the message calls the network that they come from.

    Returns:
      `[B, F]`.

    Raises:
      ValueError: the features are not one tensor.
    """
    if one_tensor(role, features).shape.rank == 2:
        return features
    return tf.reshape(features, (tf.shape(features)[0], features.shape[1:].num_elements()))


def last_activation(network: keras.layers.Layer) -> str:
    """The name of the activation that a network ends in, as far as its last layer tells; otherwise `"linear"`."""
    layers = getattr(network, "layers", None)
    if layers:
        return last_activation(layers[-1])
    return getattr(getattr(network, "activation", None), "__name__", "linear")


_BY_ROW = (
    keras.layers.Activation,
    keras.layers.Dense,
    keras.layers.Flatten,
    keras.layers.InputLayer,
    keras.layers.LeakyReLU,
    keras.layers.ReLU,
)


def reads_rows_alone(network: keras.layers.Layer) -> bool:
    """Whether a row's features depend on that row alone: known of chains of `Dense` layers and activations.

    Batch normalisation looks at other rows, dropout draws anew for each, and regularisers of activations count them.

    Args:
      network: a Keras layer or model, `[B, ...]` to features.

    Returns:
      False of everything that is not known.
    """
    if type(network) is keras.Sequential:
        return all(reads_rows_alone(layer) for layer in network.layers)
    return type(network) in _BY_ROW and network.activity_regularizer is None
