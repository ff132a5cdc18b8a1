"""Compiled model calls: each method is traced once and serves batches of any size.

Run op by op, generation from one row takes ten times as long as in a `tf.function`. So a model keeps one compiled
function for each combination of method, observed modalities and options. The inputs, with any number of rows, and the
seed are arguments, so that they cause no retracing; weights are read at call time. Values are checked before the
compiled call, while they are known, and distributions are rebuilt afterwards from the tensors of their parameters.

Nothing is compiled within a `tf.function`, under a `GradientTape`, in a strategy's scope, or if the model's
`run_eagerly` is set: a method then runs op by op.
"""

import collections
import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils.keras_api import records_gradients
from tf_jmvae.models import by_batch
from tf_jmvae.models.iterated_sampling import iteration_of, split_num_steps, with_num_steps
from tf_jmvae.random import seeds

_MOST = 64  # compiled functions kept per model; each takes about a MiB
# Attributes that Keras's loops set at every call, and on which no compiled function depends.
_OF_LOOPS = {
    "history",
    "stop_training",
    "stop_evaluating",
    "stop_predicting",
    "train_function",
    "test_function",
    "predict_function",
    "built",
}

_Remake = Callable[[Iterator[tf.Tensor]], Any]


class CompiledCalls:
    """Cache of a model's compiled functions, which is never saved, copied or pickled with the model."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "posterior" in vars(cls):
            cls.posterior = _asked(vars(cls)["posterior"])

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, and clears the cache if compiled functions may depend on it."""
        super().__setattr__(name, value)
        if not name.startswith("_") and name not in _OF_LOOPS and "_compiled_calls" in vars(self):
            self._compiled_calls.forget()

    def _remember_calls(self) -> None:
        self._compiled_calls = _Memory()


def _asked(posterior: Callable[..., tfd.Distribution]) -> Callable[..., Any]:
    """Wraps the `posterior` of a class with argument checks, compilation and batched reading of datasets."""

    @functools.wraps(posterior)
    def asked(self, observed, *, iterated_sampling=None, seed=None, training=False, batch_size=None, verbose="auto"):
        if by_batch.is_meant(observed, batch_size):
            options = {"iterated_sampling": iterated_sampling, "training": training}
            reading = {"seed": seed, "batch_size": batch_size, "verbose": verbose}
            return by_batch.answers(self, observed, functools.partial(_moments, self, options), **reading)
        if training or not is_possible(self):
            return posterior(self, observed, iterated_sampling=iterated_sampling, seed=seed, training=training)
        observed = self.checked(observed)
        seed = seeds.of_rows(seed, next(iter(observed.values())).shape[0])
        iteration, num_steps = split_num_steps(iteration_of(self, iterated_sampling))

        def of_tensors(observed, seed, *num_steps):
            return posterior(self, observed, iterated_sampling=with_num_steps(iteration, num_steps), seed=seed)

        return call(self, ("posterior", posterior, iteration, len(num_steps)), of_tensors, observed, seed, *num_steps)

    asked.__signature__ = inspect.signature(asked, follow_wrapped=False)
    return asked


def _moments(model, options, batch, seed):
    """Computes the mean and stddev of the posterior."""
    q = model.posterior(batch, seed=seed, **options)
    return {"mean": q.mean(), "standard_deviation": q.stddev()}


class _Memory:
    """Thread-safe cache of the most recently used values."""

    def __init__(self) -> None:
        self._values: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            self._values.move_to_end(key)
            if len(self._values) > _MOST:
                self._values.popitem(last=False)
            return self._values[key]

    def forget(self) -> None:
        with self._lock:
            self._values.clear()


def is_possible(model: keras.Model) -> bool:
    """Returns whether a call is compiled in the current context."""
    as_written = model.run_eagerly or tf.config.functions_run_eagerly() or records_gradients()
    return tf.executing_eagerly() and not (as_written or tf.distribute.has_strategy())


def remembered(model: keras.Model, key: Hashable, make: Callable[[], Any]) -> Any:
    """Returns the cached value of `key`, made by `make` on first use or after the cache was cleared."""
    return model._compiled_calls.get(key, make)


def call(
    model: keras.Model,
    key: Hashable,
    function: Callable[..., Any],
    batch: Mapping[str, tf.Tensor],
    *others: tf.Tensor,
) -> Any:
    """Calls `function(batch, *others)`, compiled where that is possible.

    Args:
      model: Keras model that the function uses, and that caches its compiled form.
      key: hashable value of what the function depends on besides its arguments: the method and its options.
      function: maps tensors to a tensor or distribution, or to lists, tuples and dicts of these.
      batch: dict of tensors `[B, ...]` by name; may be empty.
      *others: tensors of rank 2 or more with rows along the first axis, or of the same shape at every call.
    """
    if not is_possible(model):
        return function(batch, *others)
    tensors = [*batch.values(), *others]
    specs = [tf.TensorSpec((None, *t.shape[1:]) if len(t.shape) > 1 else t.shape, t.dtype) for t in tensors]
    names = tuple(batch)

    def of_flat(*tensors: tf.Tensor) -> Any:
        return function(dict(zip(names, tensors, strict=False)), *tensors[len(names) :])

    compiled = remembered(model, (key, names, *specs), lambda: _Compiled(of_flat, specs))
    try:
        return compiled(*tensors)
    except _ClosedError:
        return function(batch, *others)


class _Compiled:
    """Function of tensors that is traced once."""

    def __init__(self, function: Callable[..., Any], specs: list[tf.TensorSpec]):
        self._function = function
        self._remake: _Remake | None = None
        # TensorFlow counts traces per code object and warns of many; a partial for each function avoids that.
        own = functools.partial(self._trace)
        self._traced = tf.function(own, input_signature=specs, autograph=False)
        self._concrete: Callable[..., list[tf.Tensor]] | None = None  # skips the type lookup, a fifth of a call
        self._closed = False

    def __call__(self, *tensors: tf.Tensor) -> Any:
        if self._closed:
            raise _ClosedError
        if self._concrete is None:
            self._concrete = self._traced.get_concrete_function()
        return self._remake(iter(self._concrete(*tensors)))

    def _trace(self, *tensors: tf.Tensor) -> list[tf.Tensor]:
        try:
            outputs, self._remake = taken_apart(self._function(*tensors))
        except _ClosedError:
            self._closed = True
            raise
        return outputs


class _ClosedError(Exception):
    """Raised for a value that cannot be taken apart into tensors."""


def taken_apart(value: Any) -> tuple[list[tf.Tensor], _Remake]:
    """Returns the tensors in a value, and a function that rebuilds it from an iterator of other tensors.

    The value is a tensor, distribution, bijector or dataclass, a list, tuple or dict of these, or holds no tensor.
    """
    if tf.is_tensor(value):
        return [value], next
    if isinstance(value, tfd.Distribution | tfb.Bijector):
        kind, (tensors, remake) = type(value), taken_apart(dict(value.parameters))
        return tensors, lambda new: kind(**remake(new))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind, (tensors, remake) = type(value), taken_apart(dict(vars(value)))
        return tensors, lambda new: kind(**remake(new))
    if isinstance(value, Mapping):
        tensors, remake = taken_apart(list(value.values()))
        names = list(value)
        return tensors, lambda new: dict(zip(names, remake(new), strict=True))
    if isinstance(value, list | tuple):
        parts, kind = [taken_apart(part) for part in value], list if isinstance(value, list) else tuple
        return [tensor for tensors, _ in parts for tensor in tensors], lambda new: kind(make(new) for _, make in parts)
    constants = bool | int | float | str | type | np.ndarray | tf.DType | keras.layers.Layer | keras.Variable
    if value is None or isinstance(value, constants | tf.Variable):
        return [], lambda new: value
    raise _ClosedError
