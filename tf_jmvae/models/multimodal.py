"""`MultimodalVAE`, the base class of all models.

A model over modalities m = 1..K is z ~ p(z), m | z ~ p(m | z) independently, and is trained to maximise a bound made
of named terms. A new model is one class that defines

    objective(batch, seed, training)  the terms of its bound, in the equation's order
    posterior(observed, ...)          q(z | observed) for any subset it supports
    likelihoods(z)                    p(m | z), if not one decoder per modality

where `log_likelihoods` makes the terms log p(m | z) of the entries that are not missing,

and inherits training, evaluation, prediction, generation and saving. A model may also be conditioned on some modalities
and generate the others only.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tf_jmvae._utils import cells, checks, gaps
from tf_jmvae.distribute.replicas import DistributedFit
from tf_jmvae.distributions import standard_gaussian, without_noise
from tf_jmvae.modality import Modality
from tf_jmvae.models import by_batch, compiled
from tf_jmvae.models.compiled import CompiledCalls
from tf_jmvae.models.components import Decoder, is_network, places
from tf_jmvae.models.fitted_prior import FittedPriorMixin
from tf_jmvae.models.generation import Generation
from tf_jmvae.models.iterated_sampling import IteratedSampling, options_of
from tf_jmvae.models.missing import Held
from tf_jmvae.models.modality_names import checked_modalities
from tf_jmvae.models.objective import EVALUATION_SEED, Steps, Term, elbo, log_likelihoods
from tf_jmvae.models.saving import Saving
from tf_jmvae.models.standardization import Standardization, StandardizedModalities
from tf_jmvae.models.validated_fit import ValidatedFit
from tf_jmvae.random import seeds
from tf_jmvae.specs import ModelSpec


class MultimodalVAE(
    Generation,
    FittedPriorMixin,
    StandardizedModalities,
    Saving,
    CompiledCalls,
    Steps,
    ValidatedFit,
    DistributedFit,
    keras.Model,
):
    """Base class of all models: a `keras.Model` of several modalities with a common latent variable z.

    `fit` and `evaluate` report every term by name, `objective` (their weighted sum, which training maximises),
    `elbo` (the sum of the terms in the ELBO, a lower bound on log p by which models can be compared) and `loss`. Only
    for `JMVAEKL` do `objective` and `elbo` differ. Callbacks that monitor either need `mode="max"`.

    Args:
      modalities: dict of `Modality` objects by name; their order is kept.
      latent_dim: D, the number of entries of z, a positive integer.
      conditions: names of the modalities that the model is conditioned on and does not generate; `()` by default.
      iterated_sampling: an `IteratedSampling` or a number of steps, the options of iterated sampling, Eq. (6), for
        models that complete missing modalities by it; one step by default.

    Attributes:
      targets: list of the names of the modalities that the model generates: all but the `conditions`.

    Raises:
      ValueError: if the number or the names of the modalities, or `latent_dim`, do not fit the model.
    """

    modality_counts: tuple[int, int | None] = (2, None)  # minimum and maximum; None for no limit
    num_layers = 1  # of z: stochastic layers between the prior and the data
    incomplete_rows = False  # whether rows may lack modalities that are `optional`
    extra_metrics: tuple[str, ...] = ()  # reported besides the loss, the ELBO, the objective and its terms

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        latent_dim: int,
        *,
        conditions: str | Iterable[str] = (),
        iterated_sampling: IteratedSampling | int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._remember_calls()
        self.autocast = False  # data stay float32 until a network reads them
        self.modalities = checked_modalities(type(self), modalities)
        self.latent_dim = checks.positive_integer("latent_dim", latent_dim)
        self.iterated_sampling = iterated_sampling
        conditions = checks.names_of(conditions)
        if unknown := [name for name in conditions if name not in self.modalities]:
            raise ValueError(
                f"conditions: unknown modality {checks.listed(unknown)}; the modalities are "
                f"{checks.listed(self.modalities)}."
            )
        self.conditions = [name for name in self.modalities if name in conditions]
        self.targets = [name for name in self.modalities if name not in conditions]
        self.decoders = {name: self._make_decoder(name) for name in self.targets}
        self.standardizations = {
            name: Standardization(m.event_shape, f"standardization_{name}")
            for name, m in self.modalities.items()
            if m.standardized
        }
        # Multiplies the KL to the prior in training; `callbacks.KLWarmUp` raises it from 0 to 1.
        self.kl_weight = self._state("kl_weight", 1.0, "float32")
        # Seed of the training noise, and step; saved with the weights, so that a resumed run continues the same noise.
        self.noise_state = self._state("noise_state", [random.randrange(2**31), 0], "int32")
        self._trackers: dict[str, keras.metrics.Mean] = {}
        self.built = True

    # Methods that models define.

    def objective(self, batch: Mapping[str, tf.Tensor], seed: tf.Tensor, training: bool = False) -> dict[str, Term]:
        """Computes the terms of the objective, whose weighted sum is maximised, in nats per example.

        Args:
          batch: dict of tensors `[B, *event_shape]` of every modality.
          seed: int32 tensor `[2]`, or `[B, 2]` with a seed for each row; equal seeds give equal noise.
          training: whether networks run in training mode (dropout, batch statistics); False by default.

        Returns:
          Dict of `Term` objects in the equation's order. In the loss, and only there, `log_p_<modality>` is
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
        batch_size: int | None = None,
        verbose: int | str = "auto",
    ) -> tfd.Distribution | dict[str, np.ndarray]:
        """Computes the approximate posterior q(z | observed), for any non-empty subset of the modalities.

        Subclasses define it without `batch_size` and `verbose`; their class then adds datasets, batching and
        compilation.

        Args:
          observed: arrays or tensors `[B, *event_shape]` by name, or a `tf.data.Dataset` of batches of such dicts, in
            the model's own values: of raw ones `dataset.map(model.read)`.
          iterated_sampling: for models that complete missing modalities by Eq. (6), an `IteratedSampling` or a number n
            of steps, after which the posterior of the n-th z is returned; the model's own options by default. Other
            models ignore it.
          seed: seed of iterated sampling: integer, or int32 tensor `[2]`, or `[B, 2]` with a seed for each row; equal
            seeds give equal results. None, the default, draws a new seed at every call.
          training: whether networks run in training mode; False by default.
          batch_size: number of rows of which the answer is computed at once, for data of any number of rows; None, the
            default, for all rows of arrays, and the batches of a dataset.
          verbose: by batch, 1 or `"auto"`, the default, shows a progress bar, 2 a line, 0 nothing.

        Returns:
          TFP distribution with batch shape `[B]` and event shape `[D]`: a Gaussian with diagonal covariance, or the
          distribution of the model's `flow`, whose mean is z without noise. For a dataset or with `batch_size`, the
          mean and stddev as NumPy arrays, as `open_model(..).encode` returns them:
          `{"mean": [N, D], "standard_deviation": [N, D]}`.

        Raises:
          ValueError: if a modality is unknown, values do not fit it, or the model has no posterior for the subset.
        """
        raise NotImplementedError(f"{type(self).__name__} must define posterior()")

    def likelihoods(
        self,
        z: tf.Tensor,
        *,
        conditions: Mapping[str, tf.Tensor] | None = None,
        names: Iterable[str] | None = None,
        training: bool = False,
    ) -> dict[str, tfd.Distribution]:
        """Decodes p(m | z) for every modality m that the model generates, or for those in `names`.

        Args:
          z: float tensor `[..., D]`; `[B, ..., D]` for models whose decoders read `conditions`.
          conditions: tensors `[B, *event_shape]` by name; only models with p(m | z, conditions) read it.
          names: names of the modalities to decode; all targets by default.
          training: whether networks run in training mode; False by default.

        Returns:
          Dict of TFP distributions by modality, with batch shape `[...]` and the modality's event shape.
        """
        names = self.targets if names is None else names
        return {name: self.decoders[name](z, training=training) for name in names}

    def prior(self, conditions: Mapping[str, tf.Tensor] | None = None, training: bool = False) -> tfd.Distribution:
        """Returns the prior p(z), or p(z | conditions) for models with a conditional prior.

        Args:
          conditions: tensors `[B, *event_shape]` by name; only models with p(z | conditions) read it.
          training: whether networks run in training mode; False by default.

        Returns:
          TFP distribution N(0, I) over `[D]`, or a Gaussian `[B, D]` for models with a conditional prior.
        """
        return standard_gaussian(self.latent_dim)

    def _make_decoder(self, name: str) -> keras.layers.Layer:
        m, role = self.modalities[name], f"decoder of modality {name!r}"
        return Decoder(m.decoder, m.head, self.latent_dim, role, name, f"decoder_{name}")

    # Methods that follow from them.

    @property
    def latent_size(self) -> int:
        """Number of entries of z: `latent_dim`, for each layer of a hierarchical model."""
        return self.latent_dim * self.num_layers

    @property
    def iterated_sampling(self) -> IteratedSampling:
        """Options of iterated sampling, Eq. (6); may be set to an `IteratedSampling` or a number of steps."""
        return self._iterated_sampling

    @iterated_sampling.setter
    def iterated_sampling(self, value: IteratedSampling | int | None) -> None:
        self._iterated_sampling = options_of(value, IteratedSampling())

    @property
    def spec(self) -> ModelSpec:
        """`ModelSpec` of the model: what is known of it without its networks."""
        modalities = {name: m.spec for name, m in self.modalities.items()}
        modalities |= {name: replace(modalities[name], role="given") for name in self.conditions}
        return ModelSpec(type(self).__name__, modalities, self.latent_dim, int(self.iterated_sampling.num_steps))

    def __call__(self, inputs: Mapping[str, Any], *args: Any, **kwargs: Any) -> dict[str, tfd.Distribution]:
        # Keras accepts only dicts of arrays, and would ignore the mask of masked arrays.
        return super().__call__(self.checked(inputs), *args, **kwargs)

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> dict[str, tfd.Distribution]:
        """Computes p(m | z) of every target, given any subset of the modalities, at the z of `generate(latent="mean")`.

        Args:
          inputs: tensors `[B, *event_shape]` by name.
          training: whether networks run in training mode; False by default.

        Returns:
          Dict of TFP distributions by target, with batch shape `[B]`.
        """
        posterior = self.posterior(inputs, seed=EVALUATION_SEED, training=training)
        z = self.draw_latents(posterior, without_noise(posterior))
        return self.likelihoods(z, conditions=inputs, training=training)

    def elbo(
        self,
        batch: Mapping[str, Any] | tf.data.Dataset,
        seed: int | tf.Tensor | None = None,
        *,
        batch_size: int | None = None,
        verbose: int | str = "auto",
    ) -> tf.Tensor | np.ndarray:
        """Estimates the ELBO of each example, in nats, from one sample of z: on average a lower bound on log p(batch).

        Models with the same likelihoods can be compared by it, whatever their objectives.

        Args:
          batch: dict of arrays or tensors `[B, *event_shape]` of every modality by name, or a `tf.data.Dataset` of
            batches of such dicts, in the model's own values; convert raw values first, as in `dataset.map(model.read)`.
          seed: integer, or int32 tensor `[2]`, or `[B, 2]` with a seed for each row; None, the default, draws a new
            seed at every call. Batched calls derive a seed for each row, so that results do not depend on the batch
            size.
          batch_size: as for `posterior`.
          verbose: as for `posterior`.

        Returns:
          Float tensor `[B]`, the weighted sum of the terms in the ELBO, without KL warm-up and modality weights; for a
          dataset or with `batch_size`, a NumPy array of all rows.
        """
        if by_batch.is_meant(batch, batch_size):

            def ask(batch, seed):
                return {"elbo": self.elbo(batch, seed)}

            reading = {"seed": seed, "batch_size": batch_size, "verbose": verbose}
            return by_batch.answers(self, batch, ask, **reading)["elbo"]
        checked = self.checked(batch)
        checks.check_names(self.modalities, checked, required=self.modalities)
        seed = seeds.of_rows(seed, next(iter(checked.values())).shape[0])
        return compiled.call(self, "elbo", lambda batch, seed: elbo(self.objective(batch, seed)), checked, seed)

    def checked(self, batch: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """Checks values in the model's own units, as `posterior` takes them.

        Args:
          batch: arrays or tensors `[B, *event_shape]` by name, of any non-empty subset of the modalities; a
            `pandas.DataFrame` or texts in a table's own units, of modalities that have columns.

        Returns:
          Dict of float32 tensors in the model's order of modalities.

        Raises:
          ValueError: if a modality is unknown, values do not fit it, or a row lacks what the model requires.
          TypeError: if `batch` is not a dict, or holds values that are not numbers.
        """
        batch, of_cells = cells.encoded(self.modalities, batch)
        tensors = checks.to_tensors(self.modalities, batch)
        for name in of_cells & set(self.standardizations):
            tensors[name] = self.standardizations[name](tensors[name])
        gaps.check_rows(self, tensors)
        return tensors

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Returns the model's networks by name, which are copies of the prototypes in its modalities and options.

        A network's `trainable`, also of single layers, is saved with the model. Passed to another `Modality`, a network
        keeps its weights.

        Returns:
          Dict of Keras layers: `"encoder/x"` reads modality x in the joint encoder, `"subset_encoders/x_and_w/x"` in
          the encoder of x and w, `"towers/x"` in a hierarchical model, and `"prior_encoder/w"` and `"decoders/x/w"`
          read the condition w. Others are `"decoders/x"`, `"encoder/trunk"`, `"layer_networks/0"`, `"layer_priors/0"`,
          `"discriminator"` and, in heads, `"decoders/x/projections/0"`.

        Examples:
          >>> model.networks()["encoder/x"].trainable = False
        """
        return {name: layer for _, name, layer in places(self) if is_network(layer)}

    def log_likelihoods(self, p: Mapping[str, tfd.Distribution], batch: Mapping[str, tf.Tensor]) -> dict[str, Term]:
        """Computes the terms log p(m | z) of an objective, each a sum over the entries that are not missing.

        Args:
          p: dict of TFP distributions by modality, batch shape `[B]`, as `likelihoods` returns them.
          batch: tensors `[B, *event_shape]` by name.

        Returns:
          Dict of `Term` objects by `log_p_<modality>`.
        """
        return log_likelihoods(p, Held(self.modalities, batch, ()))

    def _left_out_without(self) -> list[str]:
        """Returns the optional modalities without which `fit` and `evaluate` leave a row out rather than refuse it.

        They are targets of a conditional model, which learns nothing from the conditions alone.
        """
        one_way = bool(self.conditions) and not self.incomplete_rows
        return [name for name in self.targets if one_way and self.modalities[name].optional is True]

    def _held(self, batch: Mapping[str, tf.Tensor]) -> Held:
        """Returns the modalities that each row of a batch holds."""
        optional = [name for name, modality in self.modalities.items() if modality.optional and self.incomplete_rows]
        return Held(self.modalities, batch, optional)

    def _state(self, name: str, value: Any, dtype: str) -> keras.Variable:
        options = {"trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        options["initializer"] = lambda shape, dtype: tf.cast(value, dtype)
        return self.add_weight(name=name, shape=np.shape(value), dtype=dtype, **options)
