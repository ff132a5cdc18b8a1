"""Registry of likelihoods by name: `register`, `names`, `get` and `make`."""

from collections.abc import Callable
from typing import Any

import keras

from tf_jmvae.heads.base import Head
from tf_jmvae.registry import LIKELIHOODS, UnknownNameError


def register(name: str) -> Callable[[type[Head]], type[Head]]:
    """Registers a head class under a likelihood's name; used as a class decorator.

    `Modality(.., name)`, `make` and messages then use this name, and Keras the name of the class when it loads models.

    Args:
      name: name of the likelihood, as used in `Modality` and configurations.

    Returns:
      The decorator, which returns the class itself.

    Raises:
      ValueError: if the name, or the name of the class, belongs to another likelihood.

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
            raise ValueError(f"The likelihood {other.likelihood!r} is already {kind.__name__}: choose other names.")
        kind.likelihood = name
        return keras.saving.register_keras_serializable("tf_jmvae")(LIKELIHOODS.register(name)(kind))

    return decorate


def names() -> tuple[str, ...]:
    """Returns the names of the registered likelihoods, in alphabetical order."""
    return tuple(LIKELIHOODS.names())


def get(likelihood: str | Head) -> Head:
    """Returns the head of a likelihood: made by name, or the head itself.

    Args:
      likelihood: one of `names()`, such as `"bernoulli"`; or a head.

    Returns:
      A head, without an event shape if it was given by name.

    Raises:
      ValueError: if the name is unknown; the message lists the known ones.
    """
    return likelihood if isinstance(likelihood, Head) else make(likelihood)


def make(name: str, **settings: Any) -> Head:
    """Makes a head by the name of its likelihood.

    Args:
      name: name of the likelihood, one of `names()`.
      **settings: arguments of the constructor of the head's class, such as `variance=1.0`.

    Returns:
      A head, without an event shape unless the settings include one.

    Raises:
      ValueError: if the name is unknown; the message lists the known ones.
    """
    try:
        return LIKELIHOODS.get(name)(**settings)
    except UnknownNameError as error:
        raise ValueError(f"{error} Or pass a head, such as tf_jmvae.heads.Gaussian(variance=1.0).") from None
