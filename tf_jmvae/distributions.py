"""Distributions over z: diagonal Gaussians, transforms of noise, KL divergence and products of experts.

Every Gaussian over z is built by `diagonal_gaussian`, so that KL divergences between them are exact.

References:
  [1] Suzuki and Matsuo, Eq. (2), (5), (9), (10): the Gaussians and their KL terms.
  [2] Hinton, Training products of experts by minimizing contrastive divergence, 2002.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

__all__ = ["conditional_product", "diagonal_gaussian", "from_noise", "kl_divergence", "standard_gaussian"]

_VARIANCE_SAMPLES = 64


def diagonal_gaussian(mean: tf.Tensor, variance: tf.Tensor, event_ndims: int = 1) -> tfd.Distribution:
    """Returns the Gaussian N(mean, diag(variance)) over the last `event_ndims` axes, Eq. (2) of [1].

    Args:
      mean: float tensor `[..., *event_shape]`.
      variance: float tensor of the variance (not the stddev), which broadcasts with `mean`.
      event_ndims: number of trailing axes that form one event; 1 by default.

    Returns:
      A `tfp.distributions.Independent` Normal; `log_prob` is in nats per event.
    """
    return tfd.Independent(tfd.Normal(mean, tf.sqrt(variance)), event_ndims)


def standard_gaussian(dim: int, rows: int | tf.Tensor | None = None) -> tfd.Distribution:
    """Returns the prior p(z) = N(0, I).

    Args:
      dim: D, the number of entries of z, a positive integer.
      rows: B, the number of rows; None, the default, for no batch axis.

    Returns:
      A `diagonal_gaussian` with event shape `[D]`, and batch shape `[B]` or none.
    """
    shape = (dim,) if rows is None else (rows, dim)
    return diagonal_gaussian(tf.zeros(shape), tf.ones(shape))


class NoiseTransform(tfd.Distribution):
    """Base class of distributions over z, `[B, D]`, whose samples are a function of standard normal noise.

    A subclass defines `from_noise` and `_log_prob`. `mean` is not the expectation but the value of z at zero noise,
    because the expectation may lie between modes, where the density is low. `variance` is a Monte Carlo estimate,
    always from the same noise.
    """

    def __init__(
        self, batch_shape_tensor: Callable, batch_shape: tf.TensorShape, event_shape: tf.TensorShape, parameters: dict
    ):
        self._batch_shape_of, self._shapes = batch_shape_tensor, (batch_shape, event_shape)
        super().__init__(
            tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=type(self).__name__,
        )

    def from_noise(self, noise: tf.Tensor) -> tf.Tensor:
        """Computes z, `[B, D]` or `[B, S, D]`, from standard normal noise of that shape."""
        raise NotImplementedError(f"{type(self).__name__} must define from_noise()")

    def kl_estimate(self, p: tfd.Distribution, z: tf.Tensor) -> tf.Tensor:
        """Estimates KL(self || p), `[B]`, from z, `[B, D]`, a sample of this distribution."""
        return self.log_prob(z) - p.log_prob(z)

    def _batch_shape_tensor(self, **_):
        return self._batch_shape_of()

    def _batch_shape(self):
        return self._shapes[0]

    def _event_shape_tensor(self, **_):
        return tf.constant(self._shapes[1], tf.int32)

    def _event_shape(self):
        return self._shapes[1]

    def _sample_n(self, n, seed=None):
        shape = tf.concat([self.batch_shape_tensor(), [n], self.event_shape], axis=0)
        noise = tf.random.stateless_normal(shape, tfp.random.sanitize_seed(seed))
        return tf.transpose(self.from_noise(tf.ensure_shape(noise, (None, None, *self.event_shape))), (1, 0, 2))

    def _mean(self):
        return self.from_noise(without_noise(self))

    def _variance(self):
        half = tf.random.stateless_normal((_VARIANCE_SAMPLES // 2, *self.event_shape), (0, 0))
        noise = tf.concat([half, -half], axis=0) + without_noise(self, 1)
        return tf.math.reduce_variance(self.from_noise(noise), axis=1)

    def _stddev(self):
        return tf.sqrt(self._variance())


class UniformTransform(tfd.Distribution):
    """Base class of distributions over events whose samples are a function of uniform numbers, one for each entry.

    A subclass defines `from_uniform`, and `_log_prob` and shapes unless it also inherits from a TFP distribution:
    `class Mine(UniformTransform, tfd.Beta)`. With a seed for each row, all rows are then sampled at once, also under
    XLA, which lacks some of TFP's samplers.
    """

    def from_uniform(self, noise: tf.Tensor) -> tf.Tensor:
        """Computes samples, `[B, S, ..., *event_shape]`, from numbers in [0, 1) of that shape."""
        raise NotImplementedError(f"{type(self).__name__} must define from_uniform()")

    def beside(self, noise: tf.Tensor, *parameters: tf.Tensor) -> list[tf.Tensor]:
        """Broadcasts parameters `[B, ...]` of scalar events to the shape of noise `[B, S, ...]`, in its dtype."""
        axes = [parameter[:, None] if parameter.shape.rank else parameter for parameter in parameters]
        return [tf.broadcast_to(tf.cast(parameter, noise.dtype), tf.shape(noise)) for parameter in axes]

    def _sample_n(self, n, seed=None):
        batch, event = self.batch_shape_tensor(), self.event_shape_tensor()
        rows = tf.ones([], tf.int32) if batch.shape[0] == 0 else batch[0]
        shape = tf.concat([[rows, n], batch[1:], event], axis=0)
        samples = self.from_uniform(tf.random.stateless_uniform(shape, tfp.random.sanitize_seed(seed)))
        samples = tf.transpose(samples, (1, 0, *range(2, samples.shape.rank)))
        return tf.reshape(samples, tf.concat([[n], batch, event], axis=0))


def from_noise(q: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    """Computes samples of a distribution over z from standard normal noise.

    Args:
      q: distribution over z, `[B, D]`: a `diagonal_gaussian` or the `posterior` of a model.
      noise: float tensor `[B, D]` or `[B, S, D]`; zeros give the mean.

    Returns:
      z, a float tensor of the shape of `noise`: mean + stddev * noise for a Gaussian.
    """
    if isinstance(q, NoiseTransform):
        return q.from_noise(noise)
    mean, stddev = q.mean(), q.stddev()
    if noise.shape.rank > mean.shape.rank:
        mean, stddev = mean[:, None], stddev[:, None]
    return mean + stddev * noise


def without_noise(q: tfd.Distribution, num_samples: int | None = None) -> tf.Tensor:
    """Returns noise of zeros for `from_noise`, `[B, D]`, or `[B, S, D]`."""
    samples = [] if num_samples is None else [num_samples]
    zeros = tf.zeros(tf.concat([q.batch_shape_tensor(), samples, q.event_shape_tensor()], axis=0))
    return tf.ensure_shape(zeros, [*q.batch_shape, *samples, *q.event_shape])


def is_gaussian(q: tfd.Distribution) -> bool:
    """Returns whether q is a diagonal Gaussian."""
    return isinstance(getattr(q, "distribution", None), tfd.Normal)


def kl_divergence(q: tfd.Distribution, p: tfd.Distribution, z: tf.Tensor | None = None) -> tf.Tensor:
    """Computes KL(q || p), in nats per example; in closed form for two diagonal Gaussians.

    Args:
      q: `diagonal_gaussian` with batch shape `[...]`; any distribution if `z` is given.
      p: `diagonal_gaussian` whose batch shape broadcasts with that of `q`; any distribution if `z` is given.
      z: sample of q, `[..., D]`, from which the KL divergence of other distributions than Gaussians is estimated
        without bias; ignored for Gaussians. None by default.

    Returns:
      Float tensor `[...]`, summed over the event axes; non-negative for Gaussians, up to rounding.

    Raises:
      TypeError: if either is not a diagonal Gaussian and `z` is None; its KL would not be exact.
    """
    if is_gaussian(q) and is_gaussian(p):
        (q_mean, q_stddev), (p_mean, p_stddev) = ((g.distribution.loc, g.distribution.scale) for g in (q, p))
        ratio, distance = q_stddev / p_stddev, (q_mean - p_mean) / p_stddev
        entries = 0.5 * (tf.square(ratio) + tf.square(distance) - 1.0) - tf.math.log(ratio)
        return tf.reduce_sum(entries, range(-q.event_shape.rank, 0))
    if z is not None:
        return q.kl_estimate(p, z) if isinstance(q, NoiseTransform) else q.log_prob(z) - p.log_prob(z)
    name, distribution = ("p", p) if is_gaussian(q) else ("q", q)
    raise TypeError(
        f"kl_divergence expects diagonal Gaussians; {name} is {distribution!r}. Build it with "
        "tf_jmvae.distributions.diagonal_gaussian, or pass a sample of q as z for an estimate."
    )


def mapped(function: Callable[..., tf.Tensor], *gaussians: tfd.Distribution) -> tfd.Distribution:
    """Returns the diagonal Gaussian whose mean and stddev are a function of those of others, such as selected rows."""
    means, stddevs = ([getattr(gaussian.distribution, key) for gaussian in gaussians] for key in ("loc", "scale"))
    normal = tfd.Normal(function(*means), function(*stddevs))
    return tfd.Independent(normal, gaussians[0].reinterpreted_batch_ndims)


def conditional_product(
    experts: Sequence[tfd.Distribution], present: Sequence[tf.Tensor] | None = None
) -> tfd.Distribution:
    r"""Computes q(z|S), for several modalities S, as a product of one posterior q(z|m) per modality m.

    The modalities are independent given z, so by Bayes' rule

      p(z|S)  \propto  p(z)^(1 - |S|)  prod_{m in S} p(z|m),

    with p(z) = N(0, I): the precisions add, and the prior's is subtracted |S| - 1 times. A plain product of experts
    would count the prior |S| times. Learned experts may not be posteriors of one model, so the precision is bounded
    from below by 1, that of the prior.

    Args:
      experts: sequence of diagonal Gaussians of one shape, `[..., D]`.
      present: for each expert a float tensor `[..., 1]`, 1 where it is included and 0 where not; None, the default,
        includes all.

    Returns:
      Diagonal Gaussian, `[..., D]`; the prior where no expert is included.
    """
    means = [expert.mean() for expert in experts]
    precisions = [1.0 / expert.variance() for expert in experts]
    count: tf.Tensor | float = float(len(experts))
    if present is not None:
        precisions = [p * there for p, there in zip(precisions, present, strict=True)]
        count = tf.add_n(list(present))
    precision = tf.maximum(tf.add_n(precisions) - (count - 1.0), 1.0)
    weighted = tf.add_n([m * p for m, p in zip(means, precisions, strict=True)])
    return diagonal_gaussian(weighted / precision, 1.0 / precision)
