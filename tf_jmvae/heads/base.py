"""Base classes of heads: `Head`, and `LocationHead` for real-valued events.

A head maps features to parameters of the event's shape, or takes features that already have it as the parameters. It
computes in float32 under every precision policy, because log-densities are sums over hundreds of event dimensions.
"""

import math
import numbers
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.networks import prototypes


class Head(keras.layers.Layer):
    """Base class of all heads: one projection per parameter, then `distribution`.

    A subclass lists its parameters in `parameter_names` and defines `distribution`. If the likelihood cannot score
    every finite number, it also defines `support` and `in_support`; if a parameter does not have the event's shape,
    also `parameter_shape`.

    Args:
      projection: prototype of a Keras layer from features to one parameter of the event's shape, copied once per
        parameter, e.g. a transposed convolution: the paper's `f_mu`, `f_sigma2`. None is a dense layer. `"auto"`, the
        default, is no layer if the event has two axes or more and the features have its shape, with the parameters side
        by side along the last axis, and else a dense layer. Features `[N, 10]` may be features of 10 classes or their
        logits: `projection=keras.layers.Identity()` takes them as logits.
      event_shape: shape of one event, a tuple of positive integers; None, the default, until a `Modality` sets it.
      dtype: Keras dtype or policy of the head itself; `"float32"` by default, which keeps log-densities exact.
    """

    likelihood = ""  # the name by which the likelihood is registered
    parameter_names: tuple[str, ...] = ()
    support = "finite numbers"
    is_location = False  # whether the only parameter is a location in the event's units

    def __init__(
        self,
        *,
        projection: keras.layers.Layer | str | None = "auto",
        event_shape: tuple[int, ...] | None = None,
        dtype: Any = "float32",
        **kwargs: Any,
    ):
        super().__init__(dtype=dtype, **kwargs)
        by_layer = projection is not None and projection != "auto"
        self._projection = prototypes.Template(prototypes.checked("projection", projection) if by_layer else projection)
        self.event_shape = None if event_shape is None else tuple(event_shape)
        self._projections: list[keras.layers.Layer] = []

    def with_event_shape(self, event_shape: tuple[int, ...]) -> "Head":
        """Returns a new head with the same settings.

        Args:
          event_shape: shape of one event, a tuple of positive sizes.

        Returns:
          A head of the same class with its own weights.

        Raises:
          ValueError: if the head cannot be made again from its config, which loading a model also needs.
        """
        config = prototypes.serialize(self)
        settings = {**config["config"], "event_shape": tuple(event_shape)}
        settings.pop("name")
        head = prototypes.remade(f"head {type(self).__name__}", {**config, "config": settings})
        head._projection = self._projection  # keeps the weights of the prototype
        return head

    def build(self, features_shape: tuple[int | None, ...]) -> None:
        if self.event_shape is None:
            raise ValueError(
                f"{type(self).__name__} has no event shape. Pass it to a Modality as its likelihood, "
                "or call with_event_shape(...)."
            )
        if self._reads_parameters(tuple(features_shape[1:])):
            return
        with prototypes.default_policy(self.dtype_policy):  # not the policy of the prototype
            self._projections += [self._made_projection(name, features_shape) for name in self.parameter_names]

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of events, for `model.summary()`."""
        return (None, *self.event_shape)

    @property
    def reads_features(self) -> bool:
        """Whether the features are the parameters; known once the head is built."""
        return self.built and not self._projections

    def _reads_parameters(self, shape: tuple[int, ...]) -> bool:
        """Returns whether features of this shape are the parameters, side by side along the last axis."""
        shapes = {self.parameter_shape(name) for name in self.parameter_names}
        *axes, last = next(iter(shapes))
        wanted = (*axes, last * len(self.parameter_names))
        if self._projection.layer != "auto" or len(shapes) > 1 or not axes or len(shape) != len(wanted):
            return False
        if shape != wanted and (shape[-1] in (last, wanted[-1]) or sorted(shape) == sorted(wanted)):
            size = math.prod(shape) * math.prod(wanted)
            raise ValueError(
                f"features of shape {shape} look like an event, but not like one of shape {self.event_shape}: for "
                f"{' and '.join(self.parameter_names)} they must have shape {wanted}. Change the network, or give the "
                f"head a projection: a layer, or None for a dense one, here of {size:,} weights."
            )
        return shape == wanted

    def _made_projection(self, name: str, features_shape: tuple[int | None, ...]) -> keras.layers.Layer:
        shape = self.parameter_shape(name)
        if self._projection.layer in (None, "auto"):
            layer = keras.layers.Dense(math.prod(shape), name=name)
            layer.build((None, math.prod(features_shape[1:])))
            return layer
        layer = prototypes.clone(self._projection.layer, self.dtype_policy)
        with tf.init_scope():
            made = tuple(prototypes.read("head's projection", layer, tf.zeros((1, *features_shape[1:]))).shape[1:])
        long_axes, wanted = ([size for size in sizes if size != 1] for sizes in (made, shape))
        if made != (math.prod(shape),) and long_axes != wanted:
            whose = "the event's shape" if shape == self.event_shape else f"the shape of {name}"
            raise ValueError(f"the head's projection gives {made}, but {whose} is {shape}.")
        return layer

    def call(self, features: tf.Tensor, batch_shape: tf.Tensor | None = None) -> tfd.Distribution:
        """Computes the distribution over events from features.

        Args:
          features: float tensor `[N, F]`, or of the shape that `projection` reads.
          batch_shape: int32 tensor of the batch shape of the distribution, N in all, such as `[B, S]`; `[N]` by
            default.

        Returns:
          A TFP distribution with that batch shape and the head's event shape.
        """
        batch_shape = tf.shape(features)[:1] if batch_shape is None else batch_shape
        if not self._projections:
            parameters = tf.split(features, len(self.parameter_names), axis=-1)
        else:
            features = prototypes.flatten(features) if self._projection.layer in (None, "auto") else features
            parameters = [layer(features) for layer in self._projections]
        shaped = []
        for name, raw in zip(self.parameter_names, parameters, strict=True):
            shape = self.parameter_shape(name)
            raw = tf.reshape(tf.cast(raw, self.compute_dtype), tf.concat([batch_shape, shape], axis=0))
            shaped.append(tf.ensure_shape(raw, [None] * batch_shape.shape[0] + list(shape)))
        return self.distribution(*shaped)

    def parameter_shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a parameter of one event.

        Args:
          name: one of `parameter_names`.

        Returns:
          A tuple of positive integers: the event's shape unless a subclass overrides it, as for the V logits of each of
          T tokens.
        """
        return self.event_shape

    def distribution(self, *parameters: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution over events for raw parameters.

        Args:
          *parameters: float tensors `[..., *parameter_shape]` of any real numbers, one for each of `parameter_names`.

        Returns:
          A TFP distribution with batch shape `[...]`; `log_prob` is in nats, summed over the event.
        """
        raise NotImplementedError(f"{type(self).__name__} must define distribution()")

    def noise(self, batch_size: tf.Tensor) -> tfd.Distribution:
        """Returns the likelihood at all-zero raw parameters, which samples random data with the right support.

        Args:
          batch_size: B, a scalar integer tensor.

        Returns:
          A TFP distribution with batch shape `[B]`.
        """
        shapes = [tf.concat([[batch_size], self.parameter_shape(name)], axis=0) for name in self.parameter_names]
        return self.distribution(*[tf.zeros(shape, self.compute_dtype) for shape in shapes])

    @property
    def scores_entries(self) -> bool:
        """Whether the entries of an event are independent given z, so that each has its own log-density."""
        likelihood = self.noise(1)
        return isinstance(likelihood, tfd.Independent) and likelihood.distribution.event_shape.rank == 0

    def in_support(self, values: np.ndarray) -> np.ndarray:
        """Returns which values the likelihood can score.

        Args:
          values: array `[B, *event_shape]` of finite numbers.

        Returns:
          A Boolean mask that broadcasts with `values`.
        """
        return np.ones(values.shape, bool)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "projection": prototypes.serialize(self._projection.layer),
            "event_shape": self.event_shape,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Head":
        config = dict(config)
        if isinstance(config.get("projection"), dict):
            config["projection"] = keras.saving.deserialize_keras_object(config["projection"])
        return super().from_config(config)


class LocationHead(Head):
    """Base class of heads over real values whose location may have an activation."""

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
    """Returns the value as a float; raises `ValueError` unless it is positive and finite."""
    if not (isinstance(value, numbers.Real) or tf.is_tensor(value)) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive; got {value!r}.")
    return float(value)
