"""The options of iterated sampling, Eq. (6): how models without an encoder for a subset complete what is missing."""

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

    A model has one as `iterated_sampling`; a call may have another. Models with an encoder for all subsets use none.

    Args:
      num_steps: n, the number of steps of the chain, an integer of 1 or more or an integer tensor; 1 by default (the
        paper: 100 on MNIST, 40 on CelebA). z is sampled from the posterior of the last step.
      initial: what a missing modality starts from: `"zeros"`, `"noise"`, or None for the model's own way, which is
        zeros but for a CVAE, which then draws z from its prior.
      num_chains: number of chains for each example, a divisor of the number of samples; None, the default, gives every
        sample a chain of its own. Fewer cost less. The expectation of a mean over samples stays the same; logs of means
        are moved further from the truth by samples that depend on each other.

    Raises:
      ValueError: if an option is not one of these.
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
        """What a result that depends on them says of the steps and their start."""
        return {"num_steps": int(self.num_steps), "initial": self.initial or "zeros"}

    def get_config(self) -> dict[str, Any]:
        return {**vars(self), "num_steps": int(self.num_steps)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "IteratedSampling":
        return cls(**config)


def options_of(value: IteratedSampling | int | None, default: IteratedSampling) -> IteratedSampling:
    """What an argument means: options, another number of steps than the default's, or, with None, the default."""
    if value is None or isinstance(value, IteratedSampling):
        return value or default
    if isinstance(value, str | dict):
        raise TypeError(f"iterated_sampling must be an IteratedSampling or a number of steps; got {value!r}.")
    return dataclasses.replace(default, num_steps=value)


def iteration_of(model: Any, override: Any = None, num_steps: Any = None) -> IteratedSampling:
    """The options for a call: the model's own, others that override them, or either with another number of steps."""
    return options_of(num_steps, options_of(override, model.iterated_sampling))


def chains_of(iteration: IteratedSampling, num_samples: int) -> int:
    """How many chains an example with so many samples has; raises `ValueError` if they do not divide the samples."""
    chains = num_samples if iteration.num_chains is None else iteration.num_chains
    if num_samples % chains:
        raise ValueError(f"num_chains must divide the {num_samples} samples; got {chains}.")
    return chains


def apart(iteration: IteratedSampling) -> tuple[IteratedSampling, tuple[tf.Tensor, ...]]:
    """Options without the number of steps, and that as a tensor, so that one graph serves any; of one step nothing.

    With one step nothing is drawn, and a graph of its own needs no loop.
    """
    num_steps = iteration.num_steps
    if not tf.is_tensor(num_steps) and num_steps == 1:
        return iteration, ()
    return dataclasses.replace(iteration, num_steps=1), (tf.cast(num_steps, tf.int32),)


def together(iteration: IteratedSampling, num_steps: Sequence[tf.Tensor]) -> IteratedSampling:
    """What `apart` took apart."""
    return dataclasses.replace(iteration, num_steps=num_steps[0]) if num_steps else iteration
