"""Loads a run's model, after a look at what its file would load besides layers of Keras and of this package.

Keras imports whatever module a file names, and runs what it finds there.
"""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from tf_jmvae._utils.files import RunError
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.training import run_folder

__all__ = ["foreign_names", "load_model"]

_KNOWN = ("builtins", "keras", "tf_jmvae")
_CODE = ("Lambda", "__lambda__")


def load_model(path: Path, *, maker: str = "tf-jmvae train", advice: str = "") -> MultimodalVAE:
    """A saved model of this package.

    Args:
      path: of a `.keras` file.
      maker: the command that leaves such a model, for the message if there is none.
      advice: what to do if it is damaged.

    Raises:
      RunError: there is no such file, or it is damaged or of another kind.
    """
    if not path.is_file():
        raise RunError(f"There is no model {path}. A run leaves one in its folder: {maker}.")
    try:
        if foreign := foreign_names(path):
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
    record = run_folder.recorded(path.parent)
    if model.iterated_sampling == IteratedSampling() and record:  # a run of the first version: the folder knows it
        model.iterated_sampling = IteratedSampling(record["config"].get("num_steps", 1))
    return model


def foreign_names(path: str | os.PathLike) -> list[str]:
    """`module.name` of every class or function that is of neither, and that this process has not registered.

    Raises:
      OSError, KeyError, ValueError, zipfile.BadZipFile, RecursionError: the file is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return sorted({name for entry in _entries(config) for name in _foreign(entry)})


def _foreign(entry: dict[str, Any]) -> Iterator[str]:
    module, name = entry.get("module") or "builtins", entry.get("class_name")
    registered = str(entry.get("registered_name") or name)
    if name in _CODE:
        yield f"{module}.{name}"
    elif str(module).split(".")[0] not in _KNOWN and keras.saving.get_registered_object(registered) is None:
        yield f"{module}.{entry.get('config') if name == 'function' else name}"


def _entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every dict that Keras would make an object of."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for child in value.values():
            yield from _entries(child)
    elif isinstance(value, list):
        for child in value:
            yield from _entries(child)
