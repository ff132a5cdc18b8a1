"""`BestWeights`: resumable early stopping, with the best weights saved next to the checkpoint."""

import warnings

import keras
import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.callbacks.checkpoint import Checkpoint

_NAME = "best.weights.h5"


class BestWeights(keras.callbacks.Callback):
    """Stops training when the validation ELBO, or another metric, no longer rises, and restores the best weights.

    Its state is read from the checkpoint's history, so that a killed training continues as if uninterrupted. (Keras's
    `EarlyStopping` starts anew.) It must come after the checkpoint in the list of callbacks.

    Args:
      checkpoint: `Checkpoint` of the training.
      patience: number of epochs without a better value after which training ends, a positive integer.
      warm_up: number of initial epochs to ignore, such as those of a KL warm-up; 0 by default.
      monitor: name of the metric, which is to be large; `"val_elbo"` by default.

    Examples:
      >>> checkpoint = Checkpoint("run/checkpoint")
      >>> callbacks = [checkpoint, BestWeights(checkpoint, patience=20)]
    """

    def __init__(self, checkpoint: Checkpoint, patience: int, warm_up: int = 0, monitor: str = "val_elbo"):
        super().__init__()
        self.checkpoint, self.patience = checkpoint, checks.positive_integer("patience", patience)
        if isinstance(warm_up, bool) or not isinstance(warm_up, int) or warm_up < 0:
            raise ValueError(f"warm_up must be a number of epochs, 0 or more; got {warm_up!r}.")
        self.warm_up, self.monitor, self._warned = warm_up, monitor, False

    @property
    def best_epoch(self) -> int | None:
        """Number of epochs after which the monitored metric was largest; None before the first evaluation."""
        values = np.array(self.checkpoint.history.get(self.monitor, []), float)  # NaN for epochs without evaluation
        values[: min(self.warm_up, max(len(values) - 1, 0))] = np.nan
        return None if np.isnan(values).all() else int(np.nanargmax(values)) + 1

    @property
    def is_over(self) -> bool:
        """Whether the best epoch is at least `patience` epochs ago."""
        best = self.best_epoch
        return best is not None and len(self.checkpoint.history[self.monitor]) - best >= self.patience

    def on_train_begin(self, logs=None):
        self._keep(self.checkpoint.epochs_done())  # in case of a kill between the checkpoint and the best weights

    def on_epoch_end(self, epoch, logs=None):
        validated = any(name.startswith("val_") for name in logs or {})
        if validated and self.monitor not in logs and not self._warned:
            warnings.warn(
                f"BestWeights: there is no metric {self.monitor!r}, so the training will not stop early. The metrics "
                f"are {checks.listed(sorted(logs))}.",
                stacklevel=2,
            )
            self._warned = True
        self._keep(epoch + 1)
        self.model.stop_training = self.model.stop_training or self.is_over

    def restore(self, model: keras.Model) -> None:
        """Restores the best weights of a model with the newest ones, if they differ.

        Args:
          model: `keras.Model` that was trained.
        """
        path = self.checkpoint.directory / _NAME
        if path.exists() and self.best_epoch != self.checkpoint.epochs_done():
            model.load_weights(path)

    def _keep(self, epoch: int) -> None:
        if self.best_epoch == epoch:
            replace_atomically(self.checkpoint.directory / _NAME, self.model.save_weights)
