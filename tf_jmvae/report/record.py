"""`Record`, the content of a finished or unfinished run folder for the page."""

import json
from pathlib import Path
from typing import Any

from tf_jmvae._utils.files import RunError
from tf_jmvae.callbacks import Checkpoint
from tf_jmvae.data import Source
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.training.build import build_model
from tf_jmvae.training.evaluate import EVALUATION, evaluate_run
from tf_jmvae.training.run_folder import load_model, read_config

_EXAMPLES = 200  # number of test examples to estimate likelihoods with


class Record:
    """Content of a run folder, as far as it can be read.

    Attributes:
      config: `Config` of the run.
      versions: dict of the versions of Python and the packages.
      commit: commit of the package, with a `+` if files differed from it; None without a checkout.
      history: dict of values per epoch, where `val_` marks the test set; empty before the first epoch.
      metrics: dict of metrics on the test set; empty before the end.
      finished: whether the run is finished.
      notes: list of sentences about what is missing and why.

    Raises:
      RunError: if the folder is not a run, or its configuration is not of this version.
    """

    def __init__(self, folder: Path):
        if not (folder / "config.json").is_file():
            raise RunError(
                f"{folder} is not a run folder: it holds no config.json. Give the folder of a training, such as "
                "runs/digits-jmvae-kl; 'tf-jmvae train' makes one."
            )
        self.folder = folder
        self.notes: list[str] = []
        self.config = read_config(folder, "Give the folder of another run, or train it anew.")
        recorded = self._read("config.json")
        self.versions: dict[str, str] = recorded.get("versions") or {}
        commit = recorded.get("commit")
        self.commit = commit and commit[:10] + ("+" if recorded.get("dirty") else "")
        self.finished = (folder / "metrics.json").is_file()
        self.history = self._history()
        metrics = self._read("metrics.json") if self.finished else {}
        self.metrics = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        if self.finished and not self.history:
            self.notes.append("The folder holds no history, so there are no curves.")

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return max(map(len, self.history.values()), default=0)

    @property
    def seconds(self) -> float | None:
        """Duration in seconds of all epochs with their evaluations, or None if unknown."""
        return sum(value or 0.0 for value in self.history["seconds"]) if self.history.get("seconds") else None

    def model(self) -> MultimodalVAE | None:
        """Loads the trained model, or that of the last checkpoint; None, with a note, if there is neither."""
        path = self.folder / "model.keras"
        try:
            if path.is_file():
                return load_model(path)
            weights = self.folder / "checkpoint" / f"epoch-{self.epochs}.weights.h5"
            if weights.is_file():
                model = build_model(self.config.model, self.config.num_steps, columns=self.config.data.columns)
                model.load_weights(weights)
                return model
        except (RunError, ValueError, OSError) as error:
            self.notes.append(f"The model cannot be loaded, so there are no pictures: {error}")
            return None
        self.notes.append("The folder holds no model, so there are no pictures.")
        return None

    def source(self, data_dir: Path | None) -> Source | None:
        """Loads the run's data; None, with a note, if they cannot be read."""
        try:
            return self.config.data.load(self.config.model.modalities, data_dir)
        except (OSError, ValueError) as error:
            self.notes.append(f"The data cannot be read, so everything that needs test examples is left out: {error}")
            return None

    def evaluation(self, source: Source | None, data_dir: Path | None) -> dict[str, Any]:
        """Reads `evaluation.json`, or for a finished run computes estimates on few examples, which are not saved."""
        if (self.folder / EVALUATION).is_file():
            return self._read(EVALUATION)
        if not self.finished or source is None:
            return {}
        try:
            return evaluate_run(
                self.folder,
                num_samples=10,
                importance_samples=100,
                examples=min(_EXAMPLES, len(next(iter(source.test.values())))),
                seed=self.config.seed,
                data_dir=data_dir,
                verbose=False,
                keep=False,
            )
        except (RunError, OSError, ValueError) as error:
            self.notes.append(f"The likelihoods could not be estimated: {error}")
            return {}

    def _history(self) -> dict[str, list[float | None]]:
        """Reads the run's history, or that of the last checkpoint."""
        if (self.folder / "history.json").is_file():
            return self._read("history.json")
        done = Checkpoint(self.folder / "checkpoint").epochs_done()
        history = self._read(f"checkpoint/epoch-{done}.history.json") if done else {}
        return {name: values[:done] for name, values in history.items()}

    def _read(self, name: str) -> dict[str, Any]:
        """Reads a JSON file of the run; returns an empty dict, with a note, if it cannot be read."""
        path = self.folder / name
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError) as error:
            self.notes.append(f"{path.name} cannot be read ({error}).")
            return {}
        return found if isinstance(found, dict) else {}
