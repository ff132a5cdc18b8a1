"""Run folders: their state, configuration, record and model.

Keras imports and runs any module that a model's file names, so files are inspected before they are loaded.
"""

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from tf_jmvae import optimizers  # noqa: F401 - Keras loads only what it was told of, and trained models name one
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import RunError, explained, lock_file, write_json
from tf_jmvae._utils.provenance import environment
from tf_jmvae.models import IteratedSampling, MultimodalVAE

if TYPE_CHECKING:
    from tf_jmvae.training.config import Config

# Folder of TensorBoard's files in a run folder.
TENSORBOARD = "tensorboard"

# Settings that may differ between the command that starts a run and the one that continues it.
_NOT_COMPARED = {
    "run_dir",
    "overwrite",
    "source",
    "strategy",
    "data.data_dir",
    "data.table",
    "training.tensorboard",
}

# Settings that are paths of other runs, of which only whether they are set must agree.
_OTHER_RUNS = {"data.filled_by", "training.joint_from"}

# Settings that are paths of one machine.
_PATHS = ("data.data_dir", "data.filled_by", "data.table", "training.joint_from")

# Settings of the machine rather than of the model.
_NOT_DESCRIBED = {"run_dir", "overwrite", "strategy"}


# Packages that a model's file may name besides objects registered in this process, and names that stand for code.
_KNOWN = ("builtins", "keras", "tf_jmvae")
_CODE = ("Lambda", "__lambda__")


def default_run_dir(config: "Config") -> Path:
    """Returns `runs/<preset>`, or the folder in the configuration."""
    return config.run_dir or Path("runs") / config.preset


def comparable(config: "Config") -> dict[str, Any]:
    """Returns the settings that must agree to continue a run, such as `training.epochs`."""
    settings = _flat(config.model_dump(mode="json"))
    settings |= {key: settings[key] is not None for key in _OTHER_RUNS}
    return {key: value for key, value in settings.items() if key not in _NOT_COMPARED}


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a recorded configuration without the paths of the machine."""
    found = dict(config)
    for path in _PATHS:
        section, name = path.split(".")
        if isinstance(found.get(section), dict):
            found[section] = {key: value for key, value in found[section].items() if key != name}
    return found


@contextlib.contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Locks the folder of a run or a study against other processes; raises `RunError` if it is locked.

    The lock file is next to the folder, which --overwrite renames.
    """
    path = folder.resolve()
    with lock_file(path.with_name(f".{path.name}.lock")) as alone:
        if not alone:
            raise RunError(
                f"Another process is at work in {folder}. Wait until it has ended, or stop it, or choose another "
                "folder with --run-dir."
            )
        yield


def finished_metrics(run_dir: Path, config: "Config", verbose: str | int) -> dict[str, float] | None:
    """Returns the metrics if the folder holds this run, finished; else None.

    Raises `RunError` if the folder holds another finished run, or damaged metrics.
    """
    path = run_dir / "metrics.json"
    if config.overwrite or not path.exists() or recorded(run_dir) is None:
        return None
    _require_same(run_dir, config)
    if verbose:
        print(
            f"{run_dir} already holds this run, finished. To train it again, use --overwrite, or --run-dir for "
            "another folder."
        )
    return read_json(path, f"Delete the folder {run_dir} to train this run anew.")


def prepare(run_dir: Path, config: "Config") -> None:
    """Prepares the folder for a new or an interrupted run; raises `RunError` if it belongs to another run."""
    discarded = run_dir.with_name(f"{run_dir.name}~")
    shutil.rmtree(discarded, ignore_errors=True)  # left by an interrupted --overwrite
    if recorded(run_dir) is not None:
        if not config.overwrite:
            _require_same(run_dir, config)
            return
        with explained(run_dir):
            run_dir.rename(discarded)
            shutil.rmtree(discarded)
    # A temporary file of an interrupted start is ignored.
    elif run_dir.is_file() or (run_dir.is_dir() and any(path.name != "config~.json" for path in run_dir.iterdir())):
        raise RunError(f"{run_dir} holds files that belong to no run; choose another folder with --run-dir.")
    write_json(run_dir / "config.json", {"config": config.model_dump(mode="json"), **environment()})


def recorded(run_dir: Path) -> dict[str, Any] | None:
    """Reads the folder's config.json; None if it is not a run's."""
    try:
        found = json.loads((run_dir / "config.json").read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and {"config", "versions"} <= found.keys() else None


def _require_same(run_dir: Path, config: "Config") -> None:
    advice = "Choose another folder with --run-dir, or delete that one (tf-jmvae train does with --overwrite)."
    before, now = comparable(read_config(run_dir, advice)), comparable(config)
    if changed := [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]:
        both = ", ".join(f"{key} ({before.get(key)} there, {now.get(key)} here)" for key in changed)
        raise RunError(f"{run_dir} holds a run with other settings: {both}. {advice}")


def read_config(run_dir: Path, advice: str) -> "Config":
    """Reads the configuration that a run was started with; options that it lacks have their defaults.

    Raises `RunError`, with the advice, if config.json is missing, damaged, or not of this version.
    """
    with extra("cli", "A run's configuration"):
        from tf_jmvae.training.config import Config
    path = run_dir / "config.json"
    try:
        return Config.model_validate(read_json(path, advice)["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is not a configuration for this version of tf_jmvae: {error}. {advice}") from error


def describe(run_dir: Path) -> dict[str, Any]:
    """Returns the entries of a model card about a run: `training`, its configuration and environment, and `metrics`.

    Both are empty for other folders, such as that of a model saved by hand.
    """
    if not (run_dir / "metrics.json").is_file():
        return {"training": {}, "metrics": {}}
    advice = "Without them, export a copy of model.keras in a folder of its own."
    path = run_dir / "config.json"
    record = read_json(path, advice)
    if recorded(run_dir) is None or not isinstance(config := record["config"], dict):
        raise RunError(f"{path} does not belong to a run: it has no config, or no versions. {advice}")
    if not isinstance(config.get("data"), dict):
        raise RunError(f"{path} does not belong to a run: its config has no data. {advice}")
    record["config"] = {key: value for key, value in without_paths(config).items() if key not in _NOT_DESCRIBED}
    return {"training": record, "metrics": read_json(run_dir / "metrics.json", advice)}


def load_model(path: Path, *, maker: str = "tf-jmvae train", advice: str = "") -> MultimodalVAE:
    """Loads a model of this package from its `.keras` file.

    Raises `RunError` if the file is missing (the message names the `maker`), damaged (it has the `advice`), or not a
    model of this package.
    """
    if not path.is_file():
        raise RunError(f"There is no model {path}. A run leaves one in its folder: {maker}.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(json.loads(archive.read("config.json")))
        if foreign := sorted({name for entry in entries for name in _foreign(entry)}):
            raise RunError(
                f"{path} is not loaded: it holds code or classes from elsewhere ({', '.join(foreign[:10])}). If you "
                "trust whoever made it, import and register those classes, and load it in Python."
            )
        model = keras.saving.load_model(path)
    except RunError:
        raise
    except Exception as error:  # Keras has no specific error for damaged files
        raise RunError(f"The trained model {path} cannot be loaded ({error}). {advice}".rstrip()) from error
    if not isinstance(model, MultimodalVAE):
        raise RunError(f"{path} holds a {type(model).__name__}; expected a model of tf_jmvae.")
    record = recorded(path.parent)
    if model.iterated_sampling == IteratedSampling() and record:  # runs of the first version: read from the folder
        model.iterated_sampling = IteratedSampling(record["config"].get("num_steps", 1))
    return model


def _foreign(entry: dict[str, Any]) -> Iterator[str]:
    """Yields `module.name` if an entry is code, or neither of a known package nor registered in this process."""
    module, name = entry.get("module") or "builtins", entry.get("class_name")
    registered = str(entry.get("registered_name") or name)
    if name in _CODE:
        yield f"{module}.{name}"
    elif str(module).split(".")[0] not in _KNOWN and keras.saving.get_registered_object(registered) is None:
        yield f"{module}.{entry.get('config') if name == 'function' else name}"


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every dict from which Keras would make an object."""
    if isinstance(value, dict) and "class_name" in value:
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _entries(child)


def read_json(path: Path, advice: str) -> Any:
    """Reads a JSON file; raises `RunError` with its path and the advice if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is missing or damaged ({error}). {advice}") from error


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {key: leaf for name, child in value.items() for key, leaf in _flat(child, f"{prefix}{name}.").items()}
