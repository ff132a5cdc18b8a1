"""What a run folder holds, finished or not, in the form that the page shows."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_jmvae._utils.files import RunError
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.training.build import build_model
from tf_jmvae.training.config import Config
from tf_jmvae.training.run_folder import load_model, read_config

__all__ = ["Record", "read", "read_json"]


@dataclass(frozen=True)
class Record:
    """A run.

    Attributes:
      folder: its path.
      config: what it was started with.
      versions: of Python and the packages.
      commit: of the package, with a `+` if files differed from it; None without a checkout.
      history: values per epoch by name, `val_` marks the test set; empty before the first epoch.
      metrics: on the test set; empty before the end.
      finished: whether it came to its end.
      notes: what is missing and why, sentences.
    """

    folder: Path
    config: Config
    versions: dict[str, str]
    commit: str | None
    history: dict[str, list[float | None]]
    metrics: dict[str, float]
    finished: bool
    notes: list[str]

    @property
    def epochs(self) -> int:
        """How many are done."""
        return max(map(len, self.history.values()), default=0)

    @property
    def seconds(self) -> float | None:
        """Of all epochs with their evaluations, if that is known."""
        return sum(value or 0.0 for value in self.history["seconds"]) if self.history.get("seconds") else None

    def model(self) -> MultimodalVAE | None:
        """The trained model, or that of the last checkpoint; None, with a note, where there is neither."""
        path = self.folder / "model.keras"
        try:
            if path.is_file():
                return load_model(path)
            weights = self.folder / "checkpoint" / f"epoch-{self.epochs}.weights.h5"
            if weights.is_file():
                model = build_model(self.config.model, self.config.num_steps)
                model.load_weights(weights)
                return model
        except (RunError, ValueError, OSError) as error:
            self.notes.append(f"The model cannot be loaded, so there are no pictures: {error}")
            return None
        self.notes.append("The folder holds no model, so there are no pictures.")
        return None


def read(folder: Path) -> Record:
    """Reads a run folder.

    Raises:
      RunError: it is none, or its configuration is not one of this version.
    """
    if not (folder / "config.json").is_file():
        raise RunError(
            f"{folder} is no run: it holds no config.json. Give the folder of a training, such as "
            "runs/digits-jmvae-kl; 'tf-jmvae train' makes one."
        )
    notes: list[str] = []
    config = read_config(folder, "Give the folder of another run, or train it anew.")
    recorded = read_json(folder / "config.json", notes)
    finished = (folder / "metrics.json").is_file()
    whole = folder / "history.json"
    history = read_json(whole, notes) if whole.is_file() else _checkpoint(folder, notes)
    metrics = read_json(folder / "metrics.json", notes) if finished else {}
    if finished and not history:
        notes.append("The folder holds no history, so there are no curves.")
    commit = recorded.get("commit")
    return Record(
        folder=folder,
        config=config,
        versions=recorded.get("versions") or {},
        commit=commit and commit[:10] + ("+" if recorded.get("dirty") else ""),
        history=history or {},
        metrics={name: value for name, value in (metrics or {}).items() if isinstance(value, int | float)},
        finished=finished,
        notes=notes,
    )


def _checkpoint(folder: Path, notes: list[str]) -> dict[str, list[float | None]] | None:
    """The history that the last checkpoint keeps."""
    names = (re.fullmatch(r"epoch-(\d+)\.weights\.h5", path.name) for path in (folder / "checkpoint").glob("epoch-*"))
    done = max((int(match[1]) for match in names if match), default=0)
    if not done:
        return None
    history = read_json(folder / "checkpoint" / f"epoch-{done}.history.json", notes)
    return history and {name: values[:done] for name, values in history.items()}


def read_json(path: Path, notes: list[str]) -> Any:
    """What a file of the run holds; None, with a note, if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{path.name} cannot be read ({error}).")
        return None
