"""Batched queries: computes model outputs for data of any size, with one batch in memory at a time.

Each row has its own seed, so that its result does not depend on the batch size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import cells, checks, gaps
from tf_jmvae.random import seeds

if TYPE_CHECKING:
    from tf_jmvae.models import MultimodalVAE

Arrays = dict[str, np.ndarray | tf.Tensor]


def is_meant(data: Any, batch_size: int | None) -> bool:
    """Returns whether a call reads its data in batches: with a `batch_size` or a dataset."""
    return batch_size is not None or isinstance(data, tf.data.Dataset)


def names_in(model: "MultimodalVAE", data: Any) -> list[str]:
    """Returns the names of the modalities in the data, in model order; raises as `checks.check_names`."""
    names = (
        _inputs(data).element_spec if isinstance(data, tf.data.Dataset) else cells.encoded(model.modalities, data)[0]
    )
    checks.check_names(model.modalities, names)
    return [name for name in model.modalities if name in names]


def may_lack(model: "MultimodalVAE", data: Any, name: str) -> bool:
    """Returns whether a modality has missing values: checked for arrays, and for datasets whether it is `optional`."""
    if isinstance(data, tf.data.Dataset):
        return bool(model.modalities[name].optional)
    return gaps.has_any(checks.to_arrays(model.modalities, data)[name])


def answers(
    model: "MultimodalVAE",
    data: Any,
    ask: Callable[[Arrays, tf.Tensor], Mapping[str, tf.Tensor]],
    *,
    seed: Any,
    batch_size: int | None,
    verbose: int | str,
) -> dict[str, np.ndarray]:
    """Concatenates the outputs of `ask(batch, row_seeds)` over all batches of the data, by name.

    Args:
      model: `MultimodalVAE` that reads the data.
      data: dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts.
      ask: function of a batch and int32 row seeds `[B, 2]` that returns a dict of tensors `[B, ...]`.
      seed: integer, int32 `[2]`, or `[N, 2]` with a seed for each row; None draws a new seed at every call.
      batch_size: number of rows of a batch; None keeps the batches of the dataset.
      verbose: 0 shows no progress, 1 a progress bar, 2 one line at the end; `"auto"` is 1.
    """
    if not tf.executing_eagerly():
        raise ValueError("Inside a tf.function there is only one batch: pass tensors, without a dataset or batch_size.")
    if batch_size is not None:
        batch_size = checks.positive_integer("batch_size", batch_size)
    read, number = batches(model, data, names_in(model, data), batch_size, own_values=True)
    progress = keras.utils.Progbar(number, verbose=1 if verbose == "auto" else verbose, unit_name="batch")
    seed = seeds.to_tensor(seed)
    next_seeds, first_row, done, found = seeds.for_rows(seed), 0, 0, {}
    for batch in read:
        gaps.check_rows(model, batch, first_row if isinstance(data, tf.data.Dataset) else None)
        rows = len(next(iter(batch.values())))
        for name, value in ask(batch, next_seeds(rows)).items():
            found.setdefault(name, []).append(value.numpy())
        first_row, done = first_row + rows, done + 1
        progress.update(done, finalize=False)
    if not first_row:
        raise ValueError("The data contain no examples.")
    seeds.of_rows(seed, first_row)
    progress.update(done, finalize=True)
    return {name: np.concatenate(found.pop(name)) for name in list(found)}


def batches(
    model: "MultimodalVAE", data: Any, names: Sequence[str], batch_size: int | None, *, own_values: bool = False
) -> tuple[Iterator[Arrays], int | None]:
    """Returns an iterator of checked batches of the named modalities, and the number of batches if it is known.

    Table cells are decoded to raw values, or with `own_values` to standardised values, as arrays are taken to be.
    """

    def checked(batch: Mapping[str, Any], first_row: int | None = None) -> Arrays:
        batch, of_cells = cells.encoded(model.modalities, batch)
        checks.check_names(model.modalities, batch, required=names)
        arrays = checks.to_arrays(model.modalities, {name: batch[name] for name in names}, first_row=first_row)
        for name in of_cells & set(model.standardizations) if own_values else ():
            arrays[name] = model.standardizations[name](arrays[name])
        return arrays

    if not isinstance(data, tf.data.Dataset):
        arrays = checked(data)
        starts = range(0, len(arrays[names[0]]), batch_size)
        return ({n: array[i : i + batch_size] for n, array in arrays.items()} for i in starts), len(starts)
    checks.check_ends(data)
    inputs = _inputs(data)
    specs = inputs.element_spec
    for name, spec in specs.items() if isinstance(specs, Mapping) else ():
        if name not in model.modalities or spec.dtype == tf.string:
            continue
        if spec.shape.rank == len(model.modalities[name].event_shape):
            raise ValueError(
                f"The dataset must yield batches, with {name!r} of shape [batch, "
                f"{', '.join(map(str, model.modalities[name].event_shape))}]; it yields single examples of shape "
                f"{spec.shape.as_list()}. Pass dataset.batch(100)."
            )

    def read() -> Iterator[Arrays]:
        first_row = 0
        for batch in inputs if batch_size is None else inputs.rebatch(batch_size):
            yield checked(batch, first_row)
            first_row += len(batch[names[0]])

    number = int(inputs.cardinality()) if batch_size is None else tf.data.UNKNOWN_CARDINALITY
    return read(), number if number >= 0 else None


def _inputs(data: tf.data.Dataset) -> tf.data.Dataset:
    """Drops the sample weights from a dataset whose elements may be tuples, as `fit` takes them."""
    return data.map(lambda *parts: parts[0])
