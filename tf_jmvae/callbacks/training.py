"""Training callbacks: KL warm-up, stop at divergence, and a warning of discriminator collapse."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_jmvae._utils import checks

_SUMS = ("loss", "elbo", "objective")
_ABSURD = 1e20  # nats per example: implausible, and their sums and squares overflow float32
_ADVICE = (
    "A lower learning rate or gradients clipped by their norm (global_clipnorm of the optimizer) often help; so do "
    "data of a scale near 1."
)


class KLWarmUp(keras.callbacks.Callback):
    """Raises the weight of the KL to the prior linearly from 0 to 1 (section 4.3 of the paper).

    In epoch e (from 0) the weight is min(1, e / epochs), and 1 again whenever `fit` ends. It is a weight of the model,
    so it works in a compiled step and is saved with the model. Validation and `evaluate` score the whole bound, which
    may decrease until the weight is 1: pass `start_from_epoch=epochs` to `EarlyStopping`.

    Args:
      epochs: N_t, the number of epochs of warm-up, 0 for none; in the paper 200 of 2,000 on MNIST and 20 of 50 on
        CelebA.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = checks.non_negative_number("epochs", epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.kl_weight.assign(min(1.0, epoch / self.epochs) if self.epochs else 1.0)


class StopAtDivergence(keras.callbacks.Callback):
    """Stops training when the loss or a weight becomes NaN, infinite or absurdly large, and restores good weights.

    The message names the term of the bound. A loss of 1e20 nats per example or more is absurd.

    The restored weights are those of the last epoch after which everything was finite, or those before training. The
    weights of an epoch are good if their loss, in the validation or the next step, is finite. Training ends with a
    warning. The optimizer's state is not restored: compile the model again to continue.

    Args:
      restore: whether to restore the last good weights, which are kept in memory; True by default.
      warn: whether to warn when training ends; True by default. Without it, only `problem` tells.

    Attributes:
      problem: text of what went wrong, where, and what to do; None otherwise.

    Examples:
      >>> model.fit(train, epochs=100, callbacks=[StopAtDivergence()])
    """

    def __init__(self, *, restore: bool = True, warn: bool = True):
        super().__init__()
        self.restore, self.warn = restore, warn
        self.problem: str | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.problem, self._epoch, self._good_epoch = None, 0, 0
        self._good = self._unproved = self._weights()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        wrong = non_finite(logs)
        if wrong:
            several = getattr(self.model, "steps_per_execution", 1) > 1  # only the last step of a call is known
            self._stop(f"In epoch {self._epoch}, {'by ' if several else ''}step {batch + 1}, {wrong}.")
        elif self._good is not self._unproved:
            self._good, self._good_epoch = self._unproved, self._epoch - 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.problem is not None:
            return
        if not weights_are_finite(self.model):
            self._stop(f"In the last step of epoch {self._epoch}, weights became NaN or infinite; the loss was finite.")
            return
        self._unproved = self._weights()
        if math.isfinite((logs or {}).get("val_loss", math.nan)):
            self._good, self._good_epoch = self._unproved, self._epoch

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.problem is not None and self.restore:
            for weight, value in zip(self.model.weights, self._good, strict=True):
                weight.assign(value)
            origin = f"after epoch {self._good_epoch}" if self._good_epoch else "before training"
            self.problem += f" The model's weights are again those that it had {origin}. {_ADVICE}"
        self._good = self._unproved = []
        if self.problem is not None and self.warn:
            warnings.warn(self.problem, RuntimeWarning, stacklevel=2)

    def _stop(self, problem: str) -> None:
        self.problem = self.problem or problem
        self.model.stop_training = True

    def _weights(self) -> list[np.ndarray]:
        return [keras.ops.convert_to_numpy(weight) for weight in self.model.weights] if self.restore else []


def non_finite(logs: Mapping[str, Any] | None) -> str | None:
    """Returns a clause with the terms that are NaN, infinite or absurd; None if the loss is fine or missing."""
    numbers = {name: float(value) for name, value in (logs or {}).items() if value is not None and np.ndim(value) == 0}
    if abs(numbers.get("loss", 0.0)) < _ABSURD:  # False for NaN
        return None
    terms = {
        name: value
        for name, value in numbers.items()
        if name not in _SUMS and not name.startswith("val_") and not abs(value) < _ABSURD
    }
    if not terms:
        return f"the loss became {_number(numbers['loss'])}, though none of its terms did"
    return " and ".join(f"{name} became {_number(value)}" for name, value in terms.items())


def weights_are_finite(model: keras.Model) -> bool:
    """Returns whether all weights are finite; an epoch's last update comes after its loss was computed."""
    floats = (weight for weight in model.weights if keras.backend.is_float_dtype(weight.dtype))
    return all(bool(keras.ops.all(keras.ops.isfinite(weight))) for weight in floats)


def _number(value: float) -> str:
    if math.isfinite(value):
        return f"{value:.2g}"
    return "NaN" if math.isnan(value) else "infinite"


class DiscriminatorCollapse(keras.callbacks.Callback):
    """Warns when the discriminator of a `JMVAEKLGAN` has collapsed: always right, or at chance level.

    The accuracy is the mean of those on real and on generated images in an epoch.

    Args:
      patience: number of consecutive epochs before the warning, a positive integer; 3 by default.
      right: smallest accuracy that counts as always right; 0.995 by default.
      chance: largest distance of the accuracy from 0.5 that counts as chance level; 0.02 by default.

    Attributes:
      collapsed: `"right"`, `"chance"`, or None.
    """

    def __init__(self, patience: int = 3, *, right: float = 0.995, chance: float = 0.02):
        super().__init__()
        self.patience, self.right, self.chance = checks.positive_integer("patience", patience), right, chance
        self.collapsed: str | None = None
        self._state: str | None = None
        self._epochs = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if "accuracy_real" not in logs:
            return
        made = (logs["accuracy_reconstructed"] + logs["accuracy_sampled"]) / 2
        accuracy = (logs["accuracy_real"] + made) / 2
        state = "right" if accuracy >= self.right else "chance" if abs(accuracy - 0.5) <= self.chance else None
        self._epochs = self._epochs + 1 if state == self._state else 1
        self._state = state
        self.collapsed = state if self._epochs >= self.patience else None
        if self.collapsed and self._epochs == self.patience:
            advice = {
                "right": "the generator learns nothing from it. Lower its learning rate, or raise adversarial_weight",
                "chance": "it tells the generator nothing. Raise its learning rate, or lower adversarial_weight",
            }[state]
            warnings.warn(
                f"The discriminator's accuracy has been {accuracy:.3f} ({state}) for {self.patience} epochs: {advice}.",
                stacklevel=2,
            )
