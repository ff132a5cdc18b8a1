"""CVAE and CMMA: one direction, from the conditions w to the targets x.

    CVAE:  p(x, z | w) = p(z) p(x|z,w),      z ~ N(0, I)
           L = - KL(q(z|x,w) || p(z))   + E_q[log p(x|z,w)]

    CMMA:  p(x, z | w) = p(z|w) p(x|z)
           L = - KL(q(z|x,w) || p(z|w)) + E_q[log p(x|z)]

Both are lower bounds of log p(x | w); neither models w. Their terms are those of Eq. (5) of [1], with a prior or
likelihoods that also read w. A row without x has nothing to learn from: if x is `optional`, `fit` and `evaluate` leave
such rows out.

References:
  [1] Suzuki and Matsuo, section 2 and appendix A.1: the baselines of Tables 1 and 2.
  [2] Sohn, Lee and Yan, Learning structured output representation using deep conditional
      generative models, 2015; Kingma et al., Semi-supervised learning with deep generative models, 2014.
  [3] Pandey and Dukkipati, Variational methods for conditional multimodal deep learning, 2016.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae._utils.checks import listed
from tf_jmvae.distributions import standard_gaussian
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import ConditionalDecoder, Encoder
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.models.jmvae import JointEncoderVAE
from tf_jmvae.models.modality_names import checked_modalities
from tf_jmvae.registry import MODELS


class _OneWayVAE(JointEncoderVAE):
    """Base class of CVAE and CMMA, which model the targets given the conditions."""

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        target: str | Iterable[str],
        conditions: str | Iterable[str] | None = None,
        **kwargs: Any,
    ):
        kind, modalities = type(self).__name__, checked_modalities(type(self), modalities)
        targets = _names(kind, "target", target)
        if conditions is None:
            conditions = [name for name in modalities if name not in targets]
        conditions = _names(kind, "conditions", conditions)
        unknown = [name for name in (*targets, *conditions) if name not in modalities]
        if unknown:
            raise ValueError(f"{kind}: unknown modality {listed(unknown)}; the modalities are {listed(modalities)}.")
        if not targets or not conditions or sorted(targets + conditions) != sorted(modalities):
            raise ValueError(
                f"{kind} goes from some modalities to all others: target and conditions must each name at least one, "
                f"and every modality of {listed(modalities)} once; got target={targets}, conditions={conditions}."
            )
        super().__init__(modalities, latent_dim, conditions=conditions, **kwargs)

    def get_config(self):
        return {**super().get_config(), "target": list(self.targets)}


@MODELS.register("cvae")
@keras.saving.register_keras_serializable("tf_jmvae")
class CVAE(_OneWayVAE):
    """Conditional VAE (CVAE) [2]: p(x | z, w) with z ~ N(0, I), independent of w.

    Given w alone, z is sampled from the prior, which is p(z | w) in this model. The appendix of [1] instead completes x
    by iterated sampling from zeros: pass `iterated_sampling=IteratedSampling(100, initial="zeros")` for that.
    Every target's decoder reads z and each condition, through a separate tower per condition.

    Args:
      modalities: dict of `Modality` objects by name, two or more; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      target: name of the modality to generate, or a list of names.
      conditions: name of the modality to generate from, or a list of names; all others by default.
      trunk: prototype of a network between the towers and the Gaussian head of the encoder; none by default.

    Raises:
      ValueError: if `target` and `conditions` do not divide the modalities between them.

    Examples:
      >>> model = CVAE({"x": Modality((28, 28, 1), "bernoulli"), "w": Modality((10,), "categorical")}, 64, target="x")
      >>> model.generate({"w": labels}, seed=1)["x"]
    """

    def posterior(self, observed, *, iterated_sampling=None, seed=None, training=False):
        """Computes q(z | all modalities), or returns p(z) if only the conditions are observed.

        If iterated sampling has an `initial`, `"zeros"` or `"noise"`, or if some of several targets are observed, the
        missing targets are completed by iterated sampling, Eq. (6) of [1], instead.
        """
        observed = self.checked(observed)
        checks.check_conditions(self, observed)
        if not self.iterates(observed, iterated_sampling) and len(observed) < len(self.modalities):
            return standard_gaussian(self.latent_dim, tf.shape(observed[self.conditions[0]])[0])
        return super().posterior(observed, iterated_sampling=iterated_sampling, seed=seed, training=training)

    def likelihoods(self, z, *, conditions=None, names=None, training=False):
        """Decodes p(m | z, conditions), with `z` `[B, ..., D]`."""
        if conditions is None:
            raise ValueError(
                f"The decoders of a CVAE read {listed(self.conditions)} besides z: pass conditions={{...}}."
            )
        checks.check_conditions(self, conditions)
        names = self.targets if names is None else names
        return {name: self.decoders[name](z, conditions, training=training) for name in names}

    def iterates(self, observed, iterated_sampling=None):
        initial = iteration_of(self, iterated_sampling).initial
        starts_from_the_prior = initial is None and not any(name in observed for name in self.targets)
        return not starts_from_the_prior and super().iterates(observed)

    def _make_decoder(self, name):
        conditions = {other: self.modalities[other] for other in self.conditions}
        role = f"decoder of modality {name!r}"
        return ConditionalDecoder(self.modalities[name], self.latent_dim, conditions, role, name)


@MODELS.register("cmma")
@keras.saving.register_keras_serializable("tf_jmvae")
class CMMA(_OneWayVAE):
    """Conditional multimodal autoencoder (CMMA) [3]: z ~ p(z | w), which a network computes, and p(x | z).

    The bound's only KL divergence is that to p(z | w). Arguments and errors are those of `CVAE`; `trunk` is also the
    prototype for the network of p(z | w).
    """

    def _make_encoder(self, trunk):
        super()._make_encoder(trunk)
        conditions = {name: self.modalities[name] for name in self.conditions}
        self.prior_encoder = Encoder(conditions, self.latent_dim, trunk, "prior_encoder")

    def posterior(self, observed, *, iterated_sampling=None, seed=None, training=False):
        """Computes q(z | all modalities), or p(z | w) if only the conditions are observed, without iteration."""
        observed = self.checked(observed)
        checks.check_conditions(self, observed)
        if len(observed) == len(self.modalities):
            return self._encode(observed, training)
        if not self.has_posterior(observed):
            raise ValueError(
                f"A CMMA has q(z | all modalities) and p(z | {', '.join(self.conditions)}), but nothing for "
                f"{listed(observed)} alone: observe all targets, or none. For the log-likelihood of some targets "
                "given others take estimator='importance', normalizer='prior'."
            )
        return self.prior(observed, training=training)

    def prior(self, conditions=None, training=False):
        """Computes p(z | conditions), a Gaussian `[B, D]`."""
        if conditions is None:
            raise ValueError(f"The prior of a CMMA is p(z | {', '.join(self.conditions)}): pass conditions={{...}}.")
        checks.check_conditions(self, conditions)
        return self.prior_encoder(conditions, training=training)

    def has_posterior(self, observed):
        """Returns whether `observed` are all modalities or exactly the conditions."""
        return super().has_posterior(observed) and len(set(observed)) in (len(self.conditions), len(self.modalities))

    def iterates(self, observed, iterated_sampling=None):
        return False


def _names(model: str, argument: str, value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{model}: {argument} must be the name of a modality, or a list of names; got {value!r}.")
    return names
