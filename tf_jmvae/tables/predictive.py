"""Predictive cells: conditional expectations of every column given the known cells of a row."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import gaps
from tf_jmvae.evaluation import expected
from tf_jmvae.models import MultimodalVAE, compiled

PROBABILITY, SPREAD = "probability", "spread"

Arrays = Mapping[str, np.ndarray]
Cells = dict[Any, np.ndarray]


def of(model: MultimodalVAE, num_samples: int) -> Callable[[Arrays, np.ndarray], Cells]:
    """Returns a function from values of rows and their seeds to cells of every column.

    Args:
      model: `MultimodalVAE` whose modalities have columns.
      num_samples: number of samples of z for each mean.

    Returns:
      Function of a dict of arrays `[B, *event_shape]` by modality, NaN if missing, and int32 seeds `[B, 2]`. It returns
      a dict of arrays `[B]` by column, by `(column, "probability")` and by `(column, "spread")`.
    """

    def given(observed, row_seeds):
        return expected.given(model, observed, row_seeds, num_samples)

    def of_nothing(_, row_seeds):
        return expected.of_nothing(model, row_seeds, num_samples)

    def ask(function, *tensors):
        return compiled.call(model, (function.__name__, num_samples), function, *tensors)

    def say(values: Arrays, row_seeds: np.ndarray) -> Cells:
        held = gaps.rows_with_any(values.values())
        found: Cells = {}
        if held.any():
            observed = model.checked(model.preprocess({name: array[held] for name, array in values.items()}))
            _put(found, held, _cells(model, ask(given, observed, tf.constant(row_seeds[held]))))
        if not held.all():
            _put(found, ~held, _cells(model, ask(of_nothing, {}, tf.constant(row_seeds[~held]))))
        return found

    return say


def _cells(model: MultimodalVAE, said: expected.Expected) -> Cells:
    found: Cells = {}
    for name, own in said.items():
        kind, names = model.modalities[name].cells, model.modalities[name].columns.names
        value = np.asarray(model.postprocess({name: own["value"]})[name])
        found |= kind.decode(value)
        sure = kind.sureness(value)
        found |= {(column, PROBABILITY): p for column, p in sure.items()}
        if "probability" in own:
            found[names[0], PROBABILITY] = own["probability"].numpy()
        elif "stddev" in own and not sure:
            scale = model.standardizations[name].stddev.numpy() if name in model.standardizations else 1.0
            spread = own["stddev"].numpy() * scale
            found |= {(column, SPREAD): s for column, s in zip(names, spread.T, strict=True)}
    return found


def _put(found: Cells, rows: np.ndarray, cells: Cells) -> None:
    for key, value in cells.items():
        found.setdefault(key, np.empty(len(rows), value.dtype))[rows] = value
