"""Options of iterated sampling, Eq. (6), by which models without subset encoders complete missing modalities."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tf_jmvae._utils import checks


@keras.saving.register_keras_serializable("tf_jmvae")
@dataclass(frozen=True)
class IteratedSampling:
    """Options of iterated sampling, Eq. (6) of Suzuki and Matsuo, by which missing modalities are completed.

    A model holds its options as `iterated_sampling`, which a call may override. Models with an encoder for every subset
    ignore them.

    Args:
      num_steps: n, the number of steps of the chain, a positive integer or an integer tensor; 1 by default (the
        paper: 100 on MNIST, 40 on CelebA). z is sampled from the posterior of the last step.
      initial: initial value of a missing modality: `"zeros"`, `"noise"`, or None, the default, for zeros, except in a
        CVAE, which then samples z from its prior.
      num_chains: number of chains for each example, a divisor of the number of samples; None, the default, runs one
        chain per sample. Fewer chains cost less. The expectation of a mean over samples stays the same, but the bias of
        the log of a mean grows, because samples of a chain depend on each other.

    Raises:
      ValueError: if an option has an unknown or invalid value.
    """

    num_steps: int | tf.Tensor = 1
    initial: str | None = None
    num_chains: int | None = None

    def __post_init__(self):
        if not tf.is_tensor(self.num_steps):
            object.__setattr__(self, "num_steps", checks.positive_integer("num_steps", self.num_steps))
        checks.check_option("initial", self.initial, (None, "zeros", "noise"))
        if self.num_chains is not None:
            object.__setattr__(self, "num_chains", checks.positive_integer("num_chains", self.num_chains))

    def settings(self) -> dict[str, Any]:
        """Returns the options that results record: `num_steps` and `initial`."""
        return {"num_steps": int(self.num_steps), "initial": self.initial or "zeros"}

    def get_config(self) -> dict[str, Any]:
        return {**vars(self), "num_steps": int(self.num_steps)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "IteratedSampling":
        return cls(**config)


def options_of(value: IteratedSampling | int | None, default: IteratedSampling) -> IteratedSampling:
    """Returns the options of an argument: an `IteratedSampling`, a number of steps, or None for the default."""
    if value is None or isinstance(value, IteratedSampling):
        return value or default
    if isinstance(value, str | dict):
        raise TypeError(f"iterated_sampling must be an IteratedSampling or a number of steps; got {value!r}.")
    return dataclasses.replace(default, num_steps=value)


def iteration_of(model: Any, override: Any = None, num_steps: Any = None) -> IteratedSampling:
    """Returns the options of a call: those of the model or of `override`, with `num_steps` if that is given."""
    return options_of(num_steps, options_of(override, model.iterated_sampling))


def chains_of(iteration: IteratedSampling, num_samples: int) -> int:
    """Returns the number of chains for each example; raises `ValueError` unless it divides `num_samples`."""
    chains = num_samples if iteration.num_chains is None else iteration.num_chains
    if num_samples % chains:
        raise ValueError(f"num_chains must divide the {num_samples} samples; got {chains}.")
    return chains


def split_num_steps(iteration: IteratedSampling) -> tuple[IteratedSampling, tuple[tf.Tensor, ...]]:
    """Splits off the number of steps as a tensor, so that one graph serves any number; no tensor for one step.

    One step samples nothing, and has its own graph without a loop.
    """
    num_steps = iteration.num_steps
    if not tf.is_tensor(num_steps) and num_steps == 1:
        return iteration, ()
    return dataclasses.replace(iteration, num_steps=1), (tf.cast(num_steps, tf.int32),)


def with_num_steps(iteration: IteratedSampling, num_steps: Sequence[tf.Tensor]) -> IteratedSampling:
    """Returns the options that `split_num_steps` split."""
    return dataclasses.replace(iteration, num_steps=num_steps[0]) if num_steps else iteration
