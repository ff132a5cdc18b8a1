"""Diagonal Gaussians over z: construction, exact KL, product of experts.

Every latent distribution of the package is built by `diagonal_gaussian`, so the KL divergence is exact wherever it is
used.

References:
  [1] Suzuki and Matsuo, Eq. (2), (5), (9), (10): the Gaussians and their KL terms.
  [2] Hinton, Training products of experts by minimizing contrastive divergence, 2002.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow_probability import distributions as tfd

__all__ = ["conditional_product", "diagonal_gaussian", "kl_divergence", "standard_gaussian"]


def diagonal_gaussian(mean: tf.Tensor, variance: tf.Tensor, event_ndims: int = 1) -> tfd.Distribution:
    """Makes the Gaussian N(mean, diag(variance)) over the last `event_ndims` axes, Eq. (2) of [1].

    Args:
      mean: float tensor `[..., *event_shape]`.
      variance: float tensor of the VARIANCE, not the stddev; broadcasts with `mean`.
      event_ndims: number of trailing axes that form one event; 1 by default.

    Returns:
      A `tfp.distributions.Independent` Normal; `log_prob` is in nats per event.
    """
    return tfd.Independent(tfd.Normal(mean, tf.sqrt(variance)), event_ndims)


def standard_gaussian(dim: int) -> tfd.Distribution:
    """Makes the prior p(z) = N(0, I).

    Args:
      dim: D, the number of entries of z, a positive integer.

    Returns:
      A `diagonal_gaussian` with event shape `[D]` and no batch axis.
    """
    return diagonal_gaussian(tf.zeros([dim]), tf.ones([dim]))


def kl_divergence(q: tfd.Distribution, p: tfd.Distribution) -> tf.Tensor:
    """Computes KL(q || p) of two diagonal Gaussians in closed form, in nats per example.

    Args:
      q: a `diagonal_gaussian` with batch shape `[...]`.
      p: a `diagonal_gaussian` whose batch shape broadcasts with that of `q`.

    Returns:
      Float tensor `[...]`, summed over the event axes, 0 or more but for rounding.

    Raises:
      TypeError: if either is no diagonal Gaussian; its KL would not be exact.
    """
    for name, distribution in (("q", q), ("p", p)):
        base = getattr(distribution, "distribution", None)
        if not isinstance(base, tfd.Normal):
            raise TypeError(
                f"kl_divergence expects diagonal Gaussians; {name} is {distribution!r}. "
                "Build it with tf_jmvae.distributions.diagonal_gaussian."
            )
    return tfd.kl_divergence(q, p)


def mapped(function: Callable[..., tf.Tensor], *gaussians: tfd.Distribution) -> tfd.Distribution:
    """The diagonal Gaussian whose mean and stddev are a function of those of others, such as some of their rows."""
    means, stddevs = ([getattr(gaussian.distribution, key) for gaussian in gaussians] for key in ("loc", "scale"))
    normal = tfd.Normal(function(*means), function(*stddevs))
    return tfd.Independent(normal, gaussians[0].reinterpreted_batch_ndims)


def conditional_product(
    experts: Sequence[tfd.Distribution], present: Sequence[tf.Tensor] | None = None
) -> tfd.Distribution:
    r"""Computes q(z|S), for several modalities S, as a product of one posterior q(z|m) per modality m.

    The modalities are independent given z, so by Bayes' rule

      p(z|S)  \propto  p(z)^(1 - |S|)  prod_{m in S} p(z|m),

    with p(z) = N(0, I): the precisions add and the prior's is taken out |S| - 1 times. A plain product of experts would
    count the prior |S| times. Learned experts need not be posteriors of one model, so the precision is kept at 1, the
    prior's, or more.

    Args:
      experts: sequence of diagonal Gaussians of one shape, `[..., D]`.
      present: for each expert 1 where it counts and 0 where it does not, `[..., 1]`; by default all count everywhere.

    Returns:
      A diagonal Gaussian, `[..., D]`; the prior where no expert counts.
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
