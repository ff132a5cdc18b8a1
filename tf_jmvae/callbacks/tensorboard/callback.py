"""`TensorBoard`: Keras's callback with logs of a joint model, and event files that a resumed training continues."""

import contextlib
import functools
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.util import event_pb2

from tf_jmvae._utils import checks
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.callbacks.tensorboard.examples import Direction, write_latents, write_projected
from tf_jmvae.models.directions import directions


def _harmless(hook: Callable[..., None]) -> Callable[..., None]:
    """Wraps a hook so that its failure ends the logging with a warning, but not the training."""

    @functools.wraps(hook)
    def wrapped(self, *args, **kwargs):
        try:
            if not self._failed:
                hook(self, *args, **kwargs)
        except Exception as error:
            self._failed = True
            with contextlib.suppress(Exception):  # a writer pushed by Keras's class must not remain the default
                while self._prev_summary_state:
                    self._pop_writer()
            with contextlib.suppress(Exception):
                self._close_writers()
            warnings.warn(
                f"TensorBoard's files cannot be written in {self.log_dir} ({type(error).__name__}: {error}). "
                "The training goes on without them.",
                stacklevel=2,
            )

    return wrapped


def _if_wanted(hook: Callable[..., None]) -> Callable[..., None]:
    """Wraps a hook on batches so that it does nothing if batches are not logged."""
    return lambda self, batch, logs=None: hook(self, batch, logs) if self._by_batch else None


def _graph_of_the_bound(model: Any) -> tf.Graph:
    """Returns the graph from a batch to the terms of the bound; Keras's train function has no such graph."""

    @tf.function
    def bound(batch, seed):
        return {name: tf.identity(term.value, name=name) for name, term in model.objective(batch, seed, True).items()}

    batch = {name: tf.TensorSpec((None, *m.event_shape), name=name) for name, m in model.modalities.items()}
    return bound.get_concrete_function(batch, tf.TensorSpec((2,), tf.int32, name="seed")).graph


class TensorBoard(keras.callbacks.TensorBoard):
    """Logs all terms of the bound, generated modalities in each direction, the latent space and the graph.

    Each term has one chart, with a curve of the training (run `train`) and one of the validation (run `validation`).
    With `data`, the run `validation` also has pictures and tables of modalities generated from the first examples, each
    from each other, and the means of q(z | all modalities) in the projector.

    A training that continues in the same folder, from a checkpoint of epoch e, drops the logs after that epoch in its
    runs `train` and `validation`, so that each epoch is logged once. A training that starts at the first epoch deletes
    nothing, as with Keras: use a new folder for each training. Put the callback before `Checkpoint`, so that finished
    epochs are always logged. If a file cannot be written, the callback warns and the training continues.

    Args:
      log_dir: path of the folder, `"logs"` by default; open it with `tensorboard --logdir LOG_DIR`.
      data: held-out examples as `fit` takes them, a dict of arrays `[N, *event_shape]` by modality; None, the default,
        logs only curves and the graph.
      class_names: sequence of names of the classes of labels; `()` by default.
      pictures_every: number of epochs between pictures and latents, which are also logged in the first and the last
        epoch; 5 by default.
      num_pictures: number of examples to generate from; 10 by default.
      num_points: number of examples in the projector; 1000 by default.
      seed: integer seed of the samples; 0 by default.
      write_graph: whether to write the graph from a batch to the terms of the bound; True by default.
      **options: other arguments of `keras.callbacks.TensorBoard`.

    Raises:
      ImportError: if TensorBoard is missing, which comes with the extra `report`.
      ValueError: if a number is not positive, or `data` lack a modality.

    Examples:
      >>> board = TensorBoard("logs", data.test, class_names=data.class_names)
      >>> model.fit(train, validation_data=test, epochs=20, callbacks=[board])
    """

    def __init__(
        self,
        log_dir: str | os.PathLike = "logs",
        data: Mapping[str, np.ndarray] | None = None,
        *,
        class_names: Sequence[str] = (),
        pictures_every: int = 5,
        num_pictures: int = 10,
        num_points: int = 1000,
        seed: int = 0,
        write_graph: bool = True,
        **options: Any,
    ):
        with extra("report", "The TensorBoard callback"):
            import tensorboard  # noqa: F401 - Keras would miss it in the middle of the training
        super().__init__(log_dir=os.fspath(log_dir), write_graph=False, **options)
        self.pictures_every = checks.positive_integer("pictures_every", pictures_every)
        self.num_pictures = checks.positive_integer("num_pictures", num_pictures)
        self.num_points = checks.positive_integer("num_points", num_points)
        self.seed, self.class_names = seed, tuple(class_names)
        self._data, self._graph_wanted = data, write_graph
        self._projected = Path(self.log_dir) / "validation"
        # Keras's class logs batches only on request; otherwise its hooks on batches only cost time.
        self._by_batch = self.update_freq != "epoch" or self._should_trace or self.write_steps_per_second
        self.async_safe = not self._by_batch

    def set_model(self, model: keras.Model) -> None:
        """Sets the model to train, a model of this package with every modality of the examples."""
        super().set_model(model)
        self._failed = self._begun = False
        self._directions: list[Direction] = []
        self._points: dict[str, np.ndarray] = {}
        if self._data is None:
            return
        arrays = checks.to_arrays(model.modalities, self._data, required=model.modalities)
        examples = {name: values[: max(self.num_points, self.num_pictures)] for name, values in arrays.items()}
        data = {name: values.numpy() for name, values in model.read(examples).items()}
        self._points = {name: values[: self.num_points] for name, values in data.items()}
        self._names = {name: m.spec.names(self.class_names) for name, m in model.modalities.items()}
        options = {"count": self.num_pictures, "seed": self.seed}
        shown = [Direction(model, *one, data, self._names, **options) for one in directions(model)]
        self._directions = [direction for direction in shown if direction.has_examples]

    @_harmless
    def on_train_begin(self, logs=None):
        self._earlier = event_files(Path(self.log_dir))
        super().on_train_begin(logs)

    @_harmless
    def on_epoch_begin(self, epoch, logs=None):
        if not self._begun:
            self._begun = True
            if epoch:
                _keep_before(epoch, self._earlier)
            if self._points:
                write_projected(self._projected, self.model, self._points, self._names)
        super().on_epoch_begin(epoch, logs)

    @_harmless
    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self._graph_wanted:
            self._graph_wanted = False
            with self._train_writer.as_default():
                tf.summary.graph(_graph_of_the_bound(self.model))
        last = epoch + 1 == self.params.get("epochs")
        if self._points and ((epoch + 1) % self.pictures_every == 0 or epoch == 0 or last):
            with np.errstate(invalid="ignore"):  # NaN of a diverged model are drawn black
                self._log_generated(epoch)
        for writer in self._writers.values():
            writer.flush()

    @_harmless
    def on_test_end(self, logs=None):
        self._pop_writer()  # no scalars per evaluation: on_epoch_end logs them as val_*

    on_train_end = _harmless(keras.callbacks.TensorBoard.on_train_end)
    on_test_begin = _harmless(keras.callbacks.TensorBoard.on_test_begin)
    on_train_batch_begin = _harmless(_if_wanted(keras.callbacks.TensorBoard.on_train_batch_begin))
    on_train_batch_end = _harmless(_if_wanted(keras.callbacks.TensorBoard.on_train_batch_end))
    on_test_batch_begin = _harmless(_if_wanted(keras.callbacks.TensorBoard.on_test_batch_begin))

    def _log_generated(self, epoch: int) -> None:
        with self._val_writer.as_default():
            for direction in self._directions:
                picture, text = direction.draw()
                # Pictures and texts need different tags, or TensorBoard shows neither.
                if picture is not None:
                    tf.summary.image(f"pictures/{direction.title}", picture[None], step=epoch)
                if text:
                    tf.summary.text(f"words/{direction.title}", text, step=epoch)
        write_latents(self._projected, self.model, self._points)


def event_files(log_dir: Path) -> list[Path]:
    """Returns the event files of the callback's runs below a folder, oldest first; ignores other folders."""
    return [file for run in ("train", "validation") for file in sorted((log_dir / run).glob("events.out.tfevents.*"))]


def _keep_before(step: int, files: list[Path]) -> None:
    """Drops logs of this step and later ones, and graphs, which are written again.

    Files end before a record that a kill truncated.
    """
    for file in files:
        kept = []
        try:
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                event = event_pb2.Event.FromString(record)
                if event.HasField("file_version") or (event.step < step and not event.HasField("graph_def")):
                    kept.append(record)
        except tf.errors.DataLossError:
            pass
        if len(kept) > 1:  # more than the file's version
            replace_atomically(file, functools.partial(_write, kept))
        else:
            file.unlink()


def _write(records: list[bytes], path: str) -> None:
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
