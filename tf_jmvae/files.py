"""Files that matter: written to a temporary name beside the target, then renamed."""

import contextlib
import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable
from typing import Any

__all__ = ["remove_if_abandoned", "replace_atomically", "write_json"]

_DAY = 24 * 60 * 60  # seconds


def replace_atomically(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Calls `write` with a temporary path (`name~.suffixes`), then renames it to `path`.

    A reader sees the old file or the new one, never half of it; if `write` raises, the old
    file stays and the temporary one is removed.
    """
    path = pathlib.Path(path)
    name, *suffixes = path.name.split(".")
    temporary = path.with_name(".".join([f"{name}~", *suffixes]))
    try:
        write(str(temporary))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2) + "\n"
    replace_atomically(path, lambda temporary: pathlib.Path(temporary).write_text(text))


def remove_if_abandoned(folder: pathlib.Path) -> None:
    """Removes a temporary folder to which nobody has written for a day: what a killed process left behind."""
    with contextlib.suppress(OSError):
        if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < time.time() - _DAY:
            shutil.rmtree(folder, ignore_errors=True)
