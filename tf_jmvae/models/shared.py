"""Encoders of many subsets on top of one tower per modality.

    h(S) = relu(sum_{m in S} P_m f_m + b_S),   q(z | S) = N(mu_S(h(S)), diag(sigma_S^2(h(S))))

f_m is what the tower of modality m gives, and P_m is common to all subsets. So each modality is read once, however many
subsets it is in, and all heads together are one product of matrices.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae.distributions import mapped, unstacked
from tf_jmvae.heads.gaussian import learned_gaussian
from tf_jmvae.models.component import Component
from tf_jmvae.models.flow import Flow, FlowHead
from tf_jmvae.models.missing import Rows

Subset = tuple[str, ...]


class SharedEncoders(Component):
    """q(z | S) of every subset S, from features `[B, F_m]` of the modalities m, in float32 under every policy.

    Hidden layers have D units. On each is a Gaussian head, all of which are one stack of matrices, or a flow.
    """

    def __init__(self, sizes: Mapping[str, int], subsets: Sequence[Subset], latent_dim: int, flow: Flow | None = None):
        super().__init__(name="subset_encoders")
        units = latent_dim
        self._subsets = list(subsets)
        options = {"use_bias": False, "dtype": "float32"}
        self.projections = {name: keras.layers.Dense(units, **options, name=f"projection_{name}") for name in sizes}
        for name, size in sizes.items():
            self.projections[name].build((None, size))
        self.hidden_bias = self._stack("hidden_bias", units)
        if flow:
            self.flows = {"_and_".join(names): FlowHead(latent_dim, units, flow) for names in subsets}
        else:
            limit = np.sqrt(6 / (units + latent_dim))  # as a dense layer to mean or variance has
            self.kernel = self._stack("kernel", 2 * latent_dim, rows=units, limit=limit)
            self.bias = self._stack("bias", 2 * latent_dim)
            self.flows = None
        self._made(latent_dim)

    def call(
        self,
        features: Mapping[str, tf.Tensor],
        *,
        rows: Mapping[Subset, Rows],
        constant: Mapping[Subset, tf.Tensor] | None = None,
    ) -> dict[Subset, tfd.Distribution]:
        """Q(z | S) of the subsets in `rows`, each `[R, D]` of those rows.

        `constant` says for each subset in which rows, Boolean `[B]`, gradients stop at its features.
        """
        subsets = list(rows)
        which = [self._subsets.index(names) for names in subsets]
        hidden = self._sums(subsets, features)
        if constant is not None:
            stopped = self._sums(subsets, {name: tf.stop_gradient(value) for name, value in features.items()})
            hidden = tf.where(tf.stack([constant[names] for names in subsets])[..., None], stopped, hidden)
        hidden = tf.nn.relu(hidden + self._of(which, self.hidden_bias))
        if self.flows:
            of_each = zip(subsets, tf.unstack(hidden), strict=True)
            return {names: self.flows["_and_".join(names)](rows[names].of(values)) for names, values in of_each}
        raw = tf.matmul(hidden, self._of(which, self.kernel)) + self._of(which, self.bias)
        posteriors = dict(zip(subsets, unstacked(learned_gaussian(*tf.split(raw, 2, axis=-1))), strict=True))
        return {names: q if rows[names].mask is None else mapped(rows[names].of, q) for names, q in posteriors.items()}

    def _sums(self, subsets: Sequence[Subset], features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """What each subset's hidden layer reads, `[S, B, D]`."""
        parts = tf.stack([self.projections[name](tf.cast(value, tf.float32)) for name, value in features.items()])
        members = np.array([[name in names for name in features] for names in subsets], np.float32)
        return tf.tensordot(members, parts, 1)

    def _of(self, which: Sequence[int], weight: keras.Variable) -> tf.Tensor:
        """The matrices of some subsets; of all, as in training, the weight itself, whose gradient then is dense."""
        whole = tf.convert_to_tensor(weight)
        return whole if len(which) == len(self._subsets) else tf.gather(whole, which)

    def _stack(self, name: str, columns: int, rows: int = 1, limit: float = 0.0) -> keras.Variable:
        """A weight `[S, rows, columns]`, a matrix for each subset."""
        return self.add_weight(
            name=name,
            shape=(len(self._subsets), rows, columns),
            initializer=keras.initializers.RandomUniform(-limit, limit) if limit else "zeros",
            dtype="float32",
            autocast=False,
        )
