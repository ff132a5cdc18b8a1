"""Checks of the data that Keras's loops get: of arrays before any step runs, of all other data as they pass."""

import contextlib
import gc
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae._utils.keras_api import data_adapter
from tf_jmvae.models.memory_mapped import is_memory_mapped, read_by_rows, split


class ValidatedFit:
    """Puts a check in front of Keras's loops.

    Arrays are checked whole, a few MiB at a time, and memory-mapped ones stay on the disk. A `tf.data.Dataset`,
    `keras.utils.PyDataset`, generator or loader is read once, by Keras, and each batch is checked on its way to the
    step; one without examples is left out. What a strategy has distributed already is not: `tf.distribute` gives no way
    in between.
    """

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        options = inspect.signature(super().fit).bind(*args, **kwargs).arguments
        if options.get("class_weight") is not None:
            raise ValueError("class_weight needs targets, which a multimodal VAE has not; use sample_weight.")
        with self._reasons() as reasons:
            data = [options.get(name) for name in ("x", "y", "sample_weight")]
            data = self._watched(data, reasons, shuffle=options.get("shuffle", True), warns=True)
            self.adapt(data[0] if isinstance(data[0], Mapping) else options.get("x"))
            if isinstance(data[0], tf.distribute.DistributedDataset):
                options.setdefault("shuffle", False)  # Keras's default, True, is for arrays; here it warns of it
            validation = options.get("validation_data")
            if validation is not None:
                validation = self._watched(keras.utils.unpack_x_y_sample_weight(validation), reasons)
            elif options.get("validation_split") and is_memory_mapped(data[0]):
                data, validation = split(data, options.pop("validation_split"))
            batch_size = options.get("batch_size")
            if validation is not None:
                size, steps = options.get("validation_batch_size") or batch_size, options.get("validation_steps")
                options["validation_data"] = read_by_rows(validation, batch_size=size, steps_per_epoch=steps)
            reading = {"steps_per_epoch": options.get("steps_per_epoch"), "shuffle": options.get("shuffle", True)}
            data = read_by_rows(data, batch_size=batch_size, **reading)
            options["x"], options["y"], options["sample_weight"] = data
            self.kl_weight.assign(1.0)  # of a model that was saved, or whose training was interrupted, in a warm-up
            try:
                return super().fit(**options)
            finally:
                self.kl_weight.assign(1.0)
        raise _first(reasons)

    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **options) -> Any:
        with self._reasons() as reasons:
            if not options.get("_use_cached_eval_dataset"):  # of `fit`, which has seen to its validation data
                data, steps = self._watched((x, y, sample_weight), reasons), options.get("steps")
                x, y, sample_weight = read_by_rows(data, batch_size=batch_size, steps_per_epoch=steps)
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **options)
        raise _first(reasons)

    def predict(self, x: Any, batch_size=None, verbose="auto", steps=None, callbacks=None) -> dict[str, np.ndarray]:
        with self._reasons() as reasons:
            data = self._watched((x, None, None), reasons, complete=False)
            x, *_ = read_by_rows(data, batch_size=batch_size, steps_per_epoch=steps)
            return super().predict(x, batch_size, verbose, steps, callbacks)
        raise _first(reasons)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().train_on_batch(*self._arrays(x, y, sample_weight), *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().test_on_batch(*self._arrays(x, y, sample_weight), *args, **kwargs)

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:
        return super().predict_on_batch(self._arrays(x, complete=False)[0])

    def _watched(self, data, reasons, *, complete=True, shuffle=False, warns=False) -> tuple[Any, Any, Any]:
        """What Keras gets as x, y and sample_weight: checked arrays, or a pipeline that notes why it fails."""
        x, y, sample_weight = data
        if isinstance(x, Mapping | np.ndarray | list | tuple | None) or tf.is_tensor(x):
            return self._arrays(x, y, sample_weight, complete=complete, warns=warns)
        checks.check_no_targets(y)
        if isinstance(x, tf.distribute.DistributedDataset):
            return x, y, sample_weight
        shuffle = shuffle and isinstance(x, keras.utils.PyDataset)
        adapter = data_adapter(x, sample_weight=sample_weight, shuffle=shuffle)
        unchecked = adapter.get_tf_dataset  # its other facts, such as the number of batches, stay those of the data
        adapter.get_tf_dataset = lambda: self._checked(unchecked(), reasons, complete, warns)
        return adapter, None, None

    def _arrays(self, x, y=None, sample_weight=None, *, complete=True, warns=False) -> tuple[dict[str, Any], Any, Any]:
        """What Keras gets of arrays: all of them checked, with targets of no columns beside weights."""
        checks.check_no_targets(y)
        if x is None:
            raise ValueError(
                "No data was given: pass a dict of arrays by modality, or a tf.data.Dataset of such dicts."
            )
        arrays = checks.to_arrays(self.modalities, x, required=self.modalities if complete else None)
        size = len(next(iter(arrays.values())))
        if size == 0:
            raise ValueError("The data hold no example.")
        for name, array in arrays.items() if warns else ():
            checks.warn_of_scale(name, self.modalities[name], np.asarray(array[:: -(-size // 1000)]))
        if sample_weight is None:
            return arrays, None, None
        # Where y is None, Keras drops the weights without a word.
        return arrays, np.zeros((size, 0), np.float32), checks.sample_weights(sample_weight, size)

    def _checked(
        self, dataset: tf.data.Dataset, reasons: list[Exception], complete: bool, warns: bool
    ) -> tf.data.Dataset:
        """The dataset, with a check of every batch by NumPy, beside the step; what it raises is put into `reasons`."""

        @tf.autograph.experimental.do_not_convert
        def pass_on(first_row: tf.Tensor, element: Any) -> tuple[tf.Tensor, Any]:
            x, y, sample_weight = (
                None if isinstance(part, tf.experimental.Optional) else part
                for part in keras.utils.unpack_x_y_sample_weight(element)
            )
            checks.check_no_targets(y)
            batch = checks.to_arrays(self.modalities, x, required=self.modalities if complete else None)
            weighted = sample_weight is not None

            def check(first_row: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
                try:
                    arrays = dict(zip(batch, values, strict=False))
                    checks.to_arrays(self.modalities, arrays, first_row=first_row)
                    for name in arrays if warns and first_row == 0 else ():
                        checks.warn_of_scale(name, self.modalities[name], arrays[name])
                    return [checks.sample_weights(values[-1], len(values[0]), first_row=first_row)] if weighted else []
                except Exception as error:
                    reasons.append(error)
                    raise

            given = [first_row, *batch.values(), *([sample_weight] if weighted else [])]
            weights = tf.numpy_function(check, given, [tf.float32] * weighted)
            if weighted:
                element = (element[0], element[1], tf.ensure_shape(weights[0], [None]))
            return first_row + tf.shape(given[1], tf.int64)[0], element

        watched = dataset.scan(tf.constant(0, tf.int64), pass_on)
        # The next batch is checked while the step computes.
        return watched.filter(lambda *element: tf.shape(tf.nest.flatten(element)[0])[0] > 0).prefetch(2)

    @contextlib.contextmanager
    def _reasons(self) -> Iterator[list[Exception]]:
        """A list for what the checks of a pipeline raise; TensorFlow's own error of that goes no further."""
        reasons: list[Exception] = []
        try:
            yield reasons
        except tf.errors.OpError:
            if not reasons:
                raise


def _first(reasons: list[Exception]) -> Exception:
    """What is to be raised, when nothing holds Keras's iterator any more but a cycle of its own: that goes, too.

    TensorFlow may take as long to destroy an iterator as it has lived, up to a minute, and more so beside others: those
    of many refusals, left to the end of a process, let it hang.
    """
    gc.collect(1)
    reason = reasons[0]
    reasons.clear()  # the checks have this list, and a traceback would hold the pipeline that has the checks
    return reason
