"""Measurements of all studies: loading of models and classifiers, and collection of estimates by name."""

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
# The training used for each target, and the initial value of a missing target.
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
    """Makes a measurement from values `[N]` that do not come from an estimator of `evaluation`."""
    examples = Fingerprint(examples).hexdigests()
    return Estimate(quantity, estimator, values, 1, seed, examples=examples).as_dict(values=True)


def load_or_train(
    path: Path, train: Callable[[], keras.Model], *, seed: int, precision: str = "float32"
) -> keras.Model:
    """Loads a classifier from its file, or trains and saves it if that fails.

    Args:
      path: path of the `.keras` file.
      train: function that makes and trains the classifier, on real images only.
      seed: integer seed of weights, order and dropout.
      precision: dtype policy of its layers, `"float32"` by default; the policy of the process is unchanged.
    """
    if path.exists():
        try:
            return keras.saving.load_model(path)
        except Exception as error:  # Keras has no specific error for damaged files
            print(f"{path} cannot be loaded ({error}); the classifier is trained anew.", flush=True)
    keras.utils.set_random_seed(seed)
    with default_policy(keras.DTypePolicy(precision)):
        classifier = train()
    replace_atomically(path, classifier.save)
    return classifier


def trained_models(folder: Path) -> Models:
    """Returns a function that loads models by name and caches the last one; raises `RunError` for damaged files."""

    @functools.lru_cache(maxsize=1)
    def load(name: str) -> MultimodalVAE:
        advice = f"Delete the folder {folder / name} and start again: it is trained anew."
        return load_model(folder / name / "model.keras", advice=advice)

    return load


class Collector:
    """Collector of measurements of a study's models, with one seed, sorted so that each model is loaded once."""

    def __init__(self, models: Models, seed: int):
        self._models, self._seed = models, seed
        self._found: list[tuple[str, str, Measurement]] = []

    def add(
        self, name: str, model: str, estimate: Callable[..., Estimate], examples: Mapping[str, Any], **options: Any
    ) -> None:
        """Adds an estimate of a model."""

        def compute() -> dict[str, Any]:
            return estimate(self._models(model), examples, seed=self._seed, verbose=0, **options).as_dict(values=True)

        sampling = options.get("iterated_sampling")
        passes = options.get("num_samples", 1) + (sampling.num_steps if sampling else 0)
        self.add_measurement(name, model, compute, len(examples["x"]) * passes)

    def add_measurement(self, name: str, model: str, compute: Callable[[], dict[str, Any]], cost: float) -> None:
        """Adds any other measurement; `model` is the one that it loads."""
        self._found.append((model, name, Measurement(compute, cost)))

    def add_table(self, table: str, rows: Mapping[str, Row], test: Mapping[str, Any], scale: Any) -> None:
        """Adds the conditional bounds of every row in every column, Eq. (11)."""
        for row, (trained, initial) in rows.items():
            sampling = IteratedSampling(scale.num_steps, initial, num_chains=1)
            for column, (target, given) in COLUMNS.items():
                if row == "cvae-prior" and target in given:
                    continue  # with the target given, both rows of CVAE are equal
                self._add_bound(f"{table}/{row}/{column}", trained[target], column, test, scale, sampling)

    def add_steps(self, figure: str, columns: Iterable[str], test: Mapping[str, Any], scale: Any) -> None:
        """Adds the bounds for each number of steps of iterated sampling; only one for JMVAE-kl, which needs none."""
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
        """Returns all measurements by name."""
        return {name: measurement for _, name, measurement in sorted(self._found, key=lambda entry: entry[0])}
