"""A watch on the discriminator of a GAN."""

import warnings
from typing import Any

import keras

from tf_jmvae._utils import checks

__all__ = ["DiscriminatorCollapse"]


class DiscriminatorCollapse(keras.callbacks.Callback):
    """Warns when the discriminator of a `JMVAEKLGAN` has stopped teaching: it is always right, or at chance.

    The accuracy that counts is the mean of those on real images and on made ones, in an epoch.

    Args:
      patience: epochs in a row before it warns.
      right: an accuracy of so much or more is always right.
      chance: an accuracy that is so far from one half, or less, is at chance.

    Attributes:
      collapsed: `"right"`, `"chance"`, or None while neither holds.
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
        at_chance = "chance" if abs(accuracy - 0.5) <= self.chance else None
        state = "right" if accuracy >= self.right else at_chance
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
