"""Encoders of all subsets on top of one shared tower per modality.

    h(S) = relu(sum_{m in S} P_m f_m + b_S),   q(z | S) = N(mu_S(h(S)), diag(sigma_S^2(h(S))))

f_m are the features of modality m from its tower, and P_m is common to all subsets. So each modality is encoded once,
however many subsets contain it, and all heads together are one matrix product. The joint encoder has separate towers:
features that distinguish one modality from the others may differ from those that identify the common z. With a flow,
the Gaussian is its base, and one flow, conditioned on h(S), serves all subsets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import is_gaussian, kl_divergence, mapped
from tf_jmvae.heads.gaussian import learned_gaussian
from tf_jmvae.modality import Modality
from tf_jmvae.models.component import Component
from tf_jmvae.models.components import Towers
from tf_jmvae.models.flow import ConditionalFlow, Flow, FlowPosterior
from tf_jmvae.models.missing import Held, Rows, merged

Subset = tuple[str, ...]


class SharedEncoders(Component):
    """Encoders q(z | S) of every subset S, from features `[B, F_m]`, in float32 under every precision policy.

    The hidden layers have as many units as the widest tower has features, but at least as many as z has entries. Each
    has a Gaussian head, whose weights are stacked over the subsets.
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        subsets: Sequence[Subset],
        latent_dim: int,
        flow: Flow | None = None,
    ):
        super().__init__(name="subset_encoders")
        self.towers = Towers(modalities, name="towers")
        sizes = self.towers.sizes()
        units = max(latent_dim, *sizes.values())
        self._subsets = list(subsets)
        options = {"use_bias": False, "dtype": "float32"}
        self.projections = {name: keras.layers.Dense(units, **options, name=f"projection_{name}") for name in sizes}
        for name, size in sizes.items():
            self.projections[name].build((None, size))
        self.hidden_bias = self._stack("hidden_bias", units)
        limit = np.sqrt(6 / (units + latent_dim))  # Glorot uniform, as in a dense layer to the mean or variance
        self.kernel = self._stack("kernel", 2 * latent_dim, rows=units, limit=limit)
        self.bias = self._stack("bias", 2 * latent_dim)
        self.flow = ConditionalFlow(latent_dim, units, flow) if flow else None
        self._made(latent_dim)

    def call(self, features: Mapping[str, tf.Tensor], *, subsets: Sequence[Subset]) -> "SharedPosteriors":
        """Computes q(z | S) of these subsets for all rows."""
        which = [self._subsets.index(names) for names in subsets]
        parts = tf.stack([self.projections[name](tf.cast(value, tf.float32)) for name, value in features.items()])
        sums = tf.tensordot(_members(subsets, features), parts, 1)
        hidden = tf.nn.relu(sums + self._of(which, self.hidden_bias))
        raw = tf.matmul(hidden, self._of(which, self.kernel)) + self._of(which, self.bias)
        return SharedPosteriors(list(subsets), learned_gaussian(*tf.split(raw, 2, axis=-1)), hidden, self.flow)

    def _of(self, which: Sequence[int], weight: keras.Variable) -> tf.Tensor:
        """Returns the weights of some subsets; for all, as in training, without a gather, for dense gradients."""
        whole = tf.convert_to_tensor(weight)
        return whole if len(which) == len(self._subsets) else tf.gather(whole, which)

    def _stack(self, name: str, columns: int, rows: int = 1, limit: float = 0.0) -> keras.Variable:
        """Adds a weight `[S, rows, columns]`, one matrix for each subset."""
        return self.add_weight(
            name=name,
            shape=(len(self._subsets), rows, columns),
            initializer=keras.initializers.RandomUniform(-limit, limit) if limit else "zeros",
            dtype="float32",
            autocast=False,
        )


@dataclass(frozen=True)
class SharedPosteriors:
    """Posteriors q(z | S) of several subsets for all rows; in rows that do not hold S they are finite but unused.

    Attributes:
      subsets: sequence of the subsets S, in order.
      gaussians: Gaussian `[S, B, D]`: q(z | S), or the base of its flow.
      hidden: float tensor `[S, B, H]` that conditions the flow.
      flow: `ConditionalFlow` of all subsets; None, the default, if they are Gaussian.
    """

    subsets: Sequence[Subset]
    gaussians: tfd.Distribution
    hidden: tf.Tensor
    flow: ConditionalFlow | None = None

    def kl_from(self, q: tfd.Distribution, z: tf.Tensor, log_q: tf.Tensor) -> dict[Subset, tf.Tensor]:
        """Computes KL(q || q(z | S)) of every S, `[B]`, if needed estimated by z, a sample of q, `[B, D]`."""
        if self.flow is None and is_gaussian(q):
            values = kl_divergence(q, self.gaussians)
        else:
            whole = self._made_of(self.gaussians, self.hidden)
            values = log_q - whole.log_prob(tf.broadcast_to(z, tf.shape(self.gaussians.mean())))
        return dict(zip(self.subsets, tf.unstack(values, len(self.subsets)), strict=True))

    def own(self, held: Held, others: tfd.Distribution) -> tfd.Distribution:
        """Returns q(z | S), `[B, D]`, in rows that hold exactly the subset S, and `others` in all other rows."""
        present = tf.concat([held.present(name) for name in held.names], axis=1)
        agree = tf.equal(present, _members(self.subsets, held.names)[:, None])  # [S, B, K]
        exactly = tf.reduce_all(agree, axis=-1)
        rows = Rows() if set(held.names) == held.required else Rows(tf.reduce_any(exactly, axis=0))
        chosen = tf.one_hot(tf.argmax(exactly, axis=0), len(self.subsets), axis=0)  # [S, B]

        def of_rows(values: tf.Tensor) -> tf.Tensor:
            """Selects by row with a one-hot sum, because XLA does not support the gather."""
            return tf.reduce_sum(chosen[..., None] * values, axis=0)

        return merged(rows, self._made_of(mapped(of_rows, self.gaussians), of_rows(self.hidden)), others)

    def _made_of(self, gaussians: tfd.Distribution, hidden: tf.Tensor) -> tfd.Distribution:
        return gaussians if self.flow is None else FlowPosterior(gaussians, self.flow, hidden)


def _members(subsets: Sequence[Subset], names: Iterable[str]) -> np.ndarray:
    """Returns the indicator, `[S, K]`, of which subset contains which modality."""
    return np.array([[name in subset for name in names] for subset in subsets], np.float32)
