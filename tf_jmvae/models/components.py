"""The layers that models are put together from; each has its weights from the moment it is made."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae import heads, networks
from tf_jmvae.modality import Modality

tfd = tfp.distributions

__all__ = ["ConditionalDecoder", "Decoder", "Encoder", "Towers"]

_FEW_CLASSES = 32  # fewer than the rows of any batch that one trains with


class Towers(keras.layers.Layer):
    """A tower per modality, concatenated, then an optional trunk: `(I, J)-K` in the paper's notation.

    `{m: [B, *event_shape]}` to `[B, F]`.
    """

    def __init__(self, modalities: Mapping[str, Modality], trunk: keras.layers.Layer | None = None):
        super().__init__()
        self.towers = {name: networks.clone(modality.encoder) for name, modality in modalities.items()}
        self.trunk = trunk and networks.clone(trunk)
        self._classes = {name: _classes(modality) for name, modality in modalities.items() if _is_class(modality)}
        # User-made layers may not infer shapes; a pass over one example always makes their weights.
        features = self({name: tf.zeros((1, *m.event_shape)) for name, m in modalities.items()})
        self.output_dim = features.shape[-1]

    def features(self, batch: Mapping[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """What the towers of the modalities in `batch` give, each `[B, F_m]`."""
        return {name: self._features_of(name, batch[name], training) for name in self.towers if name in batch}

    def _features_of(self, name: str, values: tf.Tensor, training: bool) -> tf.Tensor:
        """In training the tower of a class reads each class once, and every row gets the features of its own."""
        tower = self.towers[name]
        if not training or name not in self._classes:
            return networks.flatten(tower(values, training=training))
        features = networks.flatten(tower(tf.constant(self._classes[name]), training=True))
        values = tf.cast(values, features.dtype)
        rest = 1 - tf.reduce_sum(values, axis=-1, keepdims=True)  # 1 for the zeros of a missing label
        return tf.concat([values, rest], axis=-1) @ features

    def call(
        self,
        batch: Mapping[str, tf.Tensor],
        training: bool = False,
        known: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Of all modalities; of those whose features are `known` the values are not needed."""
        features = {**(known or {}), **self.features(batch, training)}
        # Keras casts arguments to this layer's dtype, which need not be the towers'.
        dtype = features[next(name for name in self.towers if name in batch)].dtype
        joined = tf.concat([tf.cast(features[name], dtype) for name in self.towers], axis=-1)
        return joined if self.trunk is None else networks.flatten(self.trunk(joined, training=training))


def _is_class(modality: Modality) -> bool:
    """Whether rows of the modality are one of a few, and its encoder gives equal rows equal features."""
    if not isinstance(modality.head, heads.Categorical) or len(modality.event_shape) > 1:
        return False
    return modality.event_shape[0] <= _FEW_CLASSES and networks.reads_rows_alone(modality.encoder)


def _classes(modality: Modality) -> np.ndarray:
    """`[C + 1, C]`: every class, and the zeros of a missing one."""
    return np.eye(modality.event_shape[0] + 1, modality.event_shape[0], dtype=np.float32)


class Encoder(keras.layers.Layer):
    """q(z | modalities) = N(mu, diag(sigma^2)), Eq. (2): towers, then the Gaussian head."""

    def __init__(self, modalities: Mapping[str, Modality], latent_dim: int, trunk: keras.layers.Layer | None = None):
        super().__init__()
        self.towers = Towers(modalities, trunk)
        self.head = heads.Gaussian(event_shape=(latent_dim,))
        self.head.build((None, self.towers.output_dim))

    def call(
        self,
        batch: Mapping[str, tf.Tensor],
        training: bool = False,
        known: Mapping[str, tf.Tensor] | None = None,
    ) -> tfd.Distribution:
        return self.head(self.towers(batch, training=training, known=known))


class Decoder(keras.layers.Layer):
    """p(m | z), Eq. (2)-(4): a network, then the head. Reads z with any number of leading axes.

    Args:
      network: pattern of the network, `[N, D]` to features.
      head: pattern of the head, with its event shape.
      latent_dim: D.
    """

    def __init__(self, network: keras.layers.Layer, head: heads.Head, latent_dim: int):
        super().__init__()
        self.network = networks.clone(network)
        self.head = head.with_event_shape(head.event_shape)
        self(tf.zeros((1, latent_dim)))

    def call(self, z: tf.Tensor, training: bool = False) -> tfd.Distribution:
        features = self.network(tf.reshape(z, (-1, z.shape[-1])), training=training)
        return self.head(features, batch_shape=tf.shape(z)[:-1])


class ConditionalDecoder(keras.layers.Layer):
    """p(m | z, given): a decoder that reads z and the features of a tower per given modality.

    Args:
      network: pattern of the network, `[N, D + F]` to features.
      head: pattern of the head, with its event shape.
      latent_dim: D.
      given: the modalities that it reads, by name; F features in all.
    """

    def __init__(self, network: keras.layers.Layer, head: heads.Head, latent_dim: int, given: Mapping[str, Modality]):
        super().__init__()
        self.towers = Towers(given)
        self.decoder = Decoder(network, head, latent_dim + self.towers.output_dim)

    def call(self, z: tf.Tensor, given: Mapping[str, tf.Tensor], training: bool = False) -> tfd.Distribution:
        """`z`: `[B, ..., D]`, with the examples of `given` along its first axis."""
        # A model that is loaded under another precision policy keeps that of its networks.
        features = tf.cast(self.towers(given, training=training), z.dtype)
        for _ in range(z.shape.rank - 2):
            features = tf.expand_dims(features, 1)
        features = tf.broadcast_to(features, tf.concat([tf.shape(z)[:-1], features.shape[-1:]], axis=0))
        return self.decoder(tf.concat([z, features], axis=-1), training=training)
