"""`Study`: the plan and the folder of trainings and measurements, any of which may be interrupted.

Trainings are run folders, and measurements are JSON files that are written atomically. So the folder always holds only
finished results, and the same command continues from there.
"""

import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras

from tf_jmvae._utils.files import RunError, write_json
from tf_jmvae._utils.provenance import environment
from tf_jmvae.training import presets, run, run_folder
from tf_jmvae.training.config import Config


@dataclass(frozen=True)
class Training:
    """Training of a model of a study."""

    kind: str  # name of its preset, without the dataset and the size
    epochs: int | None = None  # instead of the preset's; a tenth of them are KL warm-up
    options: Mapping[str, Any] = field(default_factory=dict)  # options of the model, merged over the preset's
    data: Mapping[str, Any] = field(default_factory=dict)  # options of the data, merged over the preset's
    filled_by: str | None = None  # an earlier training, whose model fills in missing labels
    joint_from: str | None = None  # an earlier training, whose joint encoder and decoders are taken and fixed
    seed: int = 0  # added to the study's seed, also for the rows with missing modalities


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of a study: its trainings, data and measurements."""

    trainings: Mapping[str, Training]  # trainings by name
    dataset: str  # prefix of the presets' names
    suffix: str = ""  # suffix of the presets' names
    epochs: int | None = None  # for every training, instead of its own
    settings: Mapping[str, Any] = field(default_factory=dict)  # for every training, merged over the preset's
    train_size: int | None = None  # number of training examples, from the first on
    test_size: int | None = None  # number of test examples, from the first on
    num_samples: int = 10  # N of the conditional bound
    num_steps: int  # of iterated sampling, except in figures over `steps`
    steps: tuple[int, ...]  # numbers of steps in figures
    figure_size: int  # number of test examples in the figure of the bound over the steps
    importance_samples: int | None = None  # samples of importance estimates, if a study has some
    classifier: Mapping[str, Any]  # options of the classifier of generated images, such as its epochs
    validate_every: int  # number of epochs between evaluations


def configs(scale: Scale, folder: Path, data_dir: Path | None, seed: int) -> dict[str, Config]:
    """Makes the configuration of every training, by name."""
    made = {}
    for name, one in scale.trainings.items():
        config = presets.load(f"{scale.dataset}-{one.kind}{scale.suffix}")
        given = scale.epochs or one.epochs
        epochs = given or config.training.epochs
        warm_up = {"kl_warm_up": given // 10} if given else {}
        training = {"epochs": epochs, "validate_every": min(scale.validate_every, epochs), "tensorboard": False}
        changes = {
            "run_dir": folder / name,
            "seed": seed + one.seed,
            "num_steps": 1,
            "model": dict(one.options),
            "data": {"data_dir": data_dir, "train_size": scale.train_size, **one.data},
            "training": training | warm_up | dict(scale.settings),
        }
        if "missing" in one.data:
            changes["data"]["missing_seed"] = seed + one.seed
        if one.filled_by:
            changes["data"]["filled_by"] = folder / one.filled_by
        if one.joint_from:
            changes["training"]["joint_from"] = folder / one.joint_from
        made[name] = Config.model_validate(presets.merge(config.model_dump(), changes))
    return made


class Measurement(NamedTuple):
    """Measurement to compute."""

    compute: Callable[[], dict[str, Any]]  # returns JSON types
    cost: float  # relative duration, in a unit common to the study


class Study:
    """Runs and stores trainings and measurements, and prints the progress.

    Args:
      folder: folder of the study, which is made if missing.
      settings: dict of the settings of the study; a folder with other settings is refused.

    Raises:
      RunError: if the folder belongs to something else.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]):
        self.folder = folder
        path = folder / "study.json"
        if path.exists():
            advice = f"If it is of this very study, write {json.dumps(settings)} into it; else choose another folder"
            before = run_folder.read_json(path, f"{advice} with --run-dir.")
            if before != settings:
                raise RunError(
                    f"{folder} holds a study with other settings: {before} there, {settings} here. "
                    "Choose another folder with --run-dir, or delete that one."
                )
            return
        # A kill may have left the temporary file.
        if folder.exists() and any(entry.name != "study~.json" for entry in folder.iterdir()):
            raise RunError(f"{folder} holds files that belong to no study; choose another folder with --run-dir.")
        write_json(path, settings)

    def train(self, configs: dict[str, Config]) -> None:
        """Trains every model that is not yet trained, each in `folder/<name>`."""
        pace = _Pace(self.folder, configs)
        for number, (name, config) in enumerate(configs.items(), start=1):
            title = f"training {number} of {len(configs)}, {name}"
            if (self.folder / name / "metrics.json").exists():
                print(f"{title}: finished", flush=True)
            config = config.model_copy(update={"strategy": "none"})  # a study runs in one process
            report = functools.partial(pace.report, title, name, config.training.epochs)
            run.train(config, extra_callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)], verbose=0)

    def measure(self, measurements: dict[str, Measurement]) -> dict[str, dict[str, Any]]:
        """Returns all measurements by name, with the versions and the commit that they were computed with.

        Missing and damaged measurements are computed.
        """
        results = {name: self._measured(name) for name in measurements}
        pending = sum(one.cost for name, one in measurements.items() if results[name] is None)
        started, computed = time.monotonic(), 0
        for number, (name, measurement) in enumerate(measurements.items(), start=1):
            if results[name] is None:
                title = f"measurement {number} of {len(measurements)}, {name}"
                if computed:
                    left = (time.monotonic() - started) / computed * (pending - computed)
                    title += f"; {_duration(left)} left"
                print(title, flush=True)
                write_json(self._path(name), {**measurement.compute(), **environment()})
                computed += measurement.cost
                results[name] = self._measured(name)
        return results

    def provenance(self, name: str) -> dict[str, Any]:
        """Returns the provenance of a training: its configuration, its duration, and its final metrics.

        Raises:
          RunError: if a file of the training is damaged.
        """
        recorded = _read(self.folder / name / "config.json")
        config = run_folder.without_paths(recorded["config"])
        return {
            **{key: config[key] for key in ("preset", "training", "seed")},
            **{key: config["data"][key] for key in ("batch_size", "train_size")},
            "model": {key: value for key, value in config["model"].items() if key != "modalities"},
            "seconds": sum(_read(self.folder / name / "history.json")["seconds"]),
            "metrics": _read(self.folder / name / "metrics.json"),
            **{key: recorded.get(key) for key in ("commit", "dirty", "versions")},
        }

    def _path(self, name: str) -> Path:
        return self.folder / "measurements" / f"{name}.json"

    def _measured(self, name: str) -> dict[str, Any] | None:
        """Reads a finished measurement; None if it is missing or incomplete."""
        try:
            measured = json.loads(self._path(name).read_text())
        except (OSError, ValueError):
            return None
        return measured if isinstance(measured, dict) else None


def _read(path: Path) -> Any:
    return run_folder.read_json(path, f"Delete the folder {path.parent} and start again: it is trained anew.")


class _Pace:
    """Estimator of the time left, from the seconds of the epochs so far."""

    def __init__(self, folder: Path, configs: dict[str, Config]):
        self._folder = folder
        self._epochs = {name: config.training.epochs for name, config in configs.items()}
        self._seconds: list[float] = []
        for name in configs:
            history = folder / name / "history.json"
            if history.exists():
                self._epochs[name] = 0
                self._seconds += [value for value in _read(history).get("seconds", []) if value]

    def add(self, name: str, epochs_left: int, seconds: float) -> str:
        """Records the seconds of an epoch, and returns the time left in all trainings."""
        self._epochs[name] = epochs_left
        self._seconds.append(seconds)
        recent = self._seconds[-50:]
        return _duration(sum(recent) / len(recent) * sum(self._epochs.values()))

    def report(self, title: str, name: str, epochs: int, epoch: int, logs: dict[str, float]) -> None:
        """Prints a line about an epoch: the training, its progress, its ELBO, and the time left in total."""
        left = self.add(name, epochs - epoch - 1, logs["seconds"])
        print(f"{title}: epoch {epoch + 1} of {epochs}, elbo {logs['elbo']:.2f}; {left} left", flush=True)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
