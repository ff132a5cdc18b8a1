"""Version folders of an exported model: one rule for those who write, serve and load it."""

import os
import re
from pathlib import Path

__all__ = ["MODEL_FILE", "folder_of", "newest", "version_of"]

MODEL_FILE = "saved_model.pb"
_LARGEST = 2**63 - 1  # TF Serving's versions are int64
_NUMBER = re.compile("0|[1-9][0-9]{0,18}")


def version_of(name: str) -> int | None:
    """Version number of a folder by its name, a number without leading zeros; None for any other name."""
    return int(name) if _NUMBER.fullmatch(name) and int(name) <= _LARGEST else None


def folder_of(path: Path) -> Path | None:
    """Version folder that a path means: itself, or the newest version in it; None if it is neither."""
    return path if (path / MODEL_FILE).is_file() else newest(path)


def newest(folder: str | os.PathLike) -> Path | None:
    """Folder of the newest version in a model's folder, of those that hold a SavedModel; None without any.

    Raises:
      OSError: there is no such folder, or it cannot be read.
    """
    there = ((version_of(path.name), path) for path in Path(folder).iterdir())
    found = {version: path for version, path in there if version is not None and (path / MODEL_FILE).is_file()}
    return found[max(found)] if found else None
