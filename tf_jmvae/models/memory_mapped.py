"""Memory-mapped arrays in Keras's loops: each batch reads its own rows, so that no array is loaded whole.

Keras shuffles and batches row numbers in place of the rows.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils.keras_api import data_adapter
from tf_jmvae.data.pipeline import gatherer

# x, y and sample_weight of Keras's loops.
Data = tuple[Any, Any, Any]


def read_by_rows(data: Data, **options: Any) -> Data:
    """Returns the data; memory-mapped arrays among them as a Keras data adapter that reads the rows of each batch.

    `options` are those of Keras's loops: `batch_size`, `steps_per_epoch` and `shuffle`.
    """
    x, y, sample_weight = data
    arrays = x.items() if isinstance(x, Mapping) else ()
    gather = {name: gatherer(array) for name, array in arrays if isinstance(array, np.memmap)}
    if not gather:
        return data
    numbers = np.arange(len(next(iter(x.values()))))
    adapter = data_adapter({**x, **dict.fromkeys(gather, numbers)}, y=y, sample_weight=sample_weight, **options)
    of_numbers = adapter.get_tf_dataset

    def rows(batch: dict[str, tf.Tensor], *rest: tf.Tensor) -> Any:
        batch = {name: gather[name](value) if name in gather else value for name, value in batch.items()}
        return (batch, *rest) if rest else batch

    adapter.get_tf_dataset = lambda: of_numbers().map(rows, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    return adapter, None, None


def split(data: Data, fraction: float) -> tuple[Data, Data]:
    """Splits off the last rows, `fraction` of them, as `validation_split` of Keras's `fit` does."""
    size = len(next(iter(data[0].values())))
    start = math.floor(size * (1.0 - fraction))
    if not 0 < start < size:
        raise ValueError(
            f"validation_split must leave rows to train on and rows to validate with; got {fraction} of {size}."
        )

    def part(rows: slice) -> Data:
        return tf.nest.map_structure(lambda array: array if array is None else array[rows], data)

    return part(slice(start)), part(slice(start, None))
