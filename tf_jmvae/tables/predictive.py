"""What a model expects in every cell of a row given what the row holds, and how sure it is."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import gaps
from tf_jmvae.distributions import without_noise
from tf_jmvae.models import MultimodalVAE, compiled

PROBABILITY, SPREAD = "probability", "spread"

Arrays = Mapping[str, np.ndarray]
Cells = dict[Any, np.ndarray]


def of(model: MultimodalVAE, num_samples: int) -> Callable[[Arrays, np.ndarray], Cells]:
    """Makes a function from values of rows and their seeds to cells of every column.

    Args:
      model: Model whose modalities have columns.
      num_samples: Number of samples of z behind each mean.

    Returns:
      A function of arrays `[B, *event_shape]` by modality, NaN in the gaps, and seeds, int32 `[B, 2]`. It gives arrays
      `[B]` by column, by `(column, "probability")` and by `(column, "spread")`.
    """

    def given(observed, row_seeds):
        q = model.posterior(observed, seed=row_seeds)
        noise = model.latent_noise(q, row_seeds, num_samples)
        return _said(model, model.draw_latents(q, noise), model.draw_latents(q, without_noise(q, None)))

    def of_nothing(_, seed):
        z = model.prior().sample((1, num_samples), seed=seed)
        return _said(model, z, tf.zeros_like(z[:, 0]))

    def ask(function, *tensors):
        return compiled.call(model, (function.__name__, num_samples), function, *tensors)

    def say(values: Arrays, row_seeds: np.ndarray) -> Cells:
        held = gaps.rows_with_any(values.values())
        found: Cells = {}
        if held.any():
            observed = model.checked(model.preprocess({name: array[held] for name, array in values.items()}))
            _put(found, held, _cells(model, ask(given, observed, tf.constant(row_seeds[held]))))
        if not held.all():
            _put(found, ~held, _cells(model, ask(of_nothing, {}, tf.zeros(2, tf.int32))))
        return found

    return say


def _said(model: MultimodalVAE, z: tf.Tensor, middle: tf.Tensor) -> dict[str, dict[str, tf.Tensor]]:
    """By modality means and variances over z `[B, S, D]`, or the best at its middle `[B, D]` and its probability."""
    of_samples, of_middle = model.likelihoods(z), model.likelihoods(middle)
    found = {}
    for name, modality in model.modalities.items():
        p = of_samples[name]
        if modality.cells.averages:
            means, variances = p.mean(), p.variance()
            mean = tf.reduce_mean(means, axis=1)
            variance = tf.reduce_mean(variances, axis=1) + tf.math.reduce_variance(means, axis=1)
            found[name] = {"value": mean, "stddev": tf.sqrt(variance)}
        else:
            best = of_middle[name].mean()
            found[name] = {"value": best}
            if modality.cells.is_text:
                found[name]["probability"] = tf.reduce_mean(tf.exp(p.log_prob(best[:, None])), axis=1)
    return found


def _cells(model: MultimodalVAE, said: Mapping[str, Mapping[str, tf.Tensor]]) -> Cells:
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
