"""What a `.keras` file would load besides layers of Keras and of this package, read before anything of it is loaded.

Keras imports whatever module a file names, and runs what it finds there.
"""

import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import keras

__all__ = ["foreign_names"]

_KNOWN = ("builtins", "keras", "tf_jmvae")
_CODE = ("Lambda", "__lambda__")


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
