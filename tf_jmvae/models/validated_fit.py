"""Data validation in `fit`, `evaluate` and `predict`: arrays before the first step, other data batch by batch."""

import contextlib
import functools
import gc
import inspect
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import cells, checks, gaps
from tf_jmvae._utils.keras_api import data_adapter
from tf_jmvae.models.memory_mapped import read_by_rows, split


class ValidatedFit:
    """Mixin that validates data before Keras's loops read them.

    Arrays are checked as a whole, a few MiB at a time, and memory-mapped arrays stay on disk. A `tf.data.Dataset`,
    `keras.utils.PyDataset`, generator or loader is read once, by Keras, and each batch is checked on its way to the
    step; batches without rows are left out. Datasets that a strategy has already distributed are not checked, because
    `tf.distribute` offers no hook. Conditional models leave out rows that lack an optional target.
    """

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        options = inspect.signature(super().fit).bind(*args, **kwargs).arguments
        if options.get("batch_size") is not None:
            checks.positive_integer("batch_size", options["batch_size"])
        if options.get("class_weight") is not None:
            raise ValueError("class_weight needs targets, which a multimodal VAE does not have; use sample_weight.")
        if options.get("steps_per_epoch") is None:
            checks.check_ends(options.get("x"), "steps_per_epoch")
        with _Watch(options.get("verbose", "auto")) as watch:
            data = [options.get(name) for name in ("x", "y", "sample_weight")]
            data = self._watched(data, watch, shuffle=options.get("shuffle", True), warns=True)
            if isinstance(data[0], tf.distribute.DistributedDataset):
                options.setdefault("shuffle", False)  # Keras's default, True, would cause a warning here
            validation = options.get("validation_data")
            if validation is not None:
                validation = keras.utils.unpack_x_y_sample_weight(validation)
                if options.get("validation_steps") is None:
                    checks.check_ends(validation[0], "validation_steps")
                beside = _Watch(options.get("verbose", "auto"), watch.reasons, validates=True)
                validation = self._watched(validation, beside)
                options["callbacks"] = beside.among(options.get("callbacks"))
            elif options.get("validation_split") and isinstance(data[0], Mapping):
                data, validation = split(data, options.pop("validation_split"))
            self.adapt(data[0] if isinstance(data[0], Mapping) else options.get("x"))
            batch_size = options.get("batch_size")
            if validation is not None:
                size, steps = options.get("validation_batch_size") or batch_size, options.get("validation_steps")
                options["validation_data"] = read_by_rows(validation, batch_size=size, steps_per_epoch=steps)
            reading = {"steps_per_epoch": options.get("steps_per_epoch"), "shuffle": options.get("shuffle", True)}
            data = read_by_rows(data, batch_size=batch_size, **reading)
            options["x"], options["y"], options["sample_weight"] = data
            options["callbacks"] = watch.among(options.get("callbacks"))
            self.kl_weight.assign(1.0)  # in case the model was saved or interrupted during a warm-up
            try:
                return super().fit(**options)
            finally:
                self.kl_weight.assign(1.0)
        raise watch.reason()

    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **options) -> Any:
        with _Watch(verbose) as watch:
            if not options.get("_use_cached_eval_dataset"):  # called by `fit`, which has checked its validation data
                if (steps := options.get("steps")) is None:
                    checks.check_ends(x, "steps")
                data = self._watched((x, y, sample_weight), watch)
                x, y, sample_weight = read_by_rows(data, batch_size=batch_size, steps_per_epoch=steps)
            found = super().evaluate(x, y, batch_size, verbose, sample_weight, **options)
            watch.check_rows()
            return self._measured(found) if options.get("return_dict") else found
        raise watch.reason()

    def _measured(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Leaves out the terms that no row has, whose mean Keras gives as 0."""
        if self.distribute_strategy.num_replicas_in_sync > 1:
            return metrics
        nothing = [name for name, mean in self._trackers.items() if not float(mean.count)]
        return {name: value for name, value in metrics.items() if name not in nothing}

    def predict(self, x: Any, batch_size=None, verbose="auto", steps=None, callbacks=None) -> dict[str, np.ndarray]:
        if steps is None:
            checks.check_ends(x, "steps")
        with _Watch(0) as watch:
            data = self._watched((x, None, None), watch, complete=False)
            alone = callbacks is None and steps is None and self.distribute_strategy.num_replicas_in_sync == 1
            if alone and isinstance(data[0], dict) and len(next(iter(data[0].values()))) <= (batch_size or 32):
                return self._predict_batch(data[0], verbose)
            x, *_ = read_by_rows(data, batch_size=batch_size, steps_per_epoch=steps)
            try:
                return super().predict(x, batch_size, verbose, steps, callbacks)
            except UnboundLocalError:  # Keras's, without a batch
                watch.check_rows()
                raise
        raise watch.reason()

    def _predict_batch(self, batch: dict[str, Any], verbose: Any) -> dict[str, np.ndarray]:
        """Predicts one batch as Keras's loop does, without the loop, which takes thirty times as long."""
        progress = keras.utils.Progbar(1, verbose=1 if verbose == "auto" else verbose)
        outputs = super().predict_on_batch(batch)
        progress.update(1, finalize=True)
        return outputs

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any) -> Any:
        begins = not int(self.optimizer.iterations) if self.compiled else False
        return super().train_on_batch(*self._arrays(x, y, sample_weight, warns=begins), *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().test_on_batch(*self._arrays(x, y, sample_weight), *args, **kwargs)

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:
        return super().predict_on_batch(self._arrays(x, complete=False)[0])

    def _watched(self, data, watch, *, complete=True, shuffle=False, warns=False) -> tuple[Any, Any, Any]:
        """Returns x, y and sample_weight for Keras: checked arrays, or a pipeline that records why it fails."""
        (x, _), y, sample_weight = cells.encoded(self.modalities, data[0]), *data[1:]
        watch.counts = self._counts(complete)
        if isinstance(x, Mapping | np.ndarray | list | tuple | None) or tf.is_tensor(x):
            arrays = self._arrays(x, y, sample_weight, complete=complete, warns=warns, counts=watch.counts)
            watch.say("data")
            return arrays
        checks.check_no_targets(y)
        if isinstance(x, tf.distribute.DistributedDataset):
            return x, y, sample_weight
        shuffle = shuffle and isinstance(x, keras.utils.PyDataset)
        adapter = data_adapter(_filled(x), sample_weight=sample_weight, shuffle=shuffle)
        unchecked = adapter.get_tf_dataset  # other attributes, such as the number of batches, are unchanged
        adapter.get_tf_dataset = lambda: self._checked(unchecked(), watch, complete, warns)
        return adapter, None, None

    def _arrays(
        self, x, y=None, sample_weight=None, *, complete=True, warns=False, counts=None
    ) -> tuple[dict[str, Any], Any, Any]:
        """Checks arrays and returns them for Keras, with empty targets if there are weights.

        Rows that the model leaves out are removed.
        """
        checks.check_no_targets(y)
        if x is None:
            raise ValueError(
                "No data was given: pass a dict of arrays by modality, or a tf.data.Dataset of such dicts."
            )
        arrays = checks.to_arrays(self.modalities, x, required=self.modalities if complete else None)
        size = len(next(iter(arrays.values())))
        if size == 0:
            raise ValueError("The data contain no examples.")
        counts = self._counts(complete) if counts is None else counts
        gaps.check_rows(self, arrays, may_lack=counts.needed)
        counts.add(self.modalities, arrays).check_used()
        if sample_weight is not None:
            sample_weight = checks.sample_weights(sample_weight, size)
        left_out = gaps.rows_without(counts.needed, arrays)
        if left_out.any():
            arrays = {name: array[~left_out] for name, array in arrays.items()}
            sample_weight = None if sample_weight is None else sample_weight[~left_out]
            size -= int(left_out.sum())
        for name, array in arrays.items() if warns else ():
            checks.warn_of_scale(name, self.modalities[name], np.asarray(array[:: -(-size // 1000)]))
        # If y is None, Keras silently drops the weights.
        return arrays, None if sample_weight is None else np.zeros((size, 0), np.float32), sample_weight

    def _counts(self, complete: bool) -> gaps.Counts:
        """Returns counters of missing data for rows with all modalities, or for the observed rows of a prediction."""
        return gaps.Counts(type(self).__name__, self._left_out_without() if complete else [])

    def _checked(self, dataset: tf.data.Dataset, watch: "_Watch", complete: bool, warns: bool) -> tf.data.Dataset:
        """Adds a NumPy check of every batch to the dataset, parallel to the steps; reports its findings to `watch`."""
        needed = watch.counts.needed
        watch.reads_batches = True

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
                    gaps.check_rows(self, arrays, first_row, may_lack=needed)
                    watch.counts.add(self.modalities, arrays)
                    for name in arrays if warns and first_row == 0 else ():
                        checks.warn_of_scale(name, self.modalities[name], arrays[name])
                    kept = ~gaps.rows_without(needed, arrays)
                    if not weighted:
                        return [kept]
                    return [kept, checks.sample_weights(values[-1], len(values[0]), first_row=first_row)]
                except Exception as error:
                    watch.reasons.append(error)
                    raise

            given = [first_row, *batch.values(), *([sample_weight] if weighted else [])]
            kept, *weights = tf.numpy_function(watch.held(check), given, [tf.bool] + [tf.float32] * weighted)
            if weighted:
                element = (element[0], element[1], tf.ensure_shape(weights[0], [None]))
            if needed:
                element = tf.nest.map_structure(
                    lambda part: (
                        tf.boolean_mask(part, tf.ensure_shape(kept, [None])) if isinstance(part, tf.Tensor) else part
                    ),
                    element,
                )
            return first_row + tf.shape(given[1], tf.int64)[0], element

        watched = dataset.scan(tf.constant(0, tf.int64), pass_on)
        # The next batch is checked while the step computes.
        return watched.filter(lambda *element: tf.shape(tf.nest.flatten(element)[0])[0] > 0).prefetch(2)


def _filled(x: Any) -> Any:
    """Wraps generators and `PyDataset`s to put NaN at masked entries, where TensorFlow would ignore the mask.

    Dicts from a generator become tuples, as Keras requires.
    """
    if isinstance(x, types.GeneratorType):
        return (gaps.filled_batch((batch,) if isinstance(batch, Mapping) else batch) for batch in x)
    return _Filled(x) if isinstance(x, keras.utils.PyDataset) else x


class _Filled(keras.utils.PyDataset):
    def __init__(self, dataset: keras.utils.PyDataset):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset

    @property
    def num_batches(self) -> int | None:
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        return gaps.filled_batch(self._dataset[index])

    def on_epoch_begin(self) -> None:
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._dataset.on_epoch_end()


def _call(function: weakref.ref, *values: Any) -> Any:
    return function()(*values)


class _Watch(contextlib.AbstractContextManager):
    """Findings of the checks during a loop: reasons to refuse the data, and counts of what is missing.

    On exit it suppresses TensorFlow's error about a refusal; the caller then raises `reason` instead.
    """

    def __init__(self, verbose: Any, reasons: list[Exception] | None = None, validates: bool = False):
        self.reasons = [] if reasons is None else reasons
        self.reads_batches = False
        self._validates = validates
        self.counts = gaps.Counts()
        self._silent = verbose == 0
        self._held: list[Callable] = []

    def held(self, function: Callable) -> Callable:
        """Returns a function that calls `function` by a weak reference, which is valid as long as this watch.

        TensorFlow keeps Python functions of datasets for the life of the process, and would keep the model with them.
        """
        self._held.append(function)
        return functools.partial(_call, weakref.ref(function))

    def say(self, where: str = "batches") -> None:
        """Prints once how much is missing."""
        if str(self.counts) and not self._silent:
            print(f"Missing in the {'validation ' if self._validates else ''}{where}: {self.counts}.")
            self._silent = True

    def check_rows(self) -> None:
        """Raises `ValueError` if a pipeline was read to its end without a row."""
        if self.reads_batches and not self.counts.num_rows:
            raise ValueError(f"The {'validation ' if self._validates else ''}data contain no examples.")

    def among(self, callbacks: Any) -> Any:
        """Adds a callback that prints what is missing in a pipeline after an epoch, and refuses one without rows."""

        def end_of_epoch(epoch, logs):
            if not self._validates:  # not every epoch does
                self.check_rows()
            self.say()

        said = keras.callbacks.LambdaCallback(on_epoch_end=end_of_epoch, on_test_end=lambda logs: self.check_rows())
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.callbacks.append(said)
            return callbacks
        return [*tf.nest.flatten(callbacks or []), said]

    def reason(self) -> Exception:
        """Returns why data were refused, after collecting the cycle that keeps Keras's iterator alive.

        TensorFlow may take as long to destroy an iterator as it has lived, up to a minute, and longer with others: many
        iterators of refused data, left to the end of a process, let it hang.
        """
        gc.collect(1)
        reason = self.reasons[0]
        self.reasons.clear()  # the checks hold this list, and a traceback would keep the pipeline alive
        return reason

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        if error is None:
            self.say()
            self.counts.check_used()
        return isinstance(error, tf.errors.OpError) and bool(self.reasons)
