"""Objectives, which are weighted sums of named terms, and the training and test steps that Keras's loops run."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import checks
from tf_jmvae.distribute import replicas
from tf_jmvae.models.missing import Held, log_prob
from tf_jmvae.random import sampling, seeds

Batch = Mapping[str, tf.Tensor]
"""Dict of tensors `[B, ...]` by modality."""


class Term(NamedTuple):
    """One term of an objective.

    Attributes:
      coefficient: factor of the term in the equation, a float such as -1 for a KL divergence.
      value: float tensor `[B]`, in nats per example, with its natural sign (a KL divergence is positive).
      to_prior: whether the term is a KL to the prior, which KL warm-up scales in the loss; False by default.
      in_elbo: whether the term belongs to the ELBO; True by default. Additional terms, as in Eq. (10), do not.
      rows: Boolean tensor `[B]`, the rows that have the term, over which its metric is averaged; the value is 0 in
        other rows. None, the default, if all rows have it.
    """

    coefficient: float
    value: tf.Tensor
    to_prior: bool = False
    in_elbo: bool = True
    rows: tf.Tensor | None = None


Terms = Mapping[str, Term]
"""Dict of `Term` objects by name, in the equation's order."""


def log_likelihoods(p: Mapping[str, tfd.Distribution], held: Held) -> dict[str, Term]:
    """Estimates E_q[log p(m | z)] of every modality m in `p` from the sample of z that `p` was decoded from.

    Each p(m | z) covers only the rows that hold m.
    """
    terms = {}
    for name, likelihood in p.items():
        rows, (values,) = held.rows([name]), held.of([name]).values()
        value = rows.back(log_prob(held.modalities[name], likelihood, values))
        terms[f"log_p_{name}"] = Term(1.0, value, rows=rows.mask)
    return terms


def total(terms: Iterable[Term]) -> tf.Tensor:
    """Computes the weighted sum of terms, `[B]`."""
    return sum(term.coefficient * term.value for term in terms)


def elbo(terms: Terms) -> tf.Tensor:
    """Computes the weighted sum of the terms in the ELBO, `[B]`."""
    return total(term for term in terms.values() if term.in_elbo)


EVALUATION_SEED = 0


class Steps:
    """Mixin of `compile` and of the train, test and predict steps, with the terms of `objective` as metrics."""

    @replicas.on_shard
    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        batch, sample_weight = self._unpack(data)
        seed = self._next_seed()
        with tf.GradientTape() as tape:
            terms = self.objective(batch, seed, training=True)
            loss = self._loss(terms, sample_weight, self.kl_weight)
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, self.trainable_variables)
        replicas.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self._track(terms, sample_weight, loss=loss)

    @replicas.on_shard
    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        batch, sample_weight = self._unpack(data)
        # The seed depends only on the number of rows seen: equal weights give equal results at every evaluation.
        seen = tf.cast(replicas.total(tf.convert_to_tensor(self._trackers["loss"].count)), tf.int32)
        terms = self.objective(batch, tf.random.fold_in(seeds.to_tensor(EVALUATION_SEED), seen))
        return self._track(terms, sample_weight, loss=self._loss(terms, sample_weight))

    def predict_step(self, data: Any) -> dict[str, tf.Tensor]:
        observed, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        likelihoods = self(self.read(observed), training=False)
        return {name: self._raw(name, likelihood.mean(), (True,)) for name, likelihood in likelihoods.items()}

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles the model as Keras does, but without a loss or metrics, which the model defines itself.

        Args:
          *args: the optimizer and other arguments of `keras.Model.compile`.
          **kwargs: other arguments of `keras.Model.compile`.

        Raises:
          ValueError: if a loss or metrics are passed.
        """
        options = inspect.signature(super().compile).bind(*args, **kwargs).arguments
        if any(options.get(name) is not None for name in ("loss", "loss_weights", "metrics", "weighted_metrics")):
            raise ValueError(
                "compile() got a loss or metrics, but the objective and its metrics are the model's own: "
                "pass the optimizer only."
            )
        super().compile(*args, **kwargs)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._trackers.values())

    def make_train_function(self, force: bool = False):
        self._make_trackers()
        return super().make_train_function(force=force)

    def make_test_function(self, force: bool = False):
        self._make_trackers()
        return super().make_test_function(force=force)

    def _next_seed(self) -> tf.Tensor:
        """Returns the seed of this training step, int32 `[2]`, and counts the step."""
        seed = tf.identity(tf.convert_to_tensor(self.noise_state))
        self.noise_state.assign_add([0, 1])
        return seed

    def _loss(self, terms: Terms, sample_weight: tf.Tensor | None, kl_weight: tf.Tensor | float = 1.0) -> tf.Tensor:
        """Computes the negative weighted mean of the objective over the batch, plus the networks' regularisers."""
        factors = {f"log_p_{name}": modality.weight for name, modality in self.modalities.items()}
        objective = sum(
            (kl_weight if term.to_prior else factors.get(name, 1.0)) * (term.coefficient * term.value)
            for name, term in terms.items()
        )
        if sample_weight is not None:
            objective = objective * tf.cast(sample_weight, objective.dtype)
        return self._regularization() - replicas.mean(objective)

    def _regularization(self) -> tf.Tensor:
        return replicas.fraction(sum((tf.cast(loss, tf.float32) for loss in self.losses), tf.constant(0.0)))

    def _track(
        self, terms: Terms, sample_weight: tf.Tensor | None, more: Terms | None = None, **others: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Updates the metrics with terms, `[B]`, and `others`, one number per batch; returns their running means."""
        sums = {"elbo": Term(1.0, elbo(terms)), "objective": Term(1.0, total(terms.values()))}
        values = {**sums, **terms, **(more or {})}
        batch_size = tf.shape(values["elbo"].value)[0]
        for name, term in values.items():
            weight = sample_weight
            if term.rows is not None:
                there = tf.cast(term.rows, term.value.dtype)
                weight = there if weight is None else there * tf.cast(weight, there.dtype)
            self._trackers[name].update_state(term.value, sample_weight=weight)
        for name, value in others.items():
            replicas.track_mean(self._trackers[name], value, batch_size)
        return {name: tracker.result() for name, tracker in self._trackers.items() if name in {*values, *others}}

    def _make_trackers(self) -> None:
        if not self._trackers:
            seed = seeds.to_tensor(0)  # noise is valid data, which passes every check of values
            example = {name: sampling.draw(m.head.noise(1), seed) for name, m in self.modalities.items()}
            with self.distribute_strategy.scope():
                names = ["loss", "elbo", "objective", *self.objective(example, seed), *self.extra_metrics]
                self._trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def _unpack(self, data: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        batch, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        checks.check_no_targets(targets)
        if sample_weight is not None:
            sample_weight = tf.reshape(sample_weight, [-1])  # [B], also from [B, 1]
        checks.check_names(self.modalities, batch, required=self.modalities)
        return self.read(batch), sample_weight
