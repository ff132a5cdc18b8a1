"""The folder of a run: whether it is finished, may be continued, or is another's; what it says, and its model.

Keras imports whatever module a model's file names, and runs what it finds there. So a file is looked into first.
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

# The folder of TensorBoard's files in a run's.
TENSORBOARD = "tensorboard"

# What may differ between the command that started a run and the one that continues it.
_NOT_COMPARED = {
    "run_dir",
    "overwrite",
    "source",
    "strategy",
    "data.data_dir",
    "data.table",
    "data.filled_by",
    "training.tensorboard",
}

# What says where on a machine a run was, and nothing of the model.
_NOT_DESCRIBED = {"run_dir", "overwrite", "strategy"}


# What a model's file may name besides what this process has registered, and what is code by its own name.
_KNOWN = ("builtins", "keras", "tf_jmvae")
_CODE = ("Lambda", "__lambda__")


def default_run_dir(config: "Config") -> Path:
    """`runs/<preset>`, or the folder that the configuration names."""
    return config.run_dir or Path("runs") / config.preset


def comparable(config: "Config") -> dict[str, Any]:
    """The settings that make a run what it is, such as `training.epochs`."""
    return {key: value for key, value in _flat(config.model_dump(mode="json")).items() if key not in _NOT_COMPARED}


@contextlib.contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder of a run or a study meanwhile; a `RunError` if one is at work there.

    The lock lies beside the folder, which an --overwrite renames.
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
    """The metrics of this very run, if the folder holds it, finished; else None.

    Raises `RunError` if the folder holds another run, finished, or its metrics are damaged.
    """
    path = run_dir / "metrics.json"
    if config.overwrite or not path.exists() or recorded(run_dir) is None:
        return None
    _require_same(run_dir, config)
    if verbose:
        print(f"{run_dir} holds this run, finished. Train anew with --overwrite, or elsewhere with --run-dir.")
    return read_json(path, f"Delete the folder {run_dir} to train this run anew.")


def prepare(run_dir: Path, config: "Config") -> None:
    """Makes the folder ready to train in, new or as an interrupted run left it; a `RunError` if it is another's."""
    discarded = run_dir.with_name(f"{run_dir.name}~")
    shutil.rmtree(discarded, ignore_errors=True)  # of an --overwrite that was cut off
    if recorded(run_dir) is not None:
        if not config.overwrite:
            _require_same(run_dir, config)
            return
        with explained(run_dir):
            run_dir.rename(discarded)
            shutil.rmtree(discarded)
    # A first file whose writing was cut off is nothing.
    elif run_dir.is_file() or (run_dir.is_dir() and any(path.name != "config~.json" for path in run_dir.iterdir())):
        raise RunError(f"{run_dir} holds files that are no run's; choose another folder with --run-dir.")
    write_json(run_dir / "config.json", {"config": config.model_dump(mode="json"), **environment()})


def recorded(run_dir: Path) -> dict[str, Any] | None:
    """What the folder's config.json says, if it is a run's."""
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
    """The configuration that a run was started with; what was no option then has its default.

    Raises `RunError`, with the advice, if config.json is missing, damaged, or not of this version.
    """
    with extra("cli", "A run's configuration"):
        from tf_jmvae.training.config import Config
    path = run_dir / "config.json"
    try:
        return Config.model_validate(read_json(path, advice)["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is no configuration of this version of tf_jmvae: {error}. {advice}") from error


def describe(run_dir: Path) -> dict[str, Any]:
    """What a model card says of a run: `training`, its configuration and where it was made, and `metrics`.

    A folder that is no run's, such as that of a model saved by hand, gives empty ones.
    """
    if not (run_dir / "metrics.json").is_file():
        return {"training": {}, "metrics": {}}
    advice = "Without them, export a copy of model.keras in a folder of its own."
    path = run_dir / "config.json"
    record = read_json(path, advice)
    if recorded(run_dir) is None or not isinstance(config := record["config"], dict):
        raise RunError(f"{path} is no run's: it has no config, or no versions. {advice}")
    if not isinstance(config.get("data"), dict):
        raise RunError(f"{path} is no run's: its config has no data. {advice}")
    for place in ("data_dir", "filled_by", "table"):
        config["data"].pop(place, None)
    record["config"] = {key: value for key, value in config.items() if key not in _NOT_DESCRIBED}
    return {"training": record, "metrics": read_json(run_dir / "metrics.json", advice)}


def load_model(path: Path, *, maker: str = "tf-jmvae train", advice: str = "") -> MultimodalVAE:
    """A model of this package, from its `.keras` file.

    Raises `RunError` if there is none, which names its `maker`, or if it is damaged, with the advice, or of another
    kind.
    """
    if not path.is_file():
        raise RunError(f"There is no model {path}. A run leaves one in its folder: {maker}.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(json.loads(archive.read("config.json")))
        if foreign := sorted({name for entry in entries for name in _foreign(entry)}):
            raise RunError(
                f"{path} is not loaded: it holds code or classes of somebody else ({', '.join(foreign[:10])}). If you "
                "trust whoever made it, import and register those classes and load it in Python."
            )
        model = keras.saving.load_model(path)
    except RunError:
        raise
    except Exception as error:  # Keras has no error of its own for a file that is damaged
        raise RunError(f"The trained model {path} cannot be loaded ({error}). {advice}".rstrip()) from error
    if not isinstance(model, MultimodalVAE):
        raise RunError(f"{path} holds a {type(model).__name__}; expected a model of tf_jmvae.")
    record = recorded(path.parent)
    if model.iterated_sampling == IteratedSampling() and record:  # a run of the first version: the folder knows it
        model.iterated_sampling = IteratedSampling(record["config"].get("num_steps", 1))
    return model


def _foreign(entry: dict[str, Any]) -> Iterator[str]:
    """`module.name` of a class or function that is of neither, and that this process has not registered."""
    module, name = entry.get("module") or "builtins", entry.get("class_name")
    registered = str(entry.get("registered_name") or name)
    if name in _CODE:
        yield f"{module}.{name}"
    elif str(module).split(".")[0] not in _KNOWN and keras.saving.get_registered_object(registered) is None:
        yield f"{module}.{entry.get('config') if name == 'function' else name}"


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every dict that Keras would make an object of."""
    if isinstance(value, dict) and "class_name" in value:
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _entries(child)


def read_json(path: Path, advice: str) -> Any:
    """What a JSON file holds; a `RunError` with its path and the advice if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is missing or damaged ({error}). {advice}") from error


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {key: leaf for name, child in value.items() for key, leaf in _flat(child, f"{prefix}{name}.").items()}
