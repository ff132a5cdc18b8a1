"""What is asked of a model about data of any size: answered a batch at a time, of which one is in memory.

Each row has a seed of its own, so that what it gets does not depend on the size of the batches.
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
    """Whether a call is about data that are to be read by batch."""
    return batch_size is not None or isinstance(data, tf.data.Dataset)


def names_in(model: "MultimodalVAE", data: Any) -> list[str]:
    """The modalities that data hold; raises what `checks.check_names` does."""
    names = (
        _inputs(data).element_spec if isinstance(data, tf.data.Dataset) else cells.encoded(model.modalities, data)[0]
    )
    checks.check_names(model.modalities, names)
    return [name for name in model.modalities if name in names]


def may_lack(model: "MultimodalVAE", data: Any, name: str) -> bool:
    """Whether rows or entries of a modality may be missing: of arrays whether they are, of datasets if `optional`."""
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
    """What `ask(batch, row_seeds)` gives for all batches of data, one after the other, by name.

    Args:
      model: the model, whose modalities the data are of.
      data: dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts.
      ask: from a batch and int32 seeds `[B, 2]` to tensors `[B, ...]`.
      seed: integer, `[2]`, `[N, 2]` with a seed for each row, or None for one that differs every time.
      batch_size: rows of a batch; None for those of the dataset.
      verbose: 0 shows no progress, 1 a bar, 2 a line at the end; `"auto"` is 1.
    """
    if not tf.executing_eagerly():
        raise ValueError("Within a tf.function there is one batch: pass tensors, and no dataset or batch_size.")
    if batch_size is not None:
        batch_size = checks.positive_integer("batch_size", batch_size)
    read, number = batches(model, data, names_in(model, data), batch_size, own_values=True)
    progress = keras.utils.Progbar(number, verbose=1 if verbose == "auto" else verbose, unit_name="batch")
    next_seeds, first_row, done, found = seeds.for_rows(seed), 0, 0, {}
    for batch in read:
        gaps.check_rows(model, batch, first_row if isinstance(data, tf.data.Dataset) else None)
        rows = len(next(iter(batch.values())))
        for name, value in ask(batch, next_seeds(rows)).items():
            found.setdefault(name, []).append(value.numpy())
        first_row, done = first_row + rows, done + 1
        progress.update(done, finalize=False)
    if not first_row:
        raise ValueError("The data hold no example.")
    progress.update(done, finalize=True)
    return {name: np.concatenate(found.pop(name)) for name in list(found)}


def batches(
    model: "MultimodalVAE", data: Any, names: Sequence[str], batch_size: int | None, *, own_values: bool = False
) -> tuple[Iterator[Arrays], int | None]:
    """Checked batches of modalities of the data, as they are, and their number, if that is known.

    Cells of a table are raw values, or, if wanted, the model's `own_values`, which arrays are taken for.
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
                f"The dataset must give batches, with {name!r} of shape [batch, "
                f"{', '.join(map(str, model.modalities[name].event_shape))}]; it gives single examples of shape "
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
    """The dicts of a dataset, with which weights may come, as `fit` takes them."""
    return data.map(lambda *parts: parts[0])
