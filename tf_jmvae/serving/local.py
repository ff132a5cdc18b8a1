"""`LocalModel`, the base class of models in this process, and `LiveModel`, for models that are not exported."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae import heads
from tf_jmvae._utils import checks
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.serving.functions import Settings
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.serving.request import Signature
from tf_jmvae.serving.signatures import endpoints
from tf_jmvae.specs import ModalitySpec, ModelSpec

# Lines of an error message that locate an op in the graph.
_PLACE = re.compile(r"Graph execution error|Detected at node|<stack traces|\s*\[\[|\s+File |\s*$")


class LocalModel(InferenceModel):
    """Base class of models in this process, which refuse values outside the support of their likelihoods."""

    def __init__(self, spec: ModelSpec, signatures: Mapping[str, Signature], functions: Mapping[str, Callable]):
        self._spec, self._signatures, self._functions = spec, signatures, functions
        self._heads = {name: _head(modality) for name, modality in spec.modalities.items()}

    @property
    def spec(self) -> ModelSpec:
        return self._spec

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._signatures

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        specs = self._signatures[signature].inputs
        tensors = {name: tf.convert_to_tensor(value, specs[name].dtype) for name, value in inputs.items()}
        try:
            outputs = self._functions[signature](tensors)
        except tf.errors.InvalidArgumentError as error:
            lines = (line for line in error.message.splitlines() if not _PLACE.match(line))
            raise ValueError(f"{signature!r} refuses these inputs: {' '.join(lines) or error.message}") from error
        return {name: value.numpy() for name, value in outputs.items()}

    def _check_value(self, name: str, value: np.ndarray) -> None:
        if name in self._heads:
            checks.check_values(name, self._heads[name], value, optional=self.spec.modalities[name].optional)
        elif not np.isfinite(value).all():
            raise ValueError(f"{name!r} holds NaN or infinity. Expected finite numbers.")


class LiveModel(LocalModel):
    """Interface to a model in memory, which runs the functions that `export` would write.

    Args:
      model: `MultimodalVAE`, whose current weights are used at each call.
      name: name for display; by default empty.
      training: JSON object about the training, as in a run folder; by default empty.
      iterated_sampling: an `IteratedSampling` or a number of steps; by default the model's own options.
      num_samples: number of importance samples for each log-likelihood; by default 100.
    """

    def __init__(
        self,
        model: MultimodalVAE,
        *,
        name: str = "",
        training: Mapping[str, Any] | None = None,
        iterated_sampling: IteratedSampling | int | None = None,
        num_samples: int = 100,
    ):
        self.model, self.iterated_sampling = model, iteration_of(model, iterated_sampling)
        self._settings = Settings(self.iterated_sampling, num_samples)
        steps = int(self.iterated_sampling.num_steps)
        super().__init__(replace(model.spec, name=name, training=dict(training or {}), num_steps=steps), {}, {})
        self._heads = {name: modality.head for name, modality in model.modalities.items()}
        self._add(self._settings)

    def _prepare(self, observed: Iterable[str]) -> None:
        """Adds the functions of a subset, which models of many modalities lack at first."""
        names = set(observed)
        observed = tuple(name for name in self.model.modalities if name in names)
        if observed and self.model.has_posterior(observed):
            known = (signature.inputs.keys() for signature in self._signatures.values())
            if not any(set(observed) == inputs for inputs in known):
                self._add(replace(self._settings, observed=(observed,)))

    def _add(self, settings: Settings) -> None:
        made = endpoints(self.model, settings)
        signatures = {name: Signature.of(endpoint.inputs, endpoint.outputs) for name, endpoint in made.items()}
        # New dicts, because other threads may be reading the current ones.
        self._functions = {name: endpoint.function for name, endpoint in made.items()} | self._functions
        self._signatures = {**signatures, **self._signatures}

    def __repr__(self) -> str:
        return f"<LiveModel {self.spec.name!r}: {self.kind} of {', '.join(self.modalities)}>"


def _head(modality: ModalitySpec) -> heads.Head:
    """Returns the head whose support values are checked against; for a user's own head only finiteness is checked.

    A head counts as the user's own if it is not registered, or needs settings that the spec does not record.
    """
    settings = {"vocabulary_size": modality.vocabulary_size} if modality.vocabulary_size else {}
    try:
        return heads.make(modality.likelihood, **settings)
    except (TypeError, ValueError):
        return heads.Head()
