"""What a model expects of each modality of a row given what the row holds, and how sure it is.

With O what the row holds, and z_i from q(z | O),

    E[f(z) | O] = sum_i w_i f(z_i) / sum_i w_i,    w_i = (p(O | z_i) p(z_i) / q(z_i | O))^t

which for t = 1 is what p(z | O) says, however far from it q(z | O) is [1]. Where so few z_i bear all the weight that
their mean would be a guess, t is smaller: as large as leaves a fifth of the samples. Pictures, texts and arrays would
have to be decoded from every z_i, and beside their many entries few would bear weight: models of these have t = 0.

References:
  [1] Mattei and Frellsen, MIWAE: deep generative modelling and imputation of incomplete data sets, 2019 (arXiv
      1812.02633), Eq. (12).
"""

from collections.abc import Mapping

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import diagonal_gaussian, from_noise, without_noise
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.models.missing import log_prob

_EFFECTIVE = 0.2  # smallest effective part of the samples
_NO_WEIGHT = -1e30  # the log of one
_HALVINGS = 20  # of the interval that t lies in

Expected = dict[str, dict[str, tf.Tensor]]


def given(model: MultimodalVAE, observed: Mapping[str, tf.Tensor], row_seeds: tf.Tensor, num_samples: int) -> Expected:
    """Expectations given what rows hold, in the graph.

    Args:
      model: Model whose modalities have columns.
      observed: Tensors `[B, *event_shape]` of all modalities, NaN in the gaps.
      row_seeds: Seeds of the rows, int32 `[B, 2]`.
      num_samples: Number of samples of z behind each mean.

    Returns:
      By modality `"value"`, `[B, *event_shape]`: the mean over p(m | z_i), or of texts, pictures and arrays the mean of
      p(m | z) at the mean of q(z | O). Beside it `"stddev"`, as long, or of texts `"probability"`, `[B]`.
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
    """Expectations of rows of which nothing is known, over samples of the prior, as `given` has them.

    Args:
      model: Model whose modalities have columns.
      row_seeds: Seeds of the rows, int32 `[B, 2]`.
      num_samples: Number of samples of z behind each mean.
    """
    zeros = tf.zeros((tf.shape(row_seeds)[0], model.prior().event_shape[-1]))
    prior = diagonal_gaussian(zeros, tf.ones_like(zeros))
    z = model.draw_latents(prior, model.latent_noise(prior, row_seeds, num_samples))
    return _expected(model, model.likelihoods(z), _equal(num_samples), model.draw_latents(prior, zeros))


def importance(log_weights: tf.Tensor) -> tf.Tensor:
    """Normalised weights `[B, S]` of log weights `[B, S]`, to the power t that leaves a fifth of the samples.

    Where no log weight is finite, as of a row that cannot be, all samples weigh the same.
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
    """With weights `[B, S]` of the samples behind `of_samples`, and the middle of z, `[B, D]`."""
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
