"""Conversion of tables and texts to a modality's values."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils.extras import extra

if TYPE_CHECKING:
    from tf_jmvae.modality import Modality


def encoded(modalities: Mapping[str, "Modality"], batch: Any) -> tuple[Any, frozenset[str]]:
    """Converts tables and texts in a batch to values, and returns the names of the converted modalities.

    A `pandas.DataFrame` gives the modalities all of whose columns it has. In a dict, texts of a modality of one column,
    as a list, an array or a string tensor, and a table of the modality's columns are converted. Raises `ValueError` if
    a table has the columns of no modality, or a cell is not of its kind. Other values are unchanged.
    """
    if _is_table(batch):
        found = {name: modality for name, modality in modalities.items() if _has(batch, modality)}
        if not found:
            wanted = [list(modality.columns.names) for modality in modalities.values() if modality.columns]
            raise ValueError(
                f"The table has the columns {list(batch.columns)}, but no modality is made from them: "
                + (f"expected {wanted}." if wanted else "make the model's modalities with data.from_table.")
            )
        return {name: modality.cells.encode(batch) for name, modality in found.items()}, frozenset(found)
    if not isinstance(batch, Mapping):
        return batch, frozenset()
    found = {}
    for name, value in batch.items():
        modality = modalities.get(name)
        if modality is None or modality.columns is None:
            continue
        if _is_table(value) and _has(value, modality):
            found[name] = modality.cells.encode(value)
        elif holds_texts(value) and len(modality.columns.names) == 1:
            found[name] = _of_texts(modality, value)
    return {**batch, **found} if found else batch, frozenset(found)


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "iloc")


def _has(table: Any, modality: "Modality") -> bool:
    return modality.columns is not None and all(name in table.columns for name in modality.columns.names)


def holds_texts(value: Any) -> bool:
    """Returns whether a value is a list, array or string tensor of texts, but not a single text or bytes."""
    if tf.is_tensor(value):
        return value.dtype == tf.string
    if isinstance(value, str | bytes):
        return False
    if not isinstance(value, list | tuple | np.ndarray) and not hasattr(value, "to_numpy"):
        return False
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OSUT":
        return False  # decided by dtype, for arrays of any size
    first = value[:1000] if np.ndim(value) else value
    return any(isinstance(cell, str) for cell in np.asarray(first, object).ravel())


def _of_texts(modality: "Modality", value: Any) -> Any:
    if tf.is_tensor(value) and modality.cells.is_text:
        return modality.cells.from_strings(value)
    with extra("tables", "A text in place of a modality's values"):
        import pandas as pd

    (column,) = modality.columns.names
    return modality.cells.encode(pd.DataFrame({column: pd.Series(np.asarray(value, object))}))
