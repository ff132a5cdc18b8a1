"""MultimodalVAE: what every model shares, with the one `train_step`.

A model over modalities m = 1..K is

    z ~ p(z),   m | z ~ p(m | z) independently,

and is trained to maximise a bound made of named terms. A new model is one
class that defines

    objective(batch, seed, training)  the terms of its bound, in the equation's order
    posterior(observed, ...)          q(z | observed) for any subset it supports
    likelihoods(z)                    p(m | z), if not one decoder per modality

A model may also take some modalities as given, and be a model of the others only.

and inherits training, evaluation, prediction, generation and saving.
"""

import inspect
import os
import pathlib
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae import checks, replicas, seeds
from tf_jmvae.distributions import standard_gaussian
from tf_jmvae.modality import Modality
from tf_jmvae.models.components import Decoder, is_network, parts, places
from tf_jmvae.models.distributed_fit import DistributedFit
from tf_jmvae.models.generation import Generation
from tf_jmvae.models.iterated_sampling import IteratedSampling
from tf_jmvae.models.standardization import Standardization, StandardizedModalities
from tf_jmvae.models.validated_fit import ValidatedFit
from tf_jmvae.specs import ModelSpec

tfd = tfp.distributions

__all__ = ["MultimodalVAE", "Term", "log_likelihoods"]

_EVALUATION_SEED = 0


class Term(NamedTuple):
    """One term of an objective.

    Attributes:
      coefficient: its factor in the equation, e.g. -1 for a KL divergence.
      value: `[B]`, in nats per example, with its natural sign (a KL divergence is positive).
      to_prior: whether it is a KL to the prior, which KL warm-up scales in the loss.
      in_elbo: whether it belongs to the ELBO; what is maximised besides, as in Eq. (10), does not.
    """

    coefficient: float
    value: tf.Tensor
    to_prior: bool = False
    in_elbo: bool = True


def log_likelihoods(p: Mapping[str, tfd.Distribution], batch: Mapping[str, tf.Tensor]) -> dict[str, Term]:
    """E_q[log p(m | z)] of every modality m in `p`, estimated by the sample of z that `p` was decoded from."""
    return {f"log_p_{name}": Term(1.0, likelihood.log_prob(batch[name])) for name, likelihood in p.items()}


class MultimodalVAE(Generation, StandardizedModalities, ValidatedFit, DistributedFit, keras.Model):
    """Base of all models.

    `fit` and `evaluate` report every term by name, `objective` (their weighted sum, which training maximises),
    `elbo` (the sum of those in the ELBO: a lower bound on log p, to compare models by) and `loss`. Only for
    `JMVAEKL` do `objective` and `elbo` differ. Callbacks that monitor either need `mode="max"`.

    Args:
      modalities: `Modality` objects by name; their order is kept.
      latent_dim: D, the size of z.
      given: modalities that the model is conditioned on and does not generate.
      iterated_sampling: how missing modalities are completed by Eq. (6), of models that do; or the number of its steps.

    Attributes:
      iterated_sampling: the options, which may be set; a call may have others.
      targets: the modalities that the model generates: those that are not `given`.

    Raises:
      ValueError: if the modalities or `latent_dim` make no sense.
    """

    modality_counts: tuple[int, int | None] = (2, None)  # fewest and most; None is no limit
    num_layers = 1  # of z: stochastic layers between the prior and the data
    extra_metrics: tuple[str, ...] = ()  # besides the loss, the ELBO, the objective and its terms

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        given: Iterable[str] = (),
        iterated_sampling: IteratedSampling | int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.autocast = False  # data stay float32 until a network reads them
        self.modalities = checks.checked_modalities(type(self), modalities)
        self.latent_dim = checks.positive_integer("latent_dim", latent_dim)
        self.iterated_sampling = IteratedSampling.of(iterated_sampling, IteratedSampling())
        given = list(given)
        self.given = [name for name in self.modalities if name in given]
        self.targets = [name for name in self.modalities if name not in given]
        self.decoders = {name: self._make_decoder(name) for name in self.targets}
        self.standardizations = {
            name: Standardization(m.event_shape) for name, m in self.modalities.items() if m.standardized
        }
        # Multiplies the KL to the prior in training; `callbacks.KLWarmUp` raises it from 0 to 1.
        self.kl_weight = self._state("kl_weight", 1.0, "float32")
        # The seed of the training noise and the step: saved with the weights, so a resumed run repeats it.
        self.noise_state = self._state("noise_state", [random.randrange(2**31), 0], "int32")
        self._trackers: dict[str, keras.metrics.Mean] = {}
        self.built = True

    # What a model defines.

    def objective(self, batch: Mapping[str, tf.Tensor], seed: tf.Tensor, training: bool = False) -> dict[str, Term]:
        """The terms by name of what is maximised, which is their weighted sum.

        Args:
          batch: every modality, `[B, *event_shape]`.
          seed: int32 `[2]`; equal seeds give equal noise.
          training: passed to the networks.

        Returns:
          Terms in the equation's order. In the loss, and only there, `log_p_<modality>` is
          scaled by that modality's weight, and KL terms to the prior are warmed up.
        """
        raise NotImplementedError(f"{type(self).__name__} must define objective()")

    def posterior(
        self,
        observed: Mapping[str, Any],
        *,
        iterated_sampling: IteratedSampling | int | None = None,
        seed: int | tf.Tensor | None = None,
        training: bool = False,
    ) -> tfd.Distribution:
        """q(z | observed), a Gaussian `[B, D]`, for any non-empty subset of the modalities.

        Args:
          observed: arrays or tensors `[B, *event_shape]` by name.
          iterated_sampling: for models that complete missing modalities by Eq. (6): other options than the model's own,
            or another number n of steps: it is the posterior from which the n-th z is drawn. Others do not use it.
          seed: of the iterated sampling, one for all or one for each row; equal seeds give equal results.
          training: passed to the networks.

        Returns:
          A TFP Gaussian with diagonal covariance, batch shape `[B]`, event shape `[D]`.

        Raises:
          ValueError: unknown modality, values that do not fit it, or a subset that the model has no posterior for.
        """
        raise NotImplementedError(f"{type(self).__name__} must define posterior()")

    def likelihoods(
        self,
        z: tf.Tensor,
        *,
        given: Mapping[str, tf.Tensor] | None = None,
        names: Iterable[str] | None = None,
        training: bool = False,
    ) -> dict[str, tfd.Distribution]:
        """p(m | z) for every modality m that the model generates, or for those in `names`.

        Args:
          z: `[..., D]`; `[B, ..., D]` for models whose decoders read `given`.
          given: `[B, *event_shape]` by name; only models with p(m | z, given) read it.
          names: which modalities to decode; all by default.
          training: passed to the networks.

        Returns:
          TFP distributions with batch shape `[...]` and the modality's event shape.
        """
        names = self.targets if names is None else names
        return {name: self.decoders[name](z, training=training) for name in names}

    def prior(self, given: Mapping[str, tf.Tensor] | None = None, training: bool = False) -> tfd.Distribution:
        """p(z), or p(z | given) for models that condition it.

        Args:
          given: `[B, *event_shape]` by name; only models with p(z | given) read it.
          training: passed to the networks.

        Returns:
          N(0, I) over `[D]`; or a Gaussian `[B, D]`, for models that condition it.
        """
        return standard_gaussian(self.latent_dim)

    def _make_decoder(self, name: str) -> keras.layers.Layer:
        modality = self.modalities[name]
        return Decoder(modality.decoder, modality.head, self.latent_dim, f"decoder of modality {name!r}")

    # What follows from it.

    @property
    def spec(self) -> ModelSpec:
        """What is known of the model without its networks."""
        roles = {name: "given" if name in self.given else "target" for name in self.modalities}
        modalities = {name: replace(m.spec, role=roles[name]) for name, m in self.modalities.items()}
        num_steps = int(self.iterated_sampling.num_steps)
        return ModelSpec(type(self).__name__, modalities, self.latent_dim, num_steps)

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> dict[str, tfd.Distribution]:
        """p(m | z) of every target, given any subset of the modalities, at the z of `generate(latent="mean")`.

        Args:
          inputs: `[B, *event_shape]` by name.
          training: passed to the networks.

        Returns:
          TFP distributions by target, batch shape `[B]`.
        """
        posterior = self.posterior(inputs, seed=_EVALUATION_SEED, training=training)
        z = self.draw_latents(posterior, tf.zeros_like(posterior.mean()))
        return self.likelihoods(z, given=inputs, training=training)

    def elbo(self, batch: Mapping[str, Any], seed: int | tf.Tensor | None = None) -> tf.Tensor:
        """The ELBO of each example, in nats, from one sample of z: a lower bound on log p(batch), on average.

        It may be compared between models of the same likelihoods, whatever else they maximise.

        Args:
          batch: every modality, `[B, *event_shape]` by name.
          seed: integer, or int32 tensor `[2]`; None differs every time.

        Returns:
          `[B]`: the weighted sum of the terms in the ELBO, without KL warm-up and modality weights.
        """
        return _elbo(self.objective(self._complete(batch), seeds.to_tensor(seed)))

    def networks(self) -> dict[str, keras.layers.Layer]:
        """The networks that the model is made of, copies of those that it was given, by what they are for.

        What is set of their `trainable`, also of single layers, is saved with the model. Given to another `Modality`,
        they bring their weights.

        Returns:
          Keras layers by name: `"encoder/x"`, which reads modality x in the joint encoder; in that of x and w
          `"subset_encoders/x_and_w/x"`; in a hierarchical model `"towers/x"`; where w is given `"prior_encoder/w"` and
          `"decoders/x/w"`; `"decoders/x"`, `"encoder/trunk"`, `"layer_networks/0"`, `"layer_priors/0"`,
          `"discriminator"`; and of heads `"decoders/x/projections/0"`.

        Examples:
          >>> model.networks()["encoder/x"].trainable = False
        """
        return {name: layer for _, name, layer in places(self) if is_network(layer)}

    @replicas.on_part
    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        batch, sample_weight = self._unpack(data)
        seed = self._next_seed()
        with tf.GradientTape() as tape:
            terms = self.objective(batch, seed, training=True)
            loss = self._loss(terms, sample_weight, self.kl_weight)
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, self.trainable_variables)
        replicas.apply_gradients(self.optimizer, gradients, self.trainable_variables)
        return self._track(terms, loss, sample_weight)

    @replicas.on_part
    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        batch, sample_weight = self._unpack(data)
        # The same noise at every evaluation, another for every batch: equal weights give equal numbers.
        seen = tf.cast(replicas.total(tf.convert_to_tensor(self._trackers["loss"].count)), tf.int32)
        terms = self.objective(batch, tf.random.fold_in(seeds.to_tensor(_EVALUATION_SEED), seen))
        return self._track(terms, self._loss(terms, sample_weight), sample_weight)

    def predict_step(self, data: Any) -> dict[str, tf.Tensor]:
        observed, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        likelihoods = self(self.read(observed), training=False)
        return {name: self._raw(name, likelihood.mean(), (True,)) for name, likelihood in likelihoods.items()}

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras's, without a loss or metrics, which are the model's own.

        Args:
          *args: the optimizer and what else `keras.Model.compile` takes.
          **kwargs: likewise.

        Raises:
          ValueError: a loss or metrics.
        """
        options = inspect.signature(super().compile).bind(*args, **kwargs).arguments
        if any(options.get(name) is not None for name in ("loss", "loss_weights", "metrics", "weighted_metrics")):
            raise ValueError(
                "compile() got a loss or metrics, but the objective and its metrics are the model's own: "
                "pass the optimizer only."
            )
        super().compile(*args, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._trackers.values())

    def make_train_function(self, force: bool = False):
        self._make_trackers()
        return super().make_train_function(force=force)

    def make_test_function(self, force: bool = False):
        self._make_trackers()
        return super().make_test_function(force=force)

    def get_config(self) -> dict[str, Any]:
        serialized = {name: keras.saving.serialize_keras_object(m) for name, m in self.modalities.items()}
        own = {
            "modalities": serialized,
            "latent_dim": self.latent_dim,
            "iterated_sampling": keras.saving.serialize_keras_object(self.iterated_sampling),
            "frozen": [place for place, layer in parts(self) if not layer.trainable],
        }
        return {**super().get_config(), **own}

    def save(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """As Keras's, to a `.keras` file.

        Args:
          filepath: where.
          *args: as of `keras.Model.save`.
          **kwargs: likewise.

        Raises:
          ValueError: HDF5, which cannot hold such a model.
        """
        if str(filepath).lower().endswith((".h5", ".hdf5")):
            raise ValueError(
                f"Save as .keras, as in model.save('model.keras'): HDF5 holds no model of this kind; got {filepath}. "
                "For weights alone there is save_weights('model.weights.h5')."
            )
        super().save(filepath, *args, **kwargs)

    def export(
        self, filepath: str | os.PathLike, format: str = "tf_saved_model", verbose: bool | None = None, **options: Any
    ) -> pathlib.Path:
        """Writes a SavedModel for TF Serving and TF Hub, with a signature for everything that the model can be asked.

        Args:
          filepath: `NAME`, which gets its next free version, or `NAME/VERSION`, with a number.
          format: `"tf_saved_model"`; of Keras's formats there is no other.
          verbose: print where the model is.
          **options: see `tf_jmvae.serving.export`.

        Returns:
          The version's folder.

        Raises:
          ValueError: another format, or Keras's `input_signature`; and see `tf_jmvae.serving.export`.
        """
        from tf_jmvae.serving import export

        if format != "tf_saved_model" or options.pop("input_signature", None) is not None:
            raise ValueError(
                "export writes format='tf_saved_model' only, and its signatures follow from the modalities and given=, "
                f"not from an input_signature; got format={format!r}."
            )
        folder = export(self, filepath, **options)
        if verbose:
            print(f"Exported to {folder}.")
        return folder

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        with keras.saving.custom_object_scope(custom_objects or {}):
            settings = {key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
            frozen = settings.pop("frozen", None)
            model = cls(**settings)
        for place, layer in parts(model) if frozen is not None else ():
            layer.trainable = place not in frozen  # in this order: what a layer is told, those in it are told
        return model

    def _next_seed(self) -> tf.Tensor:
        """The seed of this training step, int32 `[2]`."""
        seed = tf.identity(tf.convert_to_tensor(self.noise_state))
        self.noise_state.assign_add([0, 1])
        return seed

    def _loss(
        self, terms: Mapping[str, Term], sample_weight: tf.Tensor | None, kl_weight: tf.Tensor | float = 1.0
    ) -> tf.Tensor:
        """The negative weighted mean objective over the batch, plus the networks' regularisers."""
        return self._regularization() - self._weighted_mean(terms, sample_weight, kl_weight)

    def _weighted_mean(
        self, terms: Mapping[str, Term], sample_weight: tf.Tensor | None, kl_weight: tf.Tensor | float
    ) -> tf.Tensor:
        """The sum of the terms as the loss weighs them, averaged over the batch."""
        factors = {f"log_p_{name}": modality.weight for name, modality in self.modalities.items()}
        objective = sum(
            (kl_weight if term.to_prior else factors.get(name, 1.0)) * (term.coefficient * term.value)
            for name, term in terms.items()
        )
        if sample_weight is not None:
            objective = objective * tf.cast(sample_weight, objective.dtype)
        return replicas.mean(objective)

    def _regularization(self) -> tf.Tensor:
        return replicas.share(sum((tf.cast(loss, tf.float32) for loss in self.losses), tf.constant(0.0)))

    def _track(
        self,
        terms: Mapping[str, Term],
        loss: tf.Tensor,
        sample_weight: tf.Tensor | None,
        others: Mapping[str, tf.Tensor] | None = None,
    ) -> dict[str, tf.Tensor]:
        """Means so far of the loss, the ELBO, the objective, its terms, and `others`, each one number for the batch."""
        elbo, objective = _elbo(terms), _sum(terms.values())
        batch_size = tf.shape(elbo)[0]
        values = {"elbo": elbo, "objective": objective, **{name: term.value for name, term in terms.items()}}
        for name, value in values.items():
            self._trackers[name].update_state(value, sample_weight=sample_weight)
        others = {"loss": loss, **(others or {})}
        for name, value in others.items():
            replicas.track_mean(self._trackers[name], value, batch_size)
        return {name: tracker.result() for name, tracker in self._trackers.items() if name in {*values, *others}}

    def _make_trackers(self) -> None:
        if not self._trackers:
            example = {name: tf.zeros((1, *m.event_shape)) for name, m in self.modalities.items()}
            with self.distribute_strategy.scope():
                names = ["loss", "elbo", "objective", *self.objective(example, seeds.to_tensor(0)), *self.extra_metrics]
                self._trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def _unpack(self, data: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        batch, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        checks.check_no_targets(targets)
        if sample_weight is not None:
            sample_weight = tf.reshape(sample_weight, [-1])  # [B], also from [B, 1]
        checks.check_names(self.modalities, batch, required=self.modalities)
        return self.read(batch), sample_weight

    def _complete(self, batch: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        checks.check_names(self.modalities, batch, required=self.modalities)
        return checks.to_tensors(self.modalities, batch)

    def _state(self, name: str, value: Any, dtype: str) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=np.shape(value),
            dtype=dtype,
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            initializer=lambda shape, dtype: tf.cast(value, dtype),
        )


def _elbo(terms: Mapping[str, Term]) -> tf.Tensor:
    return _sum(term for term in terms.values() if term.in_elbo)


def _sum(terms: Iterable[Term]) -> tf.Tensor:
    return sum(term.coefficient * term.value for term in terms)
