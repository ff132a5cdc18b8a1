"""What a model expects in every cell of a row given what the row holds, and how sure it is.

With O what the row holds, and z_i from q(z | O),

    E[f(z) | O] = sum_i w_i f(z_i) / sum_i w_i,    w_i = (p(O | z_i) p(z_i) / q(z_i | O))^t

which for t = 1 is what p(z | O) says, however far from it q(z | O) is [1]. Where so few z_i bear all the weight that
their mean would be a guess, t is smaller: as large as leaves a fifth of the samples. Pictures, texts and arrays would
have to be decoded from every z_i, and beside their many entries few would bear weight: models of these have t = 0.

References:
  [1] Mattei and Frellsen, MIWAE: deep generative modelling and imputation of incomplete data sets, 2019 (arXiv
      1812.02633), Eq. (12).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import gaps
from tf_jmvae.distributions import from_noise, without_noise
from tf_jmvae.models import MultimodalVAE, compiled
from tf_jmvae.models.missing import log_prob

PROBABILITY, SPREAD = "probability", "spread"

_EFFECTIVE = 0.2  # smallest effective part of the samples
_HALVINGS = 20  # of the interval that t lies in

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

    equal = np.full((1, num_samples), 1 / num_samples, np.float32)

    def given(observed, row_seeds):
        q = model.posterior(observed, seed=row_seeds)
        middle, noise = model.draw_latents(q, without_noise(q, None)), model.latent_noise(q, row_seeds, num_samples)
        if not all(modality.cells.averages for modality in model.modalities.values()):
            return _said(model, model.likelihoods(model.draw_latents(q, noise)), equal, middle)
        z = from_noise(q, noise)
        p = model.likelihoods(z)
        log_q = tf.transpose(q.log_prob(tf.transpose(z, (1, 0, 2))))
        held = [log_prob(model.modalities[name], p[name], x[:, None]) for name, x in observed.items()]
        weights = importance(tf.add_n(held) + model.prior().log_prob(z) - log_q)
        return _said(model, p, weights, middle)

    def of_nothing(_, seed):
        z = model.prior().sample((1, num_samples), seed=seed)
        return _said(model, model.likelihoods(z), equal, tf.zeros_like(z[:, 0]))

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


def importance(log_weights: tf.Tensor) -> tf.Tensor:
    """Normalised weights `[B, S]` of log weights `[B, S]`, to the power t that leaves a fifth of the samples."""

    def effective(t):
        return tf.exp(2 * tf.reduce_logsumexp(t * log_weights, 1) - tf.reduce_logsumexp(2 * t * log_weights, 1))

    least = _EFFECTIVE * tf.cast(tf.shape(log_weights)[1], log_weights.dtype)
    low = tf.zeros_like(log_weights[:, :1])
    high = tf.ones_like(low)
    for _ in range(_HALVINGS):  # effective(t) falls from S at t = 0
        middle = (low + high) / 2
        enough = (effective(middle) >= least)[:, None]
        low, high = tf.where(enough, middle, low), tf.where(enough, high, middle)
    t = tf.where((effective(tf.ones_like(low)) >= least)[:, None], 1.0, low)
    return tf.nn.softmax(t * log_weights, axis=1)


def _said(
    model: MultimodalVAE, of_samples: Mapping[str, tfd.Distribution], weights: tf.Tensor, middle: tf.Tensor
) -> dict[str, dict[str, tf.Tensor]]:
    """By modality means and variances over p(m | z_i) with weights `[B, S]`, or the best at the middle of z, `[B, D]`.

    Of texts also the probability of the best.
    """
    of_middle, found = model.likelihoods(middle), {}
    for name, modality in model.modalities.items():
        p = of_samples[name]
        if modality.cells.averages:
            means, variances = p.mean(), p.variance()
            own = tf.reshape(weights, (*tf.unstack(tf.shape(weights)), *[1] * (means.shape.rank - 2)))
            mean = tf.reduce_sum(own * means, axis=1)
            variance = tf.reduce_sum(own * (variances + (means - mean[:, None]) ** 2), axis=1)
            found[name] = {"value": mean, "stddev": tf.sqrt(variance)}
        else:
            best = of_middle[name].mean()
            found[name] = {"value": best}
            if modality.cells.is_text:
                found[name]["probability"] = tf.reduce_sum(weights * tf.exp(p.log_prob(best[:, None])), axis=1)
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
