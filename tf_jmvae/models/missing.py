"""Rows that lack a modality, or entries of one: NaN in the data, masks in the models.

Nothing that stands in a gap reaches a network, a log-density or the statistics of a batch. Rows that lack what a
network reads are left out before it, and what it gives is put back into its rows after it. So a batch costs what its
rows hold, and every pattern of gaps runs in one graph. Where no modality is `optional`, nothing here adds an operation.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils.keras_api import flatten_layers
from tf_jmvae.distribute import replicas
from tf_jmvae.distributions import NoiseTransform, from_noise, is_gaussian, kl_divergence, mapped
from tf_jmvae.modality import Modality
from tf_jmvae.random import seeds


@dataclass(frozen=True)
class Rows:
    """Some rows of a batch of B: by default all.

    Attributes:
      mask: Boolean `[B]`, which ones; None of all.
      indices: int64 `[R]`, where they stand, at least one: networks need something to read, and where no row of the
        global batch is among them, the first stands in, of which nothing is used. None if all rows are computed, R = B,
        of which those of the mask count.
    """

    mask: tf.Tensor | None = None
    indices: tf.Tensor | None = None
    _any: tf.Tensor | None = None  # whether there is one in the global batch

    @classmethod
    def where(cls, mask: tf.Tensor) -> "Rows":
        """Those where the mask, `[B]`, holds."""
        found = tf.where(mask)[:, 0]
        there = replicas.total(tf.shape(found)[0]) > 0
        stand_in = tf.range(tf.minimum(tf.size(mask, tf.int64), 1))
        return cls(mask, tf.cond(there, lambda: found, lambda: stand_in), there)

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """These rows, `[R, ...]`, of values `[B, ...]`."""
        return values if self.indices is None else tf.gather(values, self.indices)

    def into(self, whole: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """The whole `[B, ...]` with the values `[R, ...]` in these rows."""
        if self.mask is None:
            return values
        if self.indices is not None:
            values = tf.tensor_scatter_nd_update(whole, self.indices[:, None], values)
        return tf.where(tf.reshape(self.mask, [-1] + [1] * (whole.shape.rank - 1)), values, whole)

    def back(self, values: tf.Tensor) -> tf.Tensor:
        """Values `[R, ...]` in their rows, `[B, ...]`, and 0 in all others."""
        if self.mask is None:
            return values
        shape = tf.concat([tf.shape(self.mask), tf.shape(values)[1:]], axis=0)
        return self.into(tf.ensure_shape(tf.zeros(shape, values.dtype), [None, *values.shape[1:]]), values)

    @contextlib.contextmanager
    def seen_by(self, layer: keras.layers.Layer, training: bool) -> Iterator[None]:
        """A pass of the layer over these rows, which leaves statistics of batches as they are if there is none."""
        statistics = [] if self._any is None or not training else _statistics(layer)
        before = [tf.identity(tf.convert_to_tensor(variable)) for variable in statistics]
        yield
        for variable, old in zip(statistics, before, strict=True):
            variable.assign(tf.where(self._any, tf.convert_to_tensor(variable), old))


class ByRow(NoiseTransform):
    """Of some rows one distribution over z, `[R, D]`, and of the others of a batch of B another, `[B, D]`."""

    def __init__(self, rows: Rows, of_rows: tfd.Distribution, others: tfd.Distribution):
        parameters = dict(locals())
        self.rows, self.of_rows, self.others = rows, of_rows, others
        super().__init__(others.batch_shape_tensor, others.batch_shape, others.event_shape, parameters)

    def from_noise(self, noise):
        return self.rows.into(from_noise(self.others, noise), from_noise(self.of_rows, self.rows.of(noise)))

    def kl_estimate(self, p, z):
        """As of the distribution of each row: in closed form where that and p are Gaussian."""
        if not is_gaussian(p):
            return super().kl_estimate(p, z)
        of_p = mapped(self.rows.of, p) if p.batch_shape.rank else p
        of_rows = kl_divergence(self.of_rows, of_p, self.rows.of(z))
        return self.rows.into(kl_divergence(self.others, p, z), of_rows)

    def _log_prob(self, z):
        if z.shape.rank == 2:
            return self.rows.into(self.others.log_prob(z), self.of_rows.log_prob(self.rows.of(z)))
        rows_first = self.rows.of(tf.transpose(z, (1, 0, 2)))  # of z [S, B, D]
        of_rows = self.of_rows.log_prob(tf.transpose(rows_first, (1, 0, 2)))
        return tf.transpose(self.rows.into(tf.transpose(self.others.log_prob(z)), tf.transpose(of_rows)))


def merged(rows: Rows, of_rows: tfd.Distribution, others: tfd.Distribution) -> tfd.Distribution:
    """`[B, D]`: in some rows a distribution over z of theirs, `[R, D]`, and in the others of another, `[B, D]`."""
    if rows.mask is None:
        return of_rows
    if is_gaussian(of_rows) and is_gaussian(others):
        return mapped(rows.into, others, of_rows)
    return ByRow(rows, of_rows, others)


class Held:
    """What each row of a batch holds: O in Eq. (12)."""

    def __init__(self, modalities: Mapping[str, Modality], batch: Mapping[str, tf.Tensor], optional: Iterable[str]):
        self.modalities, self.batch = modalities, batch
        self.names = list(batch)
        # Of those that some rows may lack, Boolean [B].
        self._masks = {name: present(modalities[name], batch[name]) for name in optional if name in batch}
        self._rows: dict[tuple[str, ...], Rows] = {}

    @property
    def required(self) -> set[str]:
        """The modalities in the batch that every row holds."""
        return set(self.names) - set(self._masks)

    def rows(self, names: Iterable[str]) -> Rows:
        """The rows that hold all of these modalities."""
        names = tuple(name for name in self._masks if name in set(names))
        if names not in self._rows:
            masks = [self._masks[name] for name in names]
            self._rows[names] = Rows.where(tf.reduce_all(masks, axis=0)) if masks else Rows()
        return self._rows[names]

    def of(self, names: Iterable[str]) -> dict[str, tf.Tensor]:
        """These modalities of the rows that hold all of them, `[R, ...]`."""
        rows = self.rows(names)
        return {name: rows.of(self.batch[name]) for name in names}

    def beyond(self, names: Iterable[str]) -> tf.Tensor | None:
        """Whether a row holds all of these modalities and others besides, `[B]`; None if every row does."""
        names = set(names)
        mask = self.rows(names).mask
        if mask is None and self.required - names:
            return None
        more = self.count > len(names)
        return more if mask is None else mask & more

    @property
    def count(self) -> tf.Tensor | int:
        """How many modalities a row holds, int32 `[B]`, or a number if that is the same for all."""
        return len(self.required) + sum(tf.cast(mask, tf.int32) for mask in self._masks.values())

    def present(self, name: str) -> tf.Tensor:
        """Whether a row holds a modality, 1 or 0, float32 `[B, 1]`."""
        if name in self._masks:
            return tf.cast(self._masks[name], tf.float32)[:, None]
        return tf.ones((tf.shape(self.batch[name])[0], 1))


def present(modality: Modality, values: tf.Tensor) -> tf.Tensor:
    """Which rows of `[B, *event_shape]` hold an optional modality, Boolean `[B]`."""
    axes = range(1, values.shape.rank)
    gaps = tf.math.is_nan(values)
    missing = tf.reduce_all(gaps, axes) if modality.optional == "entries" else tf.reduce_any(gaps, axes)
    return tf.logical_not(missing)


def without_gaps(values: tf.Tensor) -> tf.Tensor:
    """The values with 0 where they are NaN."""
    return without_gaps_of(values, values)


def without_gaps_of(values: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Others of the same shape with 0 where the values are NaN."""
    return tf.where(tf.math.is_nan(values), tf.zeros_like(others), others)


def as_read(modality: Modality, values: tf.Tensor) -> tf.Tensor:
    """What the modality's encoder reads, `[B, *encoder_shape]`, of values `[B, *event_shape]`."""
    if not modality.optional:
        return values
    if modality.optional is True:
        return without_gaps(values)  # of a row that stands in where there is none
    there = tf.cast(tf.logical_not(tf.math.is_nan(values)), values.dtype)
    return tf.concat([without_gaps(values), there], axis=-1)


def log_prob(modality: Modality, likelihood: tfd.Distribution, values: tf.Tensor) -> tf.Tensor:
    """Log p(m | z), `[...]`, of the entries of `[..., *event_shape]` that are there; 0 of rows without any."""
    if not modality.optional:
        return likelihood.log_prob(values)
    there = tf.logical_not(tf.math.is_nan(values))
    # Values that the likelihood can score: what is computed in a gap must be finite, as must its gradient.
    example = modality.head.noise(1).sample(seed=seeds.to_tensor(0))[0]
    values = tf.where(there, values, tf.cast(example, values.dtype))
    axes = range(-len(modality.event_shape), 0)
    if modality.optional == "entries":
        scores = likelihood.distribution.log_prob(values)
        return tf.reduce_sum(tf.where(there, scores, tf.zeros_like(scores)), axes)
    scores = likelihood.log_prob(values)
    return tf.where(tf.reduce_all(there, axes), scores, tf.zeros_like(scores))


def _statistics(layer: keras.layers.Layer) -> list[keras.Variable]:
    normalizing = [part for part in flatten_layers(layer) if isinstance(part, keras.layers.BatchNormalization)]
    return [variable for part in normalizing for variable in (part.moving_mean, part.moving_variance)]
