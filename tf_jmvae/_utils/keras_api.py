"""All private APIs of Keras and TensorFlow that the package calls, each with the reason.

`tests/test_keras_api.py` fails, with the name of the entry, if one is gone or no longer needed; setup.py pins Keras
below its next minor version. Private methods of Keras that the package overrides or reads elsewhere are in
`OVERRIDDEN`.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from keras.src.trainers.data_adapters import get_data_adapter
from keras.src.utils import rng_utils
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.eager import context, record
from tensorflow.python.framework import op_def_registry

# By class the private names, and why they are overridden or read.
OVERRIDDEN: dict[type, dict[str, str]] = {
    keras.Model: {
        "_maybe_symbolic_build": "traces the model on the mean of replicas' batches, which several workers cannot "
        "take (distribute/replicas.py; keras-team/keras#21069)",
        "_make_function": "averages the logs of replicas whatever their sizes, and no scalars between workers "
        "(distribute/replicas.py; keras-team/keras#19891)",
    },
    keras.optimizers.Adam: dict.fromkeys(
        ("_get_variable_index", "_momentums", "_velocities"), "the state that one kernel updates (optimizers.py)"
    ),
    keras.callbacks.TensorBoard: dict.fromkeys(
        (
            "_pop_writer",
            "_close_writers",
            "_prev_summary_state",
            "_train_writer",
            "_val_writer",
            "_writers",
            "_should_trace",
        ),
        "pictures and texts go to the files of Keras's scalars (callbacks/tensorboard)",
    ),
}


def flatten_layers(layer: keras.layers.Layer, *, recursive: bool = True, include_self: bool = True) -> list[Any]:
    """Returns the layers in a layer; Keras's public API has this for models only."""
    return layer._flatten_layers(include_self=include_self, recursive=recursive)


def data_adapter(x: Any, **options: Any) -> Any:
    """Returns the adapter by which Keras's loops read data, to insert checks; the public API takes only the data."""
    return get_data_adapter(x, **options)


def op_definition(name: str) -> op_def_pb2.OpDef | None:
    """Returns TensorFlow's definition of an op, or None; the public API has this only for ops in a graph."""
    return op_def_registry.get(name)


def records_gradients() -> bool:
    """Returns whether a `GradientTape` or `ForwardAccumulator` records; the public API does not tell."""
    return record.could_possibly_record()


def sum_before_clipping(optimizer: keras.optimizers.Optimizer, add: Callable[[list], list]) -> None:
    """Makes an optimizer sum gradients over replicas by `add` before it clips them.

    Keras clips the gradients of each replica, and then sums them (tensorflow/tensorflow#33929).
    """
    if "_clip_gradients" in vars(optimizer):
        return
    clip = optimizer._clip_gradients
    optimizer._clip_gradients = lambda gradients: clip(add(gradients))
    optimizer._all_reduce_sum_gradients = list


@contextlib.contextmanager
def alone(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Context in which an optimizer does not sum gradients over replicas, for a single replica.

    For one replica the sum is an identity with a custom gradient, which TensorFlow registers for the life of the
    process together with its graph, for each function in which Keras's optimizers are called.
    """
    before = vars(optimizer).get("_all_reduce_sum_gradients")
    optimizer._all_reduce_sum_gradients = list
    try:
        yield
    finally:
        if before is None:
            del optimizer._all_reduce_sum_gradients
        else:
            optimizer._all_reduce_sum_gradients = before


def saves_as_hdf5() -> bool:
    """Returns whether Keras requests a config for an HDF5 file.

    `keras.saving.save_model` writes HDF5 without calling `model.save`, and cannot be refused in another way.
    """
    return bool(global_state.get_global_attribute("use_legacy_config"))


@contextlib.contextmanager
def global_state_kept() -> Iterator[None]:
    """Context that restores the dtype policy and the random states of Python, NumPy, TensorFlow and Keras.

    The public APIs of Keras and TensorFlow set their random state, but do not read it.
    """
    policy, python = keras.config.dtype_policy(), random.getstate()
    numpy = np.random.get_state()  # noqa: NPY002 - Keras seeds the legacy generator
    names = (rng_utils.GLOBAL_RANDOM_SEED, seed_generator.GLOBAL_SEED_GENERATOR)
    of_keras = {name: global_state.get_global_attribute(name) for name in names}
    seed, operation_seeds = context.global_seed(), getattr(context.context(), "_rng", None)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for name, value in of_keras.items():
            global_state.set_global_attribute(name, value)
        tf.random.set_seed(seed)
        context.context()._rng = operation_seeds
