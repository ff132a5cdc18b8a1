"""JMVAE-kl: an encoder per subset, trained towards the joint encoder; it also learns from incomplete rows.

    L_kl = L_JM - alpha * sum_S KL(q(z|x,w) || q(z|S))                          Eq. (10)

As printed, Eq. (10) lacks the brackets around the sum and has alpha = 1; arXiv 1611.01891 has alpha, and reports 0.01,
0.1 and 1.

A row that holds only some modalities, O, has encoders for O and for all its subsets. So its bound is

    L(O) = E_{q(z|O)}[sum_{m in O} log p(m|z)] - KL(q(z|O) || p(z))
           - alpha * sum_{T < O} KL(q(z|O) || q(z|T))                           Eq. (12), ours

which is Eq. (10) if O holds all modalities, and Eq. (1), the VAE's bound, if O is one modality. Without the last line
it is a lower bound of log p(O).

With `subset_learning="pull"` the last line also pulls q(z|O) towards the subset encoders, which loosens the bound. With
`"follow"`, q(z|O) and its samples are constants in that line: q(z|T) is fitted to q(z|O) and nothing else changes, as
in the second stage of [2]. If a Gaussian is too simple for q(z|T), it can be a flow, as in [3].

References:
  [1] Suzuki and Matsuo, section 3.5.
  [2] Vedantam et al., Generative models of visually grounded imagination, 2018 (arXiv 1705.10762): TELBO.
  [3] Senellart, Chadebec and Allassonniere, Improving multimodal joint variational autoencoders through normalizing
      flows and correlation analysis, 2023 (arXiv 2305.11832): JNF.
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import checks
from tf_jmvae._utils.names import subset_name
from tf_jmvae.distributions import conditional_product, is_gaussian, kl_divergence, mapped, standard_gaussian
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import Encoder
from tf_jmvae.models.flow import Flow, flow_of
from tf_jmvae.models.jmvae import JMVAE
from tf_jmvae.models.missing import Held, merged
from tf_jmvae.models.objective import Term, Terms
from tf_jmvae.models.second_stage import copy_joint, freeze_joint
from tf_jmvae.models.shared import SharedEncoders, SharedPosteriors
from tf_jmvae.random import sampling
from tf_jmvae.registry import MODELS

Subset = tuple[str, ...]


class Posteriors(NamedTuple):
    """Posteriors q(z | S) of the subsets S of a batch's modalities."""

    separate: dict[Subset, tfd.Distribution]  # smallest first, each `[R, D]` for the R rows that hold S
    shared: SharedPosteriors | None = None  # of smaller subsets, from encoders on shared towers


@MODELS.register("jmvae-kl")
@keras.saving.register_keras_serializable("tf_jmvae")
class JMVAEKL(JMVAE):
    """JMVAE-kl, Eq. (10) of [1]: a JMVAE with an encoder for each subset, which needs no iterated sampling.

    The model learns from rows that lack some `optional` modalities, by Eq. (12). Metrics are means over the rows that
    have the term: `log_p_w` over the rows that hold w.

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      alpha: weight of the KL terms to the subset encoders, 0 or more; 1 by default, as in [1]. Small values favour
        the joint bound, large values generation from a subset.
      subsets: `"all"`, the default, makes an encoder for every non-empty proper subset, at a cost of `2^(K-1) K M`
        parameters for K modalities of M parameters each (section 3.5 of [1]); `"single"` makes K encoders and combines
        them by Bayes' rule for larger subsets; `"shared"` makes a small head, with one hidden layer, for every subset
        on top of one tower for each modality, so that only the heads grow with 2^K.
      subset_learning: `"pull"`, the default, is Eq. (10), whose KL terms also draw the joint encoder towards the subset
        encoders; with `"follow"` they train the subset encoders only, so that the bound of the joint model is that of
        `JMVAE`, and alpha only scales the gradient of the subset encoders.
      flow: a `Flow`, or its number of couplings, for subset encoders that are normalizing flows; None, the default, for
        Gaussians. Requires an encoder for each subset.
      trunk: prototype of a network between the towers and the Gaussian head of every encoder; none by default.

    Examples:
      >>> model = JMVAEKL({"x": Modality((28, 28, 1), "bernoulli"), "w": Modality((10,), "categorical")}, 64)
      >>> model.generate({"w": labels}, seed=1)["x"]
      >>> JMVAEKL(modalities, 64, alpha=1.0, subset_learning="follow", flow=8)  # sharper images, equally coherent
    """

    incomplete_rows = True

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        alpha: float = 1.0,
        subsets: str = "all",
        subset_learning: str = "pull",
        flow: Flow | int | None = None,
        trunk: keras.layers.Layer | None = None,
        **kwargs: Any,
    ):
        alpha = checks.non_negative_number("alpha", alpha)
        checks.check_option("subsets", subsets, ("all", "single", "shared"))
        checks.check_option("subset_learning", subset_learning, ("pull", "follow"))
        super().__init__(modalities, latent_dim, trunk=trunk, **kwargs)
        self.alpha = alpha
        self.subsets = subsets
        self.subset_learning = subset_learning
        self.flow = flow_of(flow)
        if self.flow and subsets == "single" and len(self.modalities) > 2:
            raise ValueError(
                "flow: the density of a product of flows cannot be computed, so subsets of several modalities need "
                "encoders of their own: use subsets='all' or 'shared'."
            )
        largest = 1 if subsets == "single" else len(self.modalities) - 1
        self._subsets = [
            names for size in range(1, largest + 1) for names in itertools.combinations(self.modalities, size)
        ]
        self.subset_encoders, self.shared_encoders = {}, None
        if subsets == "shared":
            self.shared_encoders = SharedEncoders(self.modalities, self._subsets, self.latent_dim, self.flow)
            return
        for names in self._subsets:
            own, subset = {name: self.modalities[name] for name in names}, subset_name(names)
            self.subset_encoders[subset] = Encoder(own, self.latent_dim, trunk, f"subset_encoder_{subset}", self.flow)

    def objective(self, batch, seed, training=False):
        """Computes the terms of Eq. (12), `[B]` each, in nats, with one sample of z; for complete rows Eq. (10) of [1].

        A term is 0 in rows that do not have it.
        """
        held = self._held(batch)
        posteriors = self._posteriors(held, training)
        q = self._own(held, posteriors)
        z = sampling.draw(q, seed)
        p = self._decoded(held, z, training)
        return self._kl_terms(held, q, z, posteriors, p, training)

    def _kl_terms(self, held, q, z, posteriors, p, training) -> Terms:
        """Computes the terms of Eq. (12) from q(z|O), z, every q(z|T), and p(m|z) of the rows that hold m."""
        return {
            **self._terms(held, q, z, p, training),  # E_{q(z|O)}[sum_{m in O} log p(m|z)] - KL(q(z|O) || p(z))
            **{  # - alpha sum_{T < O} KL(q(z|O) || q(z|T))
                f"kl_{subset_name(t)}": Term(-self.alpha, kl, in_elbo=False, rows=held.beyond(t))
                for t, kl in self._kl_to_subsets(held, q, z, posteriors).items()
            },
        }

    def _kl_to_subsets(self, held, q, z, posteriors) -> dict[Subset, tf.Tensor]:
        """Computes KL(q(z|O) || q(z|T)) for every T, `[B]`; 0 in rows that hold no more than T."""
        log_q = q.log_prob(z)
        if self.subset_learning == "follow":
            z, log_q = tf.stop_gradient(z), tf.stop_gradient(log_q)
            q = mapped(tf.stop_gradient, q) if is_gaussian(q) else q  # others are used through log_q alone
        if posteriors.shared is not None:
            values = posteriors.shared.kl_from(q, z, log_q)
        else:
            values = _kl_from(held, q, z, log_q, {names: posteriors.separate[names] for names in self._subsets})
        beyond = {t: held.beyond(t) for t in values}
        return {t: kl if beyond[t] is None else tf.where(beyond[t], kl, tf.zeros_like(kl)) for t, kl in values.items()}

    def posterior(self, observed, *, iterated_sampling=None, seed=None, training=False):
        """Computes q(z | observed) by the subset's encoder or a product of encoders, without iteration.

        The posterior of a row that lacks observed modalities is conditioned on those that it holds.
        """
        held = self._held(self.checked(observed))
        return self._own(held, self._posteriors(held, training, only_own=True))

    def iterates(self, observed, iterated_sampling=None):
        return False  # there is an encoder for what is observed

    def take_joint(self, trained: JMVAE) -> None:
        """Copies the joint encoder and the decoders of a trained model and freezes them; `fit` trains the rest.

        This is the second stage of [2] and [3]: for complete rows, the subset encoders are fitted to the fixed
        q(z | all modalities), whatever `subset_learning` is. Frozen networks run in inference mode, without dropout,
        and are saved as frozen. The statistics of standardised modalities and the fitted prior are copied, too.

        Args:
          trained: a `JMVAE` or `JMVAEKL` with the same modalities, networks, `latent_dim` and `trunk`; it is unchanged.

        Raises:
          TypeError: if `trained` is of another class.
          ValueError: if the two models differ, the message says where; or if this one is compiled already. Nothing is
            copied then.

        Examples:
          >>> model = JMVAEKL(modalities, 64, flow=8)
          >>> model.take_joint(trained)
          >>> model.compile("adam")
        """
        if self.compiled:
            raise ValueError("take_joint changes what is trained, so call it before compile().")
        try:
            copy_joint(self, trained)
        except (TypeError, ValueError) as error:
            raise type(error)(f"take_joint: {error}") from error
        freeze_joint(self)

    def _posteriors(self, held: Held, training: bool, *, only_own: bool = False) -> Posteriors:
        """Computes q(z | S) of every subset S in the batch that has an encoder, or only of those that `_own` needs."""
        needed = [
            names
            for names in (*self._subsets, tuple(self.modalities))
            if set(names) <= set(held.names) and (not only_own or held.required <= set(names) or self._multiplies(held))
        ]
        encoders = {encoder.names: encoder for encoder in (*self.subset_encoders.values(), self.encoder)}
        separate = {}
        for names in needed:
            if names in encoders:
                learns = training and encoders[names].trainable
                with held.rows(names).seen_by(encoders[names], learns):
                    separate[names] = encoders[names](held.of(names), training=learns)
        return Posteriors(separate, self._shared_posteriors(held, [n for n in needed if n not in encoders], training))

    def _shared_posteriors(self, held: Held, needed: list[Subset], training: bool) -> SharedPosteriors | None:
        """Computes q(z | S) of the `needed` subsets on shared towers, which read each row of a modality once."""
        if not needed:
            return None
        towers, features = self.shared_encoders.towers, {}
        for name in held.names:
            rows = held.rows([name])
            with rows.seen_by(towers.towers[name], training):
                features[name] = rows.back(towers.features(held.of([name]), training)[name])
        return self.shared_encoders(features, subsets=needed)

    def _own(self, held: Held, posteriors: Posteriors) -> tfd.Distribution:
        """Returns q(z | O), `[B, D]`, where O are the modalities that a row holds; the prior for rows with none."""
        q = prior = standard_gaussian(self.latent_dim, tf.shape(held.batch[held.names[0]])[0])
        if posteriors.shared is not None:
            q = posteriors.shared.own(held, q)
        for names, q_s in posteriors.separate.items():  # smallest first, so that the largest subset in a row wins
            q = merged(held.rows(names), q_s, q)
        if not self._multiplies(held):
            return q
        experts = [mapped(held.rows([name]).into, prior, posteriors.separate[name,]) for name in held.names]
        product = conditional_product(experts, [held.present(name) for name in held.names])
        several = tf.reshape((held.count > 1) & (held.count < len(self.modalities)), (-1, 1))
        return mapped(lambda whole, of_several: tf.where(several, of_several, whole), q, product)

    def _multiplies(self, held: Held) -> bool:
        """Returns whether a row may hold several modalities that have no encoder together."""
        sizes = range(max(len(held.required), 2), min(len(held.names), len(self.modalities) - 1) + 1)
        return self.subsets == "single" and len(sizes) > 0

    def _decoded(self, held: Held, z: tf.Tensor, training: bool) -> dict[str, tfd.Distribution]:
        """Decodes p(m | z) of every modality m for the rows that hold it."""
        p = {}
        for name, decoder in self.decoders.items():
            rows, learns = held.rows([name]), training and decoder.trainable
            with rows.seen_by(decoder, learns):
                p |= self.likelihoods(rows.of(z), names=[name], training=learns)
        return p

    def get_config(self):
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "subsets": self.subsets,
            "subset_learning": self.subset_learning,
            "flow": keras.saving.serialize_keras_object(self.flow),
        }


def _kl_from(held: Held, q, z, log_q, others: Mapping[Subset, tfd.Distribution]) -> dict[Subset, tf.Tensor]:
    """Computes KL(q || q(z|T)) by T, `[B]`, if needed estimated by z, a sample of q; arbitrary in rows without T."""
    rows = {t: held.rows(t) for t in others}
    if all(is_gaussian(distribution) for distribution in (q, *others.values())):
        every = [merged(rows[t], q_t, q) for t, q_t in others.items()]  # q in rows without T
        every = mapped(lambda *values: tf.stack(values), *every)  # [T, B, D]
        return dict(zip(others, tf.unstack(kl_divergence(q, every)), strict=True))
    return {t: rows[t].back(rows[t].of(log_q) - q_t.log_prob(rows[t].of(z))) for t, q_t in others.items()}
