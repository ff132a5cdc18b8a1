"""What all studies measure with: trained models and classifiers from their files, and estimates by name."""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_jmvae._utils.files import replace_atomically
from tf_jmvae.evaluation import Estimate, conditional_log_likelihood
from tf_jmvae.evaluation.estimate import Fingerprint
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.networks.prototypes import default_policy
from tf_jmvae.studies.study import Measurement
from tf_jmvae.training.run_folder import load_model

# Columns of Tables 1 and 2: target and given.
COLUMNS = {"x-given-w": ("x", "w"), "w-given-x": ("w", "x"), "x-given-xw": ("x", "xw"), "w-given-xw": ("w", "xw")}
# The models that the figures compare.
COMPARED = ("jmvae", "hierarchical-jmvae", "jmvae-kl")

Models = Callable[[str], MultimodalVAE]
# The training that answers for each target, and what a missing target starts from.
Row = tuple[Mapping[str, str], str | None]
ROWS: dict[str, Row] = {
    "cvae": ({"x": "cvae-x", "w": "cvae-w"}, "zeros"),
    "cvae-prior": ({"x": "cvae-x", "w": "cvae-w"}, None),
    "cmma": ({"x": "cmma-x", "w": "cmma-w"}, None),
    **{model: ({"x": model, "w": model}, None) for model in ("jmvae", "jmvae-kl", "hierarchical-jmvae")},
}


def scores(
    quantity: str, estimator: str, values: np.ndarray, examples: Mapping[str, np.ndarray], seed: int
) -> dict[str, Any]:
    """An estimate as a measurement, of values `[N]` that come from no estimator of `evaluation`."""
    examples = Fingerprint(examples).hexdigests()
    return Estimate(quantity, estimator, values, 1, seed, examples=examples).as_dict(values=True)


def load_or_train(
    path: Path, train: Callable[[], keras.Model], *, seed: int, precision: str = "float32"
) -> keras.Model:
    """Loads a classifier from its file or, where that fails, trains it anew.

    Args:
      path: its `.keras` file.
      train: makes it and trains it, on real images as the dataset has them, and nothing of the models.
      seed: of weights, order and dropout.
      precision: the policy of its layers; that of the process stays what it is.
    """
    if path.exists():
        try:
            return keras.saving.load_model(path)
        except Exception as error:  # Keras has no error of its own for a file that is damaged
            print(f"{path} cannot be loaded ({error}); the classifier is trained anew.", flush=True)
    keras.utils.set_random_seed(seed)
    with default_policy(keras.DTypePolicy(precision)):
        classifier = train()
    replace_atomically(path, classifier.save)
    return classifier


def trained_models(folder: Path) -> Models:
    """Loads trained models by name, and keeps the last one; a `RunError` names a file that is damaged."""

    @functools.lru_cache(maxsize=1)
    def load(name: str) -> MultimodalVAE:
        advice = f"Delete the folder {folder / name} and start again: it is trained anew."
        return load_model(folder / name / "model.keras", advice=advice)

    return load


class Collector:
    """Collects measurements of a study's models, each with the same seed, in an order that loads each model once."""

    def __init__(self, models: Models, seed: int):
        self._models, self._seed = models, seed
        self._found: list[tuple[str, str, Measurement]] = []

    def add(
        self, name: str, model: str, estimate: Callable[..., Estimate], examples: Mapping[str, Any], **options: Any
    ) -> None:
        """One estimate of a model."""

        def compute() -> dict[str, Any]:
            return estimate(self._models(model), examples, seed=self._seed, verbose=0, **options).as_dict(values=True)

        sampling = options.get("iterated_sampling")
        passes = options.get("num_samples", 1) + (sampling.num_steps if sampling else 0)
        self.add_measurement(name, model, compute, len(examples["x"]) * passes)

    def add_measurement(self, name: str, model: str, compute: Callable[[], dict[str, Any]], cost: float) -> None:
        """Anything else; `model` is the one that it loads."""
        self._found.append((model, name, Measurement(compute, cost)))

    def add_table(self, table: str, rows: Mapping[str, Row], test: Mapping[str, Any], scale: Any) -> None:
        """The conditional bounds of every row in every column, Eq. (11)."""
        for row, (trained, initial) in rows.items():
            sampling = IteratedSampling(scale.num_steps, initial, num_chains=1)
            for column, (target, given) in COLUMNS.items():
                if row == "cvae-prior" and target in given:
                    continue  # with the target given, both rows of CVAE are one
                self._add_bound(f"{table}/{row}/{column}", trained[target], column, test, scale, sampling)

    def add_steps(self, figure: str, columns: Iterable[str], test: Mapping[str, Any], scale: Any) -> None:
        """The bounds over the steps of iterated sampling; of JMVAE-kl, which needs none, one."""
        for model in COMPARED:
            for steps in scale.steps if model != "jmvae-kl" else scale.steps[:1]:
                sampling = IteratedSampling(steps, num_chains=1)
                for column in columns:
                    self._add_bound(f"{figure}/{model}/{column}/{steps}", model, column, test, scale, sampling)

    def _add_bound(self, name: str, model: str, column: str, test: Mapping[str, Any], scale: Any, sampling) -> None:
        target, given = COLUMNS[column]
        options = {"target": target, "given": [*given], "num_samples": scale.num_samples}
        self.add(name, model, conditional_log_likelihood, test, iterated_sampling=sampling, **options)

    def measurements(self) -> dict[str, Measurement]:
        """All of them by name."""
        return {name: measurement for _, name, measurement in sorted(self._found, key=lambda entry: entry[0])}
