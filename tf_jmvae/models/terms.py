"""What models maximise: a weighted sum of named terms."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

__all__ = ["Batch", "Term", "elbo", "log_likelihoods", "total"]

Batch = Mapping[str, tf.Tensor]
"""Tensors by modality, `[B, ...]`."""


class Term(NamedTuple):
    """One term of an objective.

    Attributes:
      coefficient: the factor of the term in the equation, a number such as -1 for a KL divergence.
      value: `[B]`, in nats per example, with its natural sign (a KL divergence is positive).
      to_prior: whether it is a KL to the prior, which KL warm-up scales in the loss; False by default.
      in_elbo: whether it belongs to the ELBO, True by default; what is maximised besides, as in Eq. (10), does not.
    """

    coefficient: float
    value: tf.Tensor
    to_prior: bool = False
    in_elbo: bool = True


def log_likelihoods(p: Mapping[str, tfd.Distribution], batch: Batch) -> dict[str, Term]:
    """E_q[log p(m | z)] of every modality m in `p`, estimated by the sample of z that `p` was decoded from."""
    return {f"log_p_{name}": Term(1.0, likelihood.log_prob(batch[name])) for name, likelihood in p.items()}


def total(terms: Iterable[Term]) -> tf.Tensor:
    """Their weighted sum, `[B]`."""
    return sum(term.coefficient * term.value for term in terms)


def elbo(terms: Mapping[str, Term]) -> tf.Tensor:
    """The sum of those in the ELBO, `[B]`."""
    return total(term for term in terms.values() if term.in_elbo)
