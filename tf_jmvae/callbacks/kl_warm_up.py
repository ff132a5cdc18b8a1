"""KL warm-up."""

from typing import Any

import keras

__all__ = ["KLWarmUp"]


class KLWarmUp(keras.callbacks.Callback):
    """Raises the weight of the KL to the prior linearly from 0 to 1 (section 4.3 of the paper).

    In epoch e (from 0) the weight is min(1, e / epochs), and 1 again when `fit` ends, in whatever way. It is
    a weight of the model, so it works in a compiled step and is saved with the model. Validation and `evaluate` score
    the whole bound, which may get worse until the weight is 1: give `EarlyStopping` the `start_from_epoch=epochs`.

    Args:
      epochs: N_t; the paper takes 200 of 2,000 on MNIST and 20 of 50 on CelebA. 0 is no warm-up.
    """

    def __init__(self, epochs: int):
        super().__init__()
        if epochs < 0:
            raise ValueError(f"epochs must be 0 or more; got {epochs}.")
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.kl_weight.assign(min(1.0, epoch / self.epochs) if self.epochs else 1.0)
