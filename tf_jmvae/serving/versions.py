"""What a version of an exported model is: one rule for those who write, serve and load it."""

import os
import re
from pathlib import Path

__all__ = ["MODEL_FILE", "newest", "version_of"]

MODEL_FILE = "saved_model.pb"
_LARGEST = 2**63 - 1  # TF Serving's versions are int64
_NUMBER = re.compile("0|[1-9][0-9]{0,18}")


def version_of(name: str) -> int | None:
    """The version that a folder's name is: a number without leading zeros. None for any other name."""
    if not _NUMBER.fullmatch(name) or int(name) > _LARGEST:
        return None
    return int(name)


def newest(folder: str | os.PathLike) -> Path | None:
    """The folder of the newest version in a model's folder, of those that hold a SavedModel; None without any.

    Raises:
      OSError: there is no such folder, or it cannot be read.
    """
    found = [
        path for path in Path(folder).iterdir() if version_of(path.name) is not None and (path / MODEL_FILE).is_file()
    ]
    return max(found, key=lambda path: int(path.name), default=None)
