"""Conditional normalizing flows for q(z | S), where a Gaussian is too simple.

    u ~ N(mu(S), diag(sigma^2(S))),   z = f_S(u),   log q(z | S) = log N(f_S^{-1}(z)) + log |det d f_S^{-1} / dz|

f_S is a chain of affine couplings [1] between permutations: each scales and shifts one half of the entries by functions
of the other half and of S. So sampling and densities are exact, and take one evaluation of the chain each.

References:
  [1] Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP, 2017 (arXiv 1605.08803).
  [2] Senellart, Chadebec and Allassonniere, Improving multimodal joint variational autoencoders through normalizing
      flows and correlation analysis, 2023 (arXiv 2305.11832): flows for the subsets of a joint model.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_jmvae import heads
from tf_jmvae._utils import checks
from tf_jmvae.distributions import NoiseTransform, from_noise
from tf_jmvae.models.component import Component

_LARGEST_LOG_SCALE = 1.0  # bound per coupling, so that the inverse stays accurate in float32


@keras.saving.register_keras_serializable("tf_jmvae")
@dataclass(frozen=True)
class Flow:
    """Options of normalizing flows, which `JMVAEKL` takes as `flow`.

    Args:
      num_couplings: number of affine couplings, a positive integer; 8 by default.
      units: width of the two hidden layers in each coupling and of the layer that reads the features of S, a positive
        integer; 256 by default.

    Raises:
      ValueError: if an option is not a positive integer.
    """

    num_couplings: int = 8
    units: int = 256

    def __post_init__(self):
        for name, value in vars(self).items():
            object.__setattr__(self, name, checks.positive_integer(name, value))

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Flow":
        return cls(**config)


def flow_of(value: Flow | int | None) -> Flow | None:
    """Returns the `Flow` of an argument: a `Flow`, a number of couplings, or None for no flow."""
    if value is None or isinstance(value, Flow):
        return value
    if isinstance(value, bool | str | dict):
        raise TypeError(f"flow must be a Flow, a number of couplings, or None; got {value!r}.")
    return Flow(value)


class FlowPosterior(NoiseTransform):
    """Posterior q(z | S): a Gaussian base transformed by a flow conditioned on features `[..., N, F]` of S."""

    def __init__(self, base: tfd.Distribution, flow: "ConditionalFlow", features: tf.Tensor):
        parameters = dict(locals())
        self.base, self.bijector = base, flow.bijector(features)
        super().__init__(base.batch_shape_tensor, base.batch_shape, base.event_shape, parameters)

    def from_noise(self, noise):
        u = from_noise(self.base, noise)
        if noise.shape.rank == 2:
            return self.bijector.forward(u)
        return tf.transpose(self.bijector.forward(tf.transpose(u, (1, 0, 2))), (1, 0, 2))  # [B, S, D]

    def _log_prob(self, z):
        u = self.bijector.inverse(z)
        return self.base.log_prob(u) + self.bijector.inverse_log_det_jacobian(z, event_ndims=1)


class ConditionalFlow(Component):
    """Flow f_S conditioned on features `[..., N, F]` of S, in float32 under every precision policy."""

    def __init__(self, latent_dim: int, features_dim: int, options: Flow, name: str = "flow"):
        super().__init__(name=name)
        if latent_dim < 2:
            raise ValueError(f"A flow couples entries of z, so latent_dim must be 2 or more; got {latent_dim}.")
        self.context = keras.layers.Dense(options.units, "relu", dtype="float32", name="context")
        self.context.build((None, features_dim))
        self.couplings = [Coupling(latent_dim, options.units, f"coupling_{i}") for i in range(options.num_couplings)]
        self._permutations = _permutations(latent_dim, options.num_couplings)
        self._made(latent_dim)

    def bijector(self, features: tf.Tensor) -> tfb.Bijector:
        """Returns the bijector from u to z, `[..., N, D]`."""
        context, steps = self.context(tf.cast(features, tf.float32)), []
        for coupling, permutation in zip(self.couplings, self._permutations, strict=True):
            steps += [tfb.Permute(permutation), coupling.bijector(context)]
        return tfb.Chain(steps[::-1])  # tfb.Chain applies the last bijector first


class FlowHead(Component):
    """Head from features `[N, F]` of S to the flow posterior q(z | S), in float32 under every precision policy."""

    def __init__(self, latent_dim: int, features_dim: int, options: Flow):
        super().__init__(name="head")
        self.base = heads.Gaussian(event_shape=(latent_dim,), name="base")
        self.base.build((None, features_dim))
        self.flow = ConditionalFlow(latent_dim, features_dim, options)
        self._made(latent_dim)

    def call(self, features: tf.Tensor) -> FlowPosterior:
        return FlowPosterior(self.base(features), self.flow, features)


class Coupling(Component):
    """Affine coupling: scales and shifts half of u given the other half and the context; initially the identity."""

    def __init__(self, latent_dim: int, units: int, name: str):
        super().__init__(name=name)
        self._kept = latent_dim // 2
        options = {"activation": "relu", "dtype": "float32"}
        self.of_kept = keras.layers.Dense(units, dtype="float32", name="of_kept")
        self.of_context = keras.layers.Dense(units, use_bias=False, dtype="float32", name="of_context")
        self.hidden = keras.layers.Dense(units, **options, name="hidden")
        self.output_layer = keras.layers.Dense(
            2 * (latent_dim - self._kept), kernel_initializer="zeros", dtype="float32", name="output_layer"
        )
        self.of_kept.build((None, self._kept))
        for layer in (self.of_context, self.hidden, self.output_layer):
            layer.build((None, units))
        self._made(latent_dim)

    def bijector(self, context: tf.Tensor) -> tfb.Bijector:
        """Returns the bijector of this coupling over `[..., N, D]`, given the context `[N, units]`."""
        of_context = self.of_context(context)  # computed once for all samples of a row

        def shift_and_log_scale(kept, *_):
            hidden = self.hidden(tf.nn.relu(self.of_kept(kept) + of_context))
            shift, log_scale = tf.split(self.output_layer(hidden), 2, axis=-1)
            return shift, _LARGEST_LOG_SCALE * tf.tanh(log_scale / _LARGEST_LOG_SCALE)

        return tfb.RealNVP(num_masked=self._kept, shift_and_log_scale_fn=shift_and_log_scale)


def _permutations(latent_dim: int, num_couplings: int) -> list[np.ndarray]:
    """Returns the permutation of the entries before each coupling, which keeps the first half and changes the rest.

    Random permutations from a fixed seed alternate with swaps of the halves, so that two couplings change every entry.
    """
    kept, random = latent_dim // 2, np.random.default_rng(0)
    swapped = np.roll(np.arange(latent_dim), -kept)
    return [swapped if i % 2 else random.permutation(latent_dim) for i in range(num_couplings)]
