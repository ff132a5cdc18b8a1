"""Files that matter: written to a temporary name beside the target, then renamed."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["locked", "remove_if_abandoned", "replace_atomically", "write_json"]

_DAY = 24 * 60 * 60  # seconds


def replace_atomically(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Calls `write` with a temporary path (`name~.suffixes`), then renames it to `path`.

    A reader sees the old file or the new one, never half of it; if `write` raises, the old
    file stays and the temporary one is removed. While somebody else writes to the folder, or if
    it cannot be locked, the temporary name is one of its own: `name~PROCESS-RANDOM~.suffixes`.
    """
    path = pathlib.Path(path)
    name, *suffixes = path.name.split(".")
    with locked(path.parent, wait=False) as alone:
        own = "" if alone else f"{os.getpid()}-{secrets.token_hex(4)}~"
        temporary = path.with_name(".".join([f"{name}~{own}", *suffixes]))
        try:
            write(str(temporary))
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _remove_leftovers(path)


@contextlib.contextmanager
def locked(folder: str | os.PathLike, *, wait: bool = True) -> Iterator[bool]:
    """Keeps other threads and processes that ask for it out of a folder; gives whether it could.

    With `wait` it could not only where a file system has no locks for folders, as some network's.
    """
    with contextlib.ExitStack() as stack:
        alone = False
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # a forked process may have the descriptor, too
            alone = True
        yield alone


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2) + "\n"
    replace_atomically(path, lambda temporary: pathlib.Path(temporary).write_text(text))


def remove_if_abandoned(folder: pathlib.Path) -> None:
    """Removes a temporary folder to which nobody has written for a day: what a killed process left behind."""
    with contextlib.suppress(OSError):
        if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < time.time() - _DAY:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(path: pathlib.Path) -> None:
    """Temporary files of `path`, under names of their own, to which nobody has written for a day."""
    name, *suffixes = path.name.split(".")
    ending = "".join(f".{suffix}" for suffix in suffixes)
    leftover = re.compile(rf"{re.escape(name)}~\d+-[0-9a-f]{{8}}~{re.escape(ending)}")
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            if leftover.fullmatch(other.name) and other.stat().st_mtime < time.time() - _DAY:
                other.unlink()
