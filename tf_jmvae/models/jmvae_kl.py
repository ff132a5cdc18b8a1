"""JMVAE-kl: an encoder per observable subset, pulled towards the joint one; it learns from incomplete rows, too.

    L_kl = L_JM - alpha * sum_S KL(q(z|x,w) || q(z|S))                          Eq. (10)

As printed, Eq. (10) loses the bracket around the sum and has alpha = 1; arXiv 1611.01891 has alpha, and reports 0.01,
0.1 and 1.

A row that holds only some of the modalities, O, has encoders for O and for all subsets of it already. So it has

    L(O) = E_{q(z|O)}[sum_{m in O} log p(m|z)] - KL(q(z|O) || p(z))
           - alpha * sum_{T < O} KL(q(z|O) || q(z|T))                           Eq. (12), ours

which is Eq. (10) where O is everything, and Eq. (1), the VAE's, where it is one modality; without the last line it is a
lower bound of log p(O).

References:
  [1] Suzuki and Matsuo, section 3.5.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import checks
from tf_jmvae.distributions import conditional_product, diagonal_gaussian, kl_divergence, mapped
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import Encoder
from tf_jmvae.models.jmvae import JMVAE
from tf_jmvae.models.missing import Held
from tf_jmvae.models.objective import Term, Terms
from tf_jmvae.random import sampling
from tf_jmvae.registry import MODELS

Posteriors = dict[tuple[str, ...], tfd.Distribution]
"""q(z | S) by subset S, small ones first, each `[R, D]` of the R rows of a batch that hold S."""


@MODELS.register("jmvae-kl")
@keras.saving.register_keras_serializable("tf_jmvae")
class JMVAEKL(JMVAE):
    """JMVAE-kl, Eq. (10) of [1]: a JMVAE with an encoder for each subset, which needs no iterated sampling.

    It learns from rows that lack some of the modalities that are `optional`, whatever they lack, by Eq. (12): a row
    counts with what it holds. Metrics are means over the rows that have the term: `log_p_w` over those that hold w.

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      alpha: weight of the KL terms to the subset encoders, 0 or more; 1 by default, as in [1]. Small values favour
        the joint bound, large ones generation from a subset.
      subsets: `"all"`, the default, makes an encoder for every non-empty proper subset, at a cost of `2^(K-1) K M`
        parameters for K modalities of M each (section 3.5 of [1]); `"single"` makes K, and combines them by Bayes' rule
        for larger subsets.
      trunk: prototype of a network between the towers and the Gaussian head of every encoder; none by default.

    Examples:
      >>> model = JMVAEKL({"x": Modality((28, 28, 1), "bernoulli"), "w": Modality((10,), "categorical")}, 64)
      >>> model.generate({"w": labels}, seed=1)["x"]
    """

    incomplete_rows = True

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        alpha: float = 1.0,
        subsets: str = "all",
        trunk: keras.layers.Layer | None = None,
        **kwargs: Any,
    ):
        alpha = checks.non_negative_number("alpha", alpha)
        checks.check_option("subsets", subsets, ("all", "single"))
        super().__init__(modalities, latent_dim, trunk=trunk, **kwargs)
        self.alpha = alpha
        self.subsets = subsets
        largest = len(self.modalities) - 1 if subsets == "all" else 1
        self.subset_encoders = {}
        for size in range(1, largest + 1):
            for names in itertools.combinations(self.modalities, size):
                own, subset = {name: self.modalities[name] for name in names}, _join(names)
                self.subset_encoders[subset] = Encoder(own, self.latent_dim, trunk, f"subset_encoder_{subset}")

    def objective(self, batch, seed, training=False):
        """Computes the terms of Eq. (12), `[B]` each, in nats, with one sample of z; of complete rows Eq. (10) of [1].

        A term is 0 in rows that do not have it.
        """
        held = self._held(batch)
        posteriors = self._posteriors(held, training)
        q = self._own(held, posteriors)
        p = self._decoded(held, sampling.draw(q, seed), training)
        return self._kl_terms(held, q, posteriors, p, training)

    def _kl_terms(self, held, q, posteriors, p, training) -> Terms:
        """The terms of Eq. (12), with O what a row holds, from q(z|O), every q(z|T), and p(m|z) of the rows with m."""
        # As large as q, and q itself in rows without T, so that the KL is 0 there.
        q_of = {names: mapped(held.rows(names).into, q, q_t) for names, q_t in posteriors.items()}
        return {
            **self._terms(held, q, p, training),  # E_{q(z|O)}[sum_{m in O} log p(m|z)] - KL(q(z|O) || p(z))
            **{  # - alpha sum_{T < O} KL(q(z|O) || q(z|T))
                f"kl_{name}": Term(
                    -self.alpha, kl_divergence(q, q_of[t.names]), in_elbo=False, rows=held.beyond(t.names)
                )
                for name, t in self.subset_encoders.items()
            },
        }

    def posterior(self, observed, *, iterated_sampling=None, seed=None, training=False):
        """Computes q(z | observed) by the encoder of that subset or the product of several; nothing is iterated.

        Rows that lack some of what is observed have that of what they hold.
        """
        held = self._held(self.checked(observed))
        return self._own(held, self._posteriors(held, training, only_own=True))

    def iterates(self, observed, iterated_sampling=None):
        return False  # there is an encoder for what is observed

    def _posteriors(self, held: Held, training: bool, *, only_own: bool = False) -> Posteriors:
        """q(z | S) of every subset S of the batch's modalities that has an encoder, or of those that `_own` needs."""
        posteriors = {}
        for encoder in (*self.subset_encoders.values(), self.encoder):
            names = encoder.names
            needed = not only_own or held.required <= set(names) or self._multiplies(held)
            if needed and set(names) <= set(held.names):
                with held.rows(names).seen_by(encoder, training):
                    posteriors[names] = encoder(held.of(names), training=training)
        return posteriors

    def _own(self, held: Held, posteriors: Posteriors) -> tfd.Distribution:
        """q(z | O), `[B, D]`, with O what a row holds; the prior where that is nothing."""
        shape = (tf.shape(held.batch[held.names[0]])[0], self.latent_dim)
        q = prior = diagonal_gaussian(tf.zeros(shape), tf.ones(shape))
        for names, q_s in posteriors.items():  # small subsets first: the last that a row holds is all that it holds
            q = mapped(held.rows(names).into, q, q_s)
        if not self._multiplies(held):
            return q
        experts = [mapped(held.rows([name]).into, prior, posteriors[name,]) for name in held.names]
        product = conditional_product(experts, [held.present(name) for name in held.names])
        several = tf.reshape((held.count > 1) & (held.count < len(self.modalities)), (-1, 1))
        return mapped(lambda whole, of_several: tf.where(several, of_several, whole), q, product)

    def _multiplies(self, held: Held) -> bool:
        """Whether a row may hold several modalities for which there is no encoder."""
        sizes = range(max(len(held.required), 2), min(len(held.names), len(self.modalities) - 1) + 1)
        return self.subsets == "single" and len(sizes) > 0

    def _decoded(self, held: Held, z: tf.Tensor, training: bool) -> dict[str, tfd.Distribution]:
        """p(m | z) of every modality m, each of the rows that hold it."""
        p = {}
        for name, decoder in self.decoders.items():
            rows = held.rows([name])
            with rows.seen_by(decoder, training):
                p |= self.likelihoods(rows.of(z), names=[name], training=training)
        return p

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "subsets": self.subsets}


def _join(names: Iterable[str]) -> str:
    return "_and_".join(names)
