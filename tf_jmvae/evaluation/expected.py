"""Conditional expectations of each modality given the observed part of a row, with their uncertainty.

With O the modalities that the row holds, and z_i ~ q(z | O),

    E[f(z) | O] = sum_i w_i f(z_i) / sum_i w_i,    w_i = (p(O | z_i) p(z_i) / q(z_i | O))^t

which for t = 1 estimates the expectation under p(z | O), even if q(z | O) differs from it [1]. If so few z_i carry all
the weight that their mean would be unreliable, t is reduced to the largest value with an effective sample size of a
fifth of the samples. Images, texts and arrays would have to be decoded from every z_i, and with their many entries few
z_i would carry weight: models with such modalities have t = 0.

References:
  [1] Mattei and Frellsen, MIWAE: deep generative modelling and imputation of incomplete data sets, 2019 (arXiv
      1812.02633), Eq. (12).
"""

from collections.abc import Mapping

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import from_noise, standard_gaussian, without_noise
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.models.missing import log_prob

_EFFECTIVE = 0.2  # smallest effective sample size, as a fraction of the samples
_NO_WEIGHT = -1e30  # log of a zero weight
_HALVINGS = 20  # bisection steps for t

Expected = dict[str, dict[str, tf.Tensor]]


def given(model: MultimodalVAE, observed: Mapping[str, tf.Tensor], row_seeds: tf.Tensor, num_samples: int) -> Expected:
    """Computes expectations given the modalities that rows hold; works within a graph.

    Args:
      model: `MultimodalVAE` whose modalities have columns.
      observed: dict of tensors `[B, *event_shape]` of all modalities, NaN where values are missing.
      row_seeds: int32 tensor `[B, 2]` of a seed for each row.
      num_samples: number of samples of z behind each mean.

    Returns:
      Dict by modality of `"value"`, `[B, *event_shape]`, the mean over p(m | z_i), or for texts, images and arrays the
      mean of p(m | z) at the mean of q(z | O); and of `"stddev"`, of the same shape, or for texts `"probability"`,
      `[B]`.
    """
    q = model.posterior(observed, seed=row_seeds)
    middle, noise = model.draw_latents(q, without_noise(q, None)), model.latent_noise(q, row_seeds, num_samples)
    if not all(modality.cells.averages for modality in model.modalities.values()):
        return _expected(model, model.likelihoods(model.draw_latents(q, noise)), _equal(num_samples), middle)
    z = from_noise(q, noise)
    p = model.likelihoods(z)
    log_q = tf.transpose(q.log_prob(tf.transpose(z, (1, 0, 2))))
    held = [log_prob(model.modalities[name], p[name], x[:, None]) for name, x in observed.items()]
    return _expected(model, p, importance(tf.add_n(held) + model.prior().log_prob(z) - log_q), middle)


def of_nothing(model: MultimodalVAE, row_seeds: tf.Tensor, num_samples: int) -> Expected:
    """Computes expectations of rows without observed values, over samples of the prior; returns them as `given`.

    Args:
      model: `MultimodalVAE` whose modalities have columns.
      row_seeds: int32 tensor `[B, 2]` of a seed for each row.
      num_samples: number of samples of z behind each mean.
    """
    prior = standard_gaussian(model.latent_size, tf.shape(row_seeds)[0])
    z = model.draw_latents(prior, model.latent_noise(prior, row_seeds, num_samples))
    return _expected(model, model.likelihoods(z), _equal(num_samples), model.draw_latents(prior, without_noise(prior)))


def importance(log_weights: tf.Tensor) -> tf.Tensor:
    """Normalises log weights `[B, S]` raised to the largest power t with an effective sample size of a fifth.

    All samples get equal weights in rows where no log weight is finite.
    """
    log_weights = tf.where(tf.math.is_finite(log_weights), log_weights, _NO_WEIGHT)

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


def _equal(num_samples: int) -> tf.Tensor:
    return tf.fill((1, num_samples), 1 / num_samples)


def _expected(
    model: MultimodalVAE, of_samples: Mapping[str, tfd.Distribution], weights: tf.Tensor, middle: tf.Tensor
) -> Expected:
    """Computes expectations from distributions `of_samples` with weights `[B, S]`, and from the mean z, `[B, D]`."""
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
