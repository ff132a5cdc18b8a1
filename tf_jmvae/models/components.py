"""Encoder and decoder layers of which models are composed; all make their weights in the constructor."""

from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae import heads
from tf_jmvae._utils.keras_api import flatten_layers
from tf_jmvae.modality import Modality
from tf_jmvae.models import missing
from tf_jmvae.models.component import Component
from tf_jmvae.models.flow import Flow, FlowHead
from tf_jmvae.models.objective import Batch
from tf_jmvae.networks import prototypes


class Towers(Component):
    """One tower per modality, concatenated, then an optional trunk: `(I, J)-K` in the paper's notation, `[B, F]`."""

    def __init__(
        self, modalities: Mapping[str, Modality], trunk: keras.layers.Layer | None = None, name: str | None = None
    ):
        super().__init__(name=name)
        self.towers = {key: prototypes.clone(m.encoder, name=f"encoder_{key}") for key, m in modalities.items()}
        self.trunk = trunk and prototypes.clone(trunk, name="trunk")
        # User-made layers may not infer shapes; a call on one example always makes their weights.
        self._modalities = dict(modalities)
        example = {name: tf.zeros((1, *m.event_shape)) for name, m in modalities.items()}
        features = prototypes.make_weights(self, example)
        self.output_dim = features.shape[-1]
        self._made(self.output_dim)

    def sizes(self) -> dict[str, int]:
        """Returns the number of features F_m of each modality."""
        example = {name: tf.zeros((1, *m.event_shape)) for name, m in self._modalities.items()}
        return {name: value.shape[-1] for name, value in self.features(example).items()}

    def features(self, batch: Batch, training: bool = False) -> dict[str, tf.Tensor]:
        """Computes the tower features `[B, F_m]` of the modalities in `batch`."""
        read = {name: missing.as_read(self._modalities[name], batch[name]) for name in self.towers if name in batch}
        return {
            name: prototypes.read(
                f"encoder of modality {name!r}", self.towers[name], value, training=training, flat=True
            )
            for name, value in read.items()
        }

    def call(self, batch: Batch, training: bool = False, known: Batch | None = None) -> tf.Tensor:
        """Computes the features of all modalities; those with features in `known` may be absent from `batch`."""
        own = self.features(batch, training)
        # Keras casts arguments to this layer's dtype, which may differ from the towers' dtype.
        dtype = next(iter((own or known).values())).dtype
        features = {**(known or {}), **own}
        joined = tf.concat([tf.cast(features[name], dtype) for name in self.towers], axis=-1)
        if self.trunk is None:
            return joined
        return prototypes.read("trunk", self.trunk, joined, training=training, flat=True)


class Encoder(Component):
    """Encoder q(z | modalities) = N(mu, diag(sigma^2)), Eq. (2): towers, then a Gaussian head or a flow head."""

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        trunk: keras.layers.Layer | None = None,
        name: str | None = None,
        flow: Flow | None = None,
    ):
        super().__init__(name=name)
        self.towers = Towers(modalities, trunk, "towers")
        if flow:
            self.head = FlowHead(latent_dim, self.towers.output_dim, flow)
        else:
            self.head = heads.Gaussian(event_shape=(latent_dim,), name="head")
            self.head.build((None, self.towers.output_dim))
        self._made(latent_dim)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modalities that the encoder reads."""
        return tuple(self.towers.towers)

    def call(self, batch: Batch, training: bool = False, known: Batch | None = None) -> tfd.Distribution:
        return self.head(self.towers(batch, training=training, known=known))


class Decoder(Component):
    """Decoder p(m | z), Eq. (2)-(4): a network from `[N, D]` to features, then the head.

    z may have any number of leading axes. `network` and `head`, which has its event shape, are prototypes. Error
    messages call the network `role`; the names of the layers end in `of`.
    """

    def __init__(
        self, network: keras.layers.Layer, head: heads.Head, latent_dim: int, role: str, of: str, name: str = "decoder"
    ):
        super().__init__(name=name)
        self.network = prototypes.clone(network, name=f"network_{of}")
        self.head = head.with_event_shape(head.event_shape)
        self.head.name = f"head_{of}"
        with keras.name_scope(self.name):
            features = prototypes.read(role, self.network, tf.zeros((1, latent_dim)))
            try:
                self.head.build(tuple(features.shape))
            except ValueError as error:
                raise ValueError(f"The {role}: {error}") from error
        self._made(*head.event_shape)
        activation = _last_activation(network)
        if activation != "linear" and self.head.reads_features and not self.head.is_location:
            raise ValueError(
                f"The {role} ends in {activation}, but a {type(head).__name__} head reads "
                f"{' and '.join(head.parameter_names)}, which may be any numbers: leave the activation out, or give "
                "the head a projection."
            )

    def call(self, z: tf.Tensor, training: bool = False) -> tfd.Distribution:
        features = self.network(tf.reshape(z, (-1, z.shape[-1])), training=training)
        return self.head(features, batch_shape=tf.shape(z)[:-1])


def _last_activation(network: keras.layers.Layer) -> str:
    """Returns the name of a network's last activation, or `"linear"` if its last layer does not tell."""
    while getattr(network, "layers", None):
        network = network.layers[-1]
    return getattr(getattr(network, "activation", None), "__name__", "linear")


class ConditionalDecoder(Component):
    """Decoder p(m | z, conditions), which reads z and the features of a tower per condition, `[N, D + F]`."""

    def __init__(self, modality: Modality, latent_dim: int, conditions: Mapping[str, Modality], role: str, of: str):
        super().__init__(name=f"decoder_{of}")
        self.towers = Towers(conditions, name="towers")
        self.decoder = Decoder(modality.decoder, modality.head, latent_dim + self.towers.output_dim, role, of)
        self._made(*modality.event_shape)

    def call(self, z: tf.Tensor, conditions: Batch, training: bool = False) -> tfd.Distribution:
        """Decodes z, `[B, ..., D]`, whose first axis has the examples of `conditions`."""
        # A model loaded under another precision policy keeps the policy of its networks.
        features = tf.cast(self.towers(conditions, training=training), z.dtype)
        features = features[(slice(None), *[None] * (z.shape.rank - 2))]
        features = tf.broadcast_to(features, tf.concat([tf.shape(z)[:-1], features.shape[-1:]], axis=0))
        return self.decoder(tf.concat([z, features], axis=-1), training=training)


# Attributes with a single layer, which short names leave out.
_UNSAID = ("decoder", "head", "network", "towers")


def places(owner: keras.layers.Layer, place: str = "", name: str = "") -> Iterator[tuple[str, str, keras.layers.Layer]]:
    """Yields every layer of a model down to the user's networks, an owner before its parts.

    Each comes with its full path by attributes and keys, `encoder/towers/towers/x`, and its short name, `encoder/x`.
    """
    for attribute, value in vars(owner).items():
        if attribute.startswith("_") and attribute != "_projections":
            continue
        said = [name] if place and attribute in _UNSAID else [name, attribute.strip("_")]
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        members = {(str(key),): layer for key, layer in items} or {(): value}
        for key, layer in members.items():
            if isinstance(layer, keras.layers.Layer):
                there = ["/".join(filter(None, [*steps, *key])) for steps in ([place, attribute], said)]
                yield *there, layer
                if not is_network(layer):
                    yield from places(layer, *there)


def is_network(layer: keras.layers.Layer) -> bool:
    """Returns whether a layer is a user's network, not a head or a component of this package."""
    return not isinstance(layer, heads.Head) and not type(layer).__module__.startswith(__package__)


def parts(model: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields every layer of a model with its path, including the numbered layers within networks."""
    for place, _, layer in places(model):
        for number, part in enumerate(flatten_layers(layer, recursive=is_network(layer))):
            yield f"{place}/{number}", part
