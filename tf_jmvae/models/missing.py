"""Missing data: rows that lack a modality, or entries of one, as NaN in the data and masks in the models.

Values at missing positions never reach a network, a log-density or batch statistics. Rows that lack a network's inputs
are left out before the network, and its outputs are scattered back into their rows afterwards. So the cost of a batch
follows from the modalities that its rows hold, and one graph runs every pattern of missing data. If no modality is
`optional`, this module adds no operation.
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
    """Subset of the rows of a batch of size B; by default all rows.

    Attributes:
      mask: Boolean tensor `[B]`, which rows are in the subset; None, the default, for all.
      indices: int64 tensor `[R]` of the row numbers. It is never empty, because networks need an input: if no row of
        the global batch is in the subset, the first row is the placeholder, whose outputs are discarded. None, the
        default, if all rows are computed, R = B, and the mask selects afterwards.
    """

    mask: tf.Tensor | None = None
    indices: tf.Tensor | None = None
    _any: tf.Tensor | None = None  # whether the global batch has a row in the subset

    @classmethod
    def where(cls, mask: tf.Tensor) -> "Rows":
        """Returns the rows where the mask, `[B]`, is True."""
        found = tf.where(mask)[:, 0]
        there = replicas.total(tf.shape(found)[0]) > 0
        stand_in = tf.range(tf.minimum(tf.size(mask, tf.int64), 1))
        return cls(mask, tf.cond(there, lambda: found, lambda: stand_in), there)

    def of(self, values: tf.Tensor) -> tf.Tensor:
        """Gathers these rows, `[R, ...]`, from values `[B, ...]`."""
        return values if self.indices is None else tf.gather(values, self.indices)

    def into(self, whole: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Returns `whole`, `[B, ...]`, with the values `[R, ...]` scattered into these rows."""
        if self.mask is None:
            return values
        if self.indices is not None:
            values = tf.tensor_scatter_nd_update(whole, self.indices[:, None], values)
        return tf.where(tf.reshape(self.mask, [-1] + [1] * (whole.shape.rank - 1)), values, whole)

    def back(self, values: tf.Tensor) -> tf.Tensor:
        """Scatters values `[R, ...]` into their rows of `[B, ...]`, with 0 in all other rows."""
        if self.mask is None:
            return values
        shape = tf.concat([tf.shape(self.mask), tf.shape(values)[1:]], axis=0)
        return self.into(tf.ensure_shape(tf.zeros(shape, values.dtype), [None, *values.shape[1:]]), values)

    @contextlib.contextmanager
    def seen_by(self, layer: keras.layers.Layer, training: bool) -> Iterator[None]:
        """Context for a call of `layer` on these rows; without any row its batch statistics are restored after it."""
        statistics = [] if self._any is None or not training else _statistics(layer)
        before = [tf.identity(tf.convert_to_tensor(variable)) for variable in statistics]
        yield
        for variable, old in zip(statistics, before, strict=True):
            variable.assign(tf.where(self._any, tf.convert_to_tensor(variable), old))


class ByRow(NoiseTransform):
    """Distribution over z, `[B, D]`, that is `of_rows`, `[R, D]`, in some rows and `others`, `[B, D]`, elsewhere."""

    def __init__(self, rows: Rows, of_rows: tfd.Distribution, others: tfd.Distribution):
        parameters = dict(locals())
        self.rows, self.of_rows, self.others = rows, of_rows, others
        super().__init__(others.batch_shape_tensor, others.batch_shape, others.event_shape, parameters)

    def from_noise(self, noise):
        return self.rows.into(from_noise(self.others, noise), from_noise(self.of_rows, self.rows.of(noise)))

    def kl_estimate(self, p, z):
        """Estimates KL(self || p) for each row, in closed form if the row's distribution and p are Gaussian."""
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
    """Returns the distribution `[B, D]` that is `of_rows`, `[R, D]`, in the given rows and `others` elsewhere."""
    if rows.mask is None:
        return of_rows
    if is_gaussian(of_rows) and is_gaussian(others):
        return mapped(rows.into, others, of_rows)
    return ByRow(rows, of_rows, others)


class Held:
    """Modalities that each row of a batch holds: O in Eq. (12)."""

    def __init__(self, modalities: Mapping[str, Modality], batch: Mapping[str, tf.Tensor], optional: Iterable[str]):
        self.modalities, self.batch = modalities, batch
        self.names = list(batch)
        # Boolean [B] for each modality that some rows may lack.
        self._masks = {name: present(modalities[name], batch[name]) for name in optional if name in batch}
        self._rows: dict[tuple[str, ...], Rows] = {}

    @property
    def required(self) -> set[str]:
        """Names of the modalities in the batch that every row holds."""
        return set(self.names) - set(self._masks)

    def rows(self, names: Iterable[str]) -> Rows:
        """Returns the rows that hold all of these modalities."""
        names = tuple(name for name in self._masks if name in set(names))
        if names not in self._rows:
            masks = [self._masks[name] for name in names]
            self._rows[names] = Rows.where(tf.reduce_all(masks, axis=0)) if masks else Rows()
        return self._rows[names]

    def of(self, names: Iterable[str]) -> dict[str, tf.Tensor]:
        """Returns these modalities for the rows that hold all of them, `[R, ...]` each."""
        rows = self.rows(names)
        return {name: rows.of(self.batch[name]) for name in names}

    def beyond(self, names: Iterable[str]) -> tf.Tensor | None:
        """Returns whether each row holds all of these modalities and more, Boolean `[B]`; None if every row does."""
        names = set(names)
        mask = self.rows(names).mask
        if mask is None and self.required - names:
            return None
        more = self.count > len(names)
        return more if mask is None else mask & more

    @property
    def count(self) -> tf.Tensor | int:
        """Number of modalities that each row holds, int32 `[B]`, or an integer if all rows hold the same."""
        return len(self.required) + sum(tf.cast(mask, tf.int32) for mask in self._masks.values())

    def present(self, name: str) -> tf.Tensor:
        """Returns whether each row holds a modality, 1 or 0, float32 `[B, 1]`."""
        if name in self._masks:
            return tf.cast(self._masks[name], tf.float32)[:, None]
        return tf.ones((tf.shape(self.batch[name])[0], 1))


def present(modality: Modality, values: tf.Tensor) -> tf.Tensor:
    """Returns whether each row of `[B, *event_shape]` holds an optional modality, Boolean `[B]`."""
    axes = range(1, values.shape.rank)
    gaps = tf.math.is_nan(values)
    missing = tf.reduce_all(gaps, axes) if modality.optional == "entries" else tf.reduce_any(gaps, axes)
    return tf.logical_not(missing)


def without_gaps_of(values: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Returns `others` with 0 where `values`, of the same shape, are NaN."""
    return tf.where(tf.math.is_nan(values), tf.zeros_like(others), others)


def as_read(modality: Modality, values: tf.Tensor) -> tf.Tensor:
    """Returns the input of the modality's encoder for values `[B, *event_shape]`.

    If entries may be missing, the mask of those that are there follows on the last axis, which is twice as long.
    """
    if not modality.optional:
        return values
    filled = without_gaps_of(values, values)
    if modality.optional is True:  # only in a placeholder row
        return filled
    there = tf.cast(tf.logical_not(tf.math.is_nan(values)), values.dtype)
    return tf.concat([filled, there], axis=-1)


def log_prob(modality: Modality, likelihood: tfd.Distribution, values: tf.Tensor) -> tf.Tensor:
    """Computes log p(m | z), `[...]`, of the entries of `[..., *event_shape]` that are not missing; 0 without any."""
    if not modality.optional:
        return likelihood.log_prob(values)
    there = tf.logical_not(tf.math.is_nan(values))
    # Missing entries get a valid value, because their log-density and its gradient must be finite too.
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
