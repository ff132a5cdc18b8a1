"""Heads: Keras layers that turn features into TFP distributions.

    features [N, F] --projection--> parameters [N, *event_shape] --> p(m | z)

A head gives the event its shape; features that have it already are the parameters themselves. It computes in float32
under every precision policy, because log-densities are sums over hundreds of event dimensions.
(`tfp.layers` would do, but it subclasses Keras 2 and cannot live in a Keras 3 model.)

References:
  [1] Suzuki and Matsuo, Eq. (2)-(4) and section 4.2: the likelihoods of the paper.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae import prototypes
from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.registry import LIKELIHOODS, UnknownNameError

tfd = tfp.distributions

__all__ = ["Bernoulli", "Categorical", "Gaussian", "Head", "Laplace", "Poisson", "get", "make", "names", "register"]

# A rate of 2.7e8: the sampler of an infinite one does not end. (From 2^24 on, 1.7e7, float32 skips whole numbers.)
_MAX_LOG_RATE = 19.4
# Keeps the deviation's gradient finite where softplus underflows to 0.
_VARIANCE_FLOOR = 1e-8


class Head(keras.layers.Layer):
    """Base of all heads: linear projections, then `distribution`.

    A subclass names its parameters and says how they make a distribution.

    Args:
      projection: Keras layer from features to ONE parameter of the event's shape, copied once per parameter, e.g. a
        transposed convolution: the paper's `f_mu`, `f_sigma2`. None is a dense layer. `"auto"` is none where the
        features of an event of two axes or more have its shape, with as many times its last axis as there are
        parameters, and else a dense layer; `[N, 10]` may be features of 10 classes or their logits, and
        `projection=keras.layers.Identity()` says the latter.
      event_shape: shape of one event. A `Modality` fills it in.
      dtype: Keras's dtype or policy of the head itself; float32 keeps log-densities exact.
    """

    likelihood = ""  # its name, by which it is registered
    parameter_names: tuple[str, ...] = ()
    support = "finite numbers"
    is_location = False  # whether its one parameter is a value of the event's own kind, in any range

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
        """A fresh head of the same settings.

        Args:
          event_shape: shape of one event.

        Returns:
          A head of the same class with weights of its own.

        Raises:
          ValueError: if it cannot be made again from its config, as when a model is loaded.
        """
        config = prototypes.serialize(self)
        settings = {**config["config"], "event_shape": tuple(event_shape)}
        settings.pop("name")
        head = prototypes.remade(f"head {type(self).__name__}", {**config, "config": settings})
        head._projection = self._projection  # with the weights that it may have
        return head

    def build(self, features_shape: tuple[int | None, ...]) -> None:
        if self.event_shape is None:
            raise ValueError(
                f"{type(self).__name__} has no event shape. Pass it to a Modality as its likelihood, "
                "or call with_event_shape(...)."
            )
        if self._reads_parameters(tuple(features_shape[1:])):
            return
        with prototypes.default_policy(self.dtype_policy):  # whatever the policy under which the prototype was made
            self._projections += [self._made_projection(name, features_shape) for name in self.parameter_names]

    @property
    def reads_features(self) -> bool:
        """Whether the features are the parameters: known when it is built."""
        return self.built and not self._projections

    def _reads_parameters(self, shape: tuple[int, ...]) -> bool:
        """Whether features of this shape are the parameters, side by side along the last axis."""
        *axes, last = self.event_shape
        wanted = (*axes, last * len(self.parameter_names))
        if self._projection.layer != "auto" or not axes or len(shape) != len(wanted):
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
        if self._projection.layer in (None, "auto"):
            layer = keras.layers.Dense(math.prod(self.event_shape), name=name)
            layer.build((None, math.prod(features_shape[1:])))
            return layer
        layer = prototypes.clone(self._projection.layer, self.dtype_policy)
        with tf.init_scope():
            made = tuple(
                prototypes.one_tensor("head's projection", layer(tf.zeros((1, *features_shape[1:])))).shape[1:]
            )
        if made != (math.prod(self.event_shape),) and _long_axes(made) != _long_axes(self.event_shape):
            raise ValueError(f"the head's projection gives {made}, but the event's shape is {self.event_shape}.")
        return layer

    def call(self, features: tf.Tensor, batch_shape: tf.Tensor | None = None) -> tfd.Distribution:
        """Features to the distribution over events.

        Args:
          features: `[N, F]`, or whatever `projection` reads.
          batch_shape: of the distribution, N in all, such as `[B, S]`; `[N]` by default.

        Returns:
          A TFP distribution with that batch shape and the head's event shape.
        """
        batch_shape = tf.shape(features)[:1] if batch_shape is None else batch_shape
        shape = tf.concat([batch_shape, self.event_shape], axis=0)
        static_shape = [None] * batch_shape.shape[0] + list(self.event_shape)
        if not self._projections:
            parameters = tf.split(features, len(self.parameter_names), axis=-1)
        else:
            features = prototypes.flatten(features) if self._projection.layer in (None, "auto") else features
            parameters = [layer(features) for layer in self._projections]
        parameters = [tf.reshape(tf.cast(raw, self.compute_dtype), shape) for raw in parameters]
        return self.distribution(*[tf.ensure_shape(raw, static_shape) for raw in parameters])

    def distribution(self, *parameters: tf.Tensor) -> tfd.Distribution:
        """Raw parameters to the distribution over events.

        Args:
          *parameters: one for each of `parameter_names`, `[..., *event_shape]`, any real numbers.

        Returns:
          A TFP distribution with batch shape `[...]`; `log_prob` is in nats, summed over the event.
        """
        raise NotImplementedError(f"{type(self).__name__} must define distribution()")

    def noise(self, batch_size: tf.Tensor) -> tfd.Distribution:
        """The likelihood at all-zero raw parameters: random data of the right kind.

        Args:
          batch_size: B, an integer tensor.

        Returns:
          A TFP distribution with batch shape `[B]`.
        """
        zeros = tf.zeros(tf.concat([[batch_size], self.event_shape], axis=0), self.compute_dtype)
        return self.distribution(*[zeros] * len(self.parameter_names))

    def in_support(self, values: np.ndarray) -> np.ndarray:
        """Which values the likelihood can score.

        Args:
          values: `[B, *event_shape]`, finite.

        Returns:
          A mask that broadcasts with `values`.
        """
        return np.ones(values.shape, bool)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "projection": self._projection.serialize(), "event_shape": self.event_shape}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Head":
        config = dict(config)
        if isinstance(config.get("projection"), dict):
            config["projection"] = keras.saving.deserialize_keras_object(config["projection"])
        return super().from_config(config)


def register(name: str) -> Callable[[type[Head]], type[Head]]:
    """Adds a likelihood: a class decorator for heads.

    `Modality(.., name)`, `make` and messages then know it by this name, and Keras by its class's when it loads models.

    Args:
      name: of the likelihood.

    Returns:
      The decorator.

    Raises:
      ValueError: the name, or the class's, is that of another likelihood.

    Examples:
      >>> @heads.register("exponential")
      ... class Exponential(heads.Head):
      ...     parameter_names = ("log_rate",)
      ...     support = "numbers of 0 or more"
      ...
      ...     def distribution(self, log_rate):
      ...         return tfd.Independent(tfd.Exponential(tf.exp(log_rate)), len(self.event_shape))
      ...
      ...     def in_support(self, values):
      ...         return values >= 0
    """

    def decorate(kind: type[Head]) -> type[Head]:
        other = keras.saving.get_registered_object(f"tf_jmvae>{kind.__name__}")
        if other is not None and (other.likelihood, other.__module__) != (name, kind.__module__):
            raise ValueError(f"The likelihood {other.likelihood!r} is {kind.__name__} already: choose other names.")
        kind.likelihood = name
        return keras.saving.register_keras_serializable("tf_jmvae")(LIKELIHOODS.register(name)(kind))

    return decorate


@register("bernoulli")
class Bernoulli(Head):
    """Binary events, Eq. (3) of [1], from logits.

    A value strictly between 0 and 1 counts as the probability of a 1: its log-density
    is the expectation over the binary value.
    """

    parameter_names = ("logits",)
    support = "values in [0, 1]"

    def distribution(self, logits):
        return tfd.Independent(_Bernoulli(logits=logits, dtype=logits.dtype), len(self.event_shape))

    def in_support(self, values):
        return (values >= 0) & (values <= 1)


class _Bernoulli(tfd.Bernoulli):
    """TFP's, with the same log-density from one softplus in place of two: half the time of scoring an image."""

    def _log_prob(self, event):
        logits = self._logits_parameter_no_checks()
        return tf.cast(event, logits.dtype) * logits - tf.math.softplus(logits)


@register("categorical")
class Categorical(Head):
    """One-hot events over the last axis, Eq. (4) of [1], from logits; further axes are independent."""

    parameter_names = ("logits",)
    support = "one-hot rows (a single 1, all else 0, along the last axis)"

    def distribution(self, logits):
        one_hot = tfd.OneHotCategorical(logits=logits, dtype=logits.dtype)
        return tfd.Independent(one_hot, len(self.event_shape) - 1)

    def in_support(self, values):
        binary = ((values == 0) | (values == 1)).all(axis=-1, keepdims=True)
        return binary & (values.sum(axis=-1, keepdims=True) == 1)


class _LocationHead(Head):
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


@register("gaussian")
class Gaussian(_LocationHead):
    """Real events with diagonal covariance, Eq. (2) of [1]: softplus gives the VARIANCE.

    Args:
      variance: a fixed variance for every dimension; None learns it.
      mean_activation: Keras activation of the mean. The paper's CelebA heads
        have `variance=1.0, mean_activation="tanh"`.
    """

    parameter_names = ("mean", "variance")

    def __init__(self, *, variance: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.variance = None if variance is None else _positive("variance", variance)
        if variance is not None:
            self.parameter_names = ("mean",)

    def distribution(self, mean, raw_variance=None):
        if raw_variance is None:
            variance = tf.constant(self.variance, mean.dtype)
        else:
            variance = tf.nn.softplus(raw_variance) + _VARIANCE_FLOOR
        return diagonal_gaussian(self._activation(mean), variance, len(self.event_shape))

    def get_config(self):
        return {**super().get_config(), "variance": self.variance}


@register("laplace")
class Laplace(_LocationHead):
    """Real events with a fixed scale: what multimodal benchmarks use for images.

    Args:
      scale: the same for every dimension (0.75 is usual for images in [0, 1]).
      mean_activation: Keras activation of the location.
    """

    parameter_names = ("location",)

    def __init__(self, *, scale: float = 0.75, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = _positive("scale", scale)

    def distribution(self, location):
        laplace = tfd.Laplace(self._activation(location), tf.constant(self.scale, location.dtype))
        return tfd.Independent(laplace, len(self.event_shape))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@register("counts")
class Poisson(Head):
    """Counts, such as a caption as a bag of words, from log rates."""

    parameter_names = ("log_rate",)
    support = "whole numbers of 0 or more"

    def distribution(self, log_rate):
        log_rate = tf.minimum(log_rate, _MAX_LOG_RATE)
        return tfd.Independent(tfd.Poisson(log_rate=log_rate), len(self.event_shape))

    def in_support(self, values):
        return (values >= 0) & (values == np.floor(values))


def names() -> tuple[str, ...]:
    """The registered likelihoods' names."""
    return tuple(LIKELIHOODS.names())


def get(likelihood: str | Head) -> Head:
    """The head for a likelihood's name, or the head itself.

    Args:
      likelihood: one of `names()`: `"bernoulli"`, `"categorical"`, `"gaussian"`, `"laplace"`, `"counts"`, and what
        else is registered; or a head.

    Returns:
      A head, which has no event shape yet if it was named.

    Raises:
      ValueError: if the name is unknown; the message lists the known ones.
    """
    return likelihood if isinstance(likelihood, Head) else make(likelihood)


def make(name: str, **settings: Any) -> Head:
    """A new head by its likelihood's name, with settings of its constructor.

    Args:
      name: as for `get`.
      **settings: arguments of the head's class, such as `variance=1.0`.

    Returns:
      A head that has no event shape yet, unless the settings give one.

    Raises:
      ValueError: if the name is unknown; the message lists the known ones.
    """
    try:
        return LIKELIHOODS.get(name)(**settings)
    except UnknownNameError as error:
        raise ValueError(f"{error} Or pass a head, such as tf_jmvae.heads.Gaussian(variance=1.0).") from None


def _long_axes(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def _positive(name: str, value: Any) -> float:
    if not (isinstance(value, numbers.Real) or tf.is_tensor(value)) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive; got {value!r}.")
    return float(value)
