"""Early stopping that survives a kill, with the best weights kept beside the checkpoint."""

import keras
import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.callbacks.checkpoint import Checkpoint

_NAME = "best.weights.h5"


class BestWeights(keras.callbacks.Callback):
    """Ends training when the held-out ELBO has not risen for some epochs, and puts the best weights back in the end.

    What it knows it reads from the checkpoint's history, so a training that was killed goes on as if it had not been.
    (Keras's `EarlyStopping` begins anew.) It comes after the checkpoint in the list of callbacks.

    Args:
      checkpoint: the training's `Checkpoint`.
      patience: positive number of epochs without a better `val_elbo` after which training ends.
      warm_up: number of epochs at the start that do not count, such as those of a KL warm-up; 0 by default.

    Examples:
      >>> checkpoint = Checkpoint("run/checkpoint")
      >>> callbacks = [checkpoint, BestWeights(checkpoint, patience=20)]
    """

    def __init__(self, checkpoint: Checkpoint, patience: int, warm_up: int = 0):
        super().__init__()
        self.checkpoint, self.patience = checkpoint, checks.positive_integer("patience", patience)
        self.warm_up = warm_up

    @property
    def best_epoch(self) -> int | None:
        """The number of epochs after which the held-out ELBO was largest; None before there is one."""
        values = np.array(self.checkpoint.history.get("val_elbo", []), float)  # NaN where an epoch had none
        values[: min(self.warm_up, max(len(values) - 1, 0))] = np.nan
        return None if np.isnan(values).all() else int(np.nanargmax(values)) + 1

    @property
    def is_over(self) -> bool:
        """Whether the best epoch lies as many epochs back as patience has."""
        best = self.best_epoch
        return best is not None and len(self.checkpoint.history["val_elbo"]) - best >= self.patience

    def on_train_begin(self, logs=None):
        self._keep(self.checkpoint.epochs_done())  # if it was killed when the checkpoint stood, and they did not

    def on_epoch_end(self, epoch, logs=None):
        self._keep(epoch + 1)
        self.model.stop_training = self.model.stop_training or self.is_over

    def restore(self, model: keras.Model) -> None:
        """Puts the best weights into a model that has the newest ones, if others were better.

        Args:
          model: the model that was trained.
        """
        path = self.checkpoint.directory / _NAME
        if path.exists() and self.best_epoch != self.checkpoint.epochs_done():
            model.load_weights(path)

    def _keep(self, epoch: int) -> None:
        if self.best_epoch == epoch:
            replace_atomically(self.checkpoint.directory / _NAME, self.model.save_weights)
