"""Sampling of distributions over a batch, with one seed or a seed for each row."""

from collections.abc import Callable

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distribute import replicas
from tf_jmvae.distributions import NoiseTransform, UniformTransform
from tf_jmvae.random import seeds

# Above this rate, a rounded normal distribution function is within 6.7e-4, 0.067 / sqrt(rate), of the Poisson one.
_LARGE_RATE = 1e4
_MOST_HALVINGS = 40  # bisection steps between 0 and the largest likely count


def draw(distribution: tfd.Distribution, seed: tf.Tensor, num_samples: int | None = None) -> tf.Tensor:
    """Samples a distribution with batch shape `[B, ...]`.

    Returns one sample for each row, `[B, ..., *event_shape]`, or S samples, `[B, S, ..., *event_shape]`. The seed is
    int32 `[2]`, or `[B, 2]`: then a row's samples depend on its own seed only, and distributions other than those of
    the package's heads are sampled row by row. Within a training step on several replicas, the samples of a normal
    distribution are the shard of those that one device would draw; other distributions use a seed for each row.
    """
    if isinstance(distribution, NoiseTransform):
        return distribution.from_noise(standard_normal(distribution, seed, num_samples))
    shard = replicas.current_shard()
    if shard is not None and not seeds.are_by_row(seed):
        if num_samples is None and isinstance(_innermost(distribution), tfd.Normal):
            return _normal_shard(distribution, seed, shard)
        seed = shard.of(tf.random.split(seed, shard.total))
    if seeds.are_by_row(seed):
        samples = _draw_by_row(distribution, seed, 1 if num_samples is None else num_samples)
        return samples[:, 0] if num_samples is None else samples
    if num_samples is None:
        return distribution.sample(seed=seed)
    samples = distribution.sample(num_samples, seed=seed)
    return tf.transpose(samples, (1, 0, *range(2, samples.shape.rank)))


def standard_normal(like: tfd.Distribution, seed: tf.Tensor, num_samples: int | None = None) -> tf.Tensor:
    """Samples the noise from which `draw` computes samples of a normal distribution with the shape of `like`."""
    return draw(_standard(like, like.batch_shape_tensor()), seed, num_samples)


def _standard(like: tfd.Distribution, batch_shape: tf.Tensor) -> tfd.Distribution:
    """Returns a standard normal distribution with the event shape and dtype of `like`."""
    shape = tf.concat([batch_shape, like.event_shape_tensor()], 0)
    static = [*like.batch_shape, *like.event_shape]
    zeros, ones = (tf.ensure_shape(tf.fill(shape, tf.constant(x, like.dtype)), [None, *static[1:]]) for x in (0, 1))
    return tfd.Independent(tfd.Normal(zeros, ones), like.event_shape.rank)


def _innermost(distribution: tfd.Distribution) -> tfd.Distribution:
    while isinstance(distribution, tfd.Independent):
        distribution = distribution.distribution
    return distribution


def _normal_shard(distribution: tfd.Distribution, seed: tf.Tensor, shard: replicas.Shard) -> tf.Tensor:
    """Samples this replica's shard of the sample that one device would draw for the global batch."""
    base = _innermost(distribution)
    whole = _standard(distribution, tf.concat([[shard.total], distribution.batch_shape_tensor()[1:]], 0))
    return base.loc + base.scale * tf.ensure_shape(shard.of(whole.sample(seed=seed)), base.batch_shape)


def _draw_by_row(distribution: tfd.Distribution, seed: tf.Tensor, num_samples: int) -> tf.Tensor:
    base = _innermost(distribution)
    for kind, (noise, transform) in _BY_KIND.items():
        if isinstance(base, kind):
            shape = tf.concat([base.batch_shape_tensor(), base.event_shape_tensor()], 0)
            numbers = noise(seed, num_samples * tf.reduce_prod(shape[1:]))
            numbers = tf.reshape(numbers, tf.concat([shape[:1], [num_samples], shape[1:]], 0))

            def parameter(value: tf.Tensor, shape: tf.Tensor = shape) -> tf.Tensor:
                return tf.broadcast_to(value, shape)[:, None]  # the sample axis comes second

            samples = tf.cast(transform(base, numbers, parameter), base.dtype)
            static = base.batch_shape.concatenate(base.event_shape)
            return tf.ensure_shape(samples, (static[0], num_samples, *static[1:]))

    def row(index):
        return distribution[index : index + 1].sample(num_samples, seed=seed[index])[:, 0]

    shape = (num_samples, *distribution.batch_shape[1:], *distribution.event_shape)
    return tf.map_fn(row, tf.range(tf.shape(seed)[0]), fn_output_signature=tf.TensorSpec(shape, distribution.dtype))


def _categorical(distribution, noise, parameter):
    """Samples one-hot events by the Gumbel-max trick."""
    gumbel = -tf.math.log(-tf.math.log(tf.maximum(noise, 1e-30)))
    perturbed = parameter(distribution.logits_parameter()) + gumbel
    return tf.one_hot(tf.argmax(perturbed, axis=-1), perturbed.shape[-1])


def _laplace(distribution, noise, parameter):
    """Samples by the inverse distribution function of uniform noise."""
    centred = tf.clip_by_value(noise - 0.5, -0.5 + 1e-7, 0.5 - 1e-7)
    deviation = -tf.sign(centred) * tf.math.log1p(-2.0 * tf.abs(centred))
    return parameter(distribution.loc) + parameter(distribution.scale) * deviation


def _poisson(distribution, noise, parameter):
    """Samples the smallest count k with P(count <= k) >= noise; for large rates a rounded normal number."""
    rate = parameter(distribution.rate_parameter())
    small = tf.minimum(rate, _LARGE_RATE)
    most = tf.math.ceil(small + 8.0 * tf.sqrt(small) + 30.0)
    count = least_count(lambda count: tf.math.igammac(count + 1.0, small), noise, most)
    centred = tf.math.ndtri(tf.clip_by_value(noise, 1e-7, 1.0 - 1e-7))
    normal = tf.round(tf.maximum(rate + tf.sqrt(rate) * centred, 0.0))
    return tf.where(rate < _LARGE_RATE, count, normal)


def least_count(cumulative: Callable[[tf.Tensor], tf.Tensor], noise: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """Finds by bisection the smallest integer up to `most` where a distribution function reaches the noise."""

    def halve(step, below, above):
        middle = tf.floor((below + above) / 2.0)
        reached = cumulative(middle) >= noise
        return step + 1, tf.where(reached, below, middle), tf.where(reached, middle, above)

    def wide(step, below, above):
        return (step < _MOST_HALVINGS) & tf.reduce_any(above - below > 1.0)

    return tf.while_loop(wide, halve, (0, -tf.ones_like(most), most))[2]


# Sampler of the noise of each row, and function of the distribution, its noise `[B, S, ...]`, and a function that
# broadcasts a parameter to the noise.
_BY_KIND: dict[type[tfd.Distribution], tuple[Callable, Callable]] = {
    tfd.Normal: (seeds.normal, lambda one, noise, parameter: parameter(one.loc) + parameter(one.scale) * noise),
    tfd.Bernoulli: (seeds.uniform, lambda one, noise, parameter: noise < parameter(one.probs_parameter())),
    tfd.OneHotCategorical: (seeds.uniform, _categorical),
    tfd.Laplace: (seeds.uniform, _laplace),
    tfd.Poisson: (seeds.uniform, _poisson),
    UniformTransform: (seeds.uniform, lambda distribution, noise, _: distribution.from_uniform(noise)),
}
