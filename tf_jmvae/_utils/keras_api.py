"""All private API of Keras and TensorFlow that the package calls, each with the reason why.

`tests/test_keras_api.py` fails, with the name of the entry, when one is gone or no longer needed; setup.py pins Keras
below its next minor version. Methods of Keras that are not public, and that the package overrides or reads where they
belong, are in `OVERRIDDEN`.
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

# Class: the names that are not public, and why they are overridden or read.
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
        ("_pop_writer", "_train_writer", "_val_writer", "_writers", "_should_trace"),
        "pictures and texts go to the files of Keras's scalars (callbacks/tensorboard)",
    ),
}


def flatten_layers(layer: keras.layers.Layer, *, recursive: bool = True, include_self: bool = True) -> list[Any]:
    """The layers in a layer; Keras tells them publicly of models alone."""
    return layer._flatten_layers(include_self=include_self, recursive=recursive)


def data_adapter(x: Any, **options: Any) -> Any:
    """What Keras's loops read data by, to put checks in its way; the public API only takes the data themselves."""
    return get_data_adapter(x, **options)


def op_definition(name: str) -> op_def_pb2.OpDef | None:
    """How TensorFlow defines an op; None if it has none of that name. The public API tells it of ops in a graph."""
    return op_def_registry.get(name)


def records_gradients() -> bool:
    """Whether a `GradientTape` or `ForwardAccumulator` watches; the public API does not tell."""
    return record.could_possibly_record()


def sum_before_clipping(optimizer: keras.optimizers.Optimizer, add: Callable[[list], list]) -> None:
    """Makes an optimizer `add` gradients over replicas before it clips them.

    Keras clips what each replica has, and sums that (tensorflow/tensorflow#33929).
    """
    if "_clip_gradients" in vars(optimizer):
        return
    clip = optimizer._clip_gradients
    optimizer._clip_gradients = lambda gradients: clip(add(gradients))
    optimizer._all_reduce_sum_gradients = list


@contextlib.contextmanager
def alone(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Within it an optimizer sums no gradients over replicas: there is one.

    Of one replica the sum is the identity, with a gradient of its own, which TensorFlow keeps in a register of the
    process with the graph around it: of each function in which Keras's optimizers are called, for ever.
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
    """Whether Keras asks for a config to put into an HDF5 file.

    `keras.saving.save_model` writes one without a call of `model.save`, and has no other way to be told no.
    """
    return bool(global_state.get_global_attribute("use_legacy_config"))


@contextlib.contextmanager
def global_state_kept() -> Iterator[None]:
    """Gives the process back its dtype policy, and the random state of Python, NumPy, TensorFlow and Keras.

    Keras and TensorFlow let one set their random state, and not read it.
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
