"""Samples of a distribution over a batch, from one seed or from a seed for each row."""

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae import row_noise, seeds

tfd = tfp.distributions

__all__ = ["draw"]

# A function from a distribution and the noise to samples.
_Transform = Callable[[tfd.Distribution, tf.Tensor], tf.Tensor]


def draw(distribution: tfd.Distribution, seed: tf.Tensor, num_samples: int | None = None) -> tf.Tensor:
    """Samples of a distribution with batch shape `[B, ...]`.

    Args:
      distribution: TFP's, possibly inside `tfd.Independent`.
      seed: int32 `[2]`, or `[B, 2]`: a row's samples then depend on its own seed only. Distributions other than
        those of the package's heads are then sampled one row after another.
      num_samples: S for each row; None for one, without a sample axis.

    Returns:
      `[B, ..., *event_shape]`, or `[B, S, ..., *event_shape]`.
    """
    if seeds.are_by_row(seed):
        samples = _draw_by_row(distribution, seed, 1 if num_samples is None else num_samples)
        return samples[:, 0] if num_samples is None else samples
    if num_samples is None:
        return distribution.sample(seed=seed)
    samples = distribution.sample(num_samples, seed=seed)
    return tf.transpose(samples, (1, 0, *range(2, samples.shape.rank)))


def _draw_by_row(distribution: tfd.Distribution, seed: tf.Tensor, num_samples: int) -> tf.Tensor:
    base = distribution
    while isinstance(base, tfd.Independent):
        base = base.distribution
    for kind, (noise, transform) in _BY_KIND.items():
        if isinstance(base, kind):
            shape = tf.concat([base.batch_shape_tensor(), base.event_shape_tensor()], 0)
            numbers = noise(seed, num_samples * tf.reduce_prod(shape[1:]))
            numbers = tf.reshape(numbers, tf.concat([shape[:1], [num_samples], shape[1:]], 0))
            samples = tf.cast(transform(base, numbers), base.dtype)
            static = base.batch_shape.concatenate(base.event_shape)
            return tf.ensure_shape(samples, (static[0], num_samples, *static[1:]))
    return _one_row_after_another(distribution, seed, num_samples)


def _normal(distribution: tfd.Normal, noise: tf.Tensor) -> tf.Tensor:
    return _samples_second(distribution.loc) + _samples_second(distribution.scale) * noise


def _bernoulli(distribution: tfd.Bernoulli, noise: tf.Tensor) -> tf.Tensor:
    return noise < _samples_second(distribution.probs_parameter())


def _categorical(distribution: tfd.OneHotCategorical, noise: tf.Tensor) -> tf.Tensor:
    """The largest of logits with Gumbel noise."""
    gumbel = -tf.math.log(-tf.math.log(tf.maximum(noise, 1e-30)))
    perturbed = _samples_second(distribution.logits_parameter()) + gumbel
    return tf.one_hot(tf.argmax(perturbed, axis=-1), perturbed.shape[-1])


def _laplace(distribution: tfd.Laplace, noise: tf.Tensor) -> tf.Tensor:
    """The inverse of the distribution function, from noise in (-1/2, 1/2)."""
    centred = tf.clip_by_value(noise - 0.5, -0.5 + 1e-7, 0.5 - 1e-7)
    deviation = -tf.sign(centred) * tf.math.log1p(-2.0 * tf.abs(centred))
    return _samples_second(distribution.loc) + _samples_second(distribution.scale) * deviation


def _poisson(distribution: tfd.Poisson, noise: tf.Tensor) -> tf.Tensor:
    """The least count k with P(count <= k) >= noise, by bisection."""
    rate = tf.broadcast_to(_samples_second(distribution.rate_parameter()), tf.shape(noise))
    below = -tf.ones_like(rate)
    above = tf.math.ceil(rate + 12.0 * tf.sqrt(rate) + 30.0)

    def halve(below, above):
        middle = tf.floor((below + above) / 2.0)
        reached = tf.math.igammac(middle + 1.0, rate) >= noise
        return tf.where(reached, below, middle), tf.where(reached, middle, above)

    return tf.while_loop(lambda below, above: tf.reduce_any(above - below > 1.0), halve, (below, above))[1]


def _deterministic(distribution: tfd.Deterministic, noise: tf.Tensor) -> tf.Tensor:
    return _samples_second(distribution.loc) + tf.zeros_like(noise)


def _samples_second(parameter: tf.Tensor) -> tf.Tensor:
    """`[B, ...]` to `[B, 1, ...]`; a scalar stays one."""
    return parameter if parameter.shape.rank == 0 else parameter[:, None]


def _one_row_after_another(distribution: tfd.Distribution, seed: tf.Tensor, num_samples: int) -> tf.Tensor:
    def row(index):
        return distribution[index : index + 1].sample(num_samples, seed=seed[index])[:, 0]

    shape = (num_samples, *distribution.batch_shape[1:], *distribution.event_shape)
    return tf.map_fn(row, tf.range(tf.shape(seed)[0]), fn_output_signature=tf.TensorSpec(shape, distribution.dtype))


_BY_KIND: dict[type[tfd.Distribution], tuple[Callable, _Transform]] = {
    tfd.Normal: (row_noise.normal, _normal),
    tfd.Bernoulli: (row_noise.uniform, _bernoulli),
    tfd.OneHotCategorical: (row_noise.uniform, _categorical),
    tfd.Laplace: (row_noise.uniform, _laplace),
    tfd.Poisson: (row_noise.uniform, _poisson),
    tfd.Deterministic: (row_noise.uniform, _deterministic),
}
