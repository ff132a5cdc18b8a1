"""`Checkpoint`: checkpoints that survive a kill at any moment."""

import json
import math
import os
import pathlib
import re
from typing import Any

import keras

from tf_jmvae._utils.files import explained, replace_atomically, require_room, write_json
from tf_jmvae.callbacks.training import non_finite, weights_are_finite

# Temporary files of interrupted writes of this callback.
_LEFTOVER = re.compile(r"epoch-\d+~(\d+-[0-9a-f]{8}~)?\.(weights\.h5|history\.json)")


class Checkpoint(keras.callbacks.Callback):
    """Saves the last epoch's weights, optimizer and history, from which a killed run continues.

    Every file is written under a temporary name and renamed. (Keras's `BackupAndRestore` overwrites its files in
    place.) The old checkpoint is removed only when the new one is written and its loss, in the validation or the next
    step, is known to be finite. Otherwise the new one is removed and the old one kept.

    Args:
      directory: path of the folder, which is made if missing.

    Examples:
      >>> checkpoint = Checkpoint("run/checkpoint")
      >>> first_epoch = checkpoint.restore(model)
      >>> model.fit(train, epochs=100, initial_epoch=first_epoch, callbacks=[checkpoint])
    """

    def __init__(self, directory: str | os.PathLike):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.history: dict[str, list[float]] = {}
        self._restored = False
        self._unproved: int | None = None  # epoch whose weights have no known loss yet

    def restore(self, model: keras.Model) -> int:
        """Loads the newest checkpoint into a compiled model.

        Args:
          model: `keras.Model`, built and compiled as the one that was trained.

        Returns:
          Number of finished epochs, 0 without a checkpoint: `initial_epoch` of `fit`.

        Raises:
          ValueError: if the model is not compiled, so that its optimizer could not be restored.
        """
        if not model.compiled:
            raise ValueError("Compile the model before restore(model): the checkpoint has its optimizer's state too.")
        self._restored = True
        epochs = sorted(self._epochs())
        cut_off = {path for path in self.directory.glob("epoch-*~*") if _LEFTOVER.fullmatch(path.name)}
        # Histories without weights, which were not written or are already removed.
        alone = {*self.directory.glob("epoch-*.history.json")} - {*map(self._history_path, epochs)}
        for path in cut_off | alone:
            path.unlink()
        if not epochs:
            return 0
        done = epochs[-1]
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(self._weights_path(done))
        self.history = json.loads(self._history_path(done).read_text())
        self._unproved = done if len(epochs) > 1 else None
        return done

    def epochs_done(self) -> int:
        """Returns the number of epochs of the newest checkpoint; 0 if there is none."""
        return max(self._epochs(), default=0)

    def reject(self) -> None:
        """Removes the newest checkpoint if its loss is not known to be finite, and drops its epoch from the history."""
        if self._unproved is not None:
            rejected, self._unproved = self._unproved, None
            self._remove(rejected)
            self.history = {name: values[: rejected - 1] for name, values in self.history.items()}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self._restored and self._epochs():
            raise ValueError(
                f"{self.directory} holds a checkpoint, which this training would replace. Call restore(model) "
                "before fit to continue from it, or choose another directory."
            )
        self._restored = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._unproved is not None:  # the loss of an epoch's first step is that of the weights before it
            if non_finite(logs):
                self.reject()
            else:
                self._accept()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if non_finite(logs) or not weights_are_finite(self.model):
            return  # the previous checkpoint holds the last good weights
        for name, value in (logs or {}).items():
            values = self.history.setdefault(name, [])
            values.extend([None] * (epoch - len(values)))
            values.append(float(value))
        done = epoch + 1
        with explained(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            variables = [*self.model.weights, *self.model.optimizer.variables]
            # HDF5's metadata of each takes less than a page.
            require_room(self.directory, sum(4096 + 4 * math.prod(variable.shape) for variable in variables))
        write_json(self._history_path(done), self.history)
        # The weights are written last: only with them is a checkpoint valid.
        replace_atomically(self._weights_path(done), self.model.save_weights)
        self._unproved = done
        if math.isfinite((logs or {}).get("val_loss", math.nan)):
            self._accept()

    def _accept(self) -> None:
        good, self._unproved = self._unproved, None
        for old in {*self._epochs()} - {good}:
            self._remove(old)

    def _remove(self, done: int) -> None:
        self._weights_path(done).unlink()
        self._history_path(done).unlink(missing_ok=True)

    def _epochs(self) -> list[int]:
        names = (re.fullmatch(r"epoch-(\d+)\.weights\.h5", path.name) for path in self.directory.glob("epoch-*"))
        return [int(match[1]) for match in names if match]

    def _weights_path(self, done: int) -> pathlib.Path:
        return self.directory / f"epoch-{done}.weights.h5"

    def _history_path(self, done: int) -> pathlib.Path:
        return self.directory / f"epoch-{done}.history.json"
