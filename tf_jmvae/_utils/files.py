"""Atomic writing of files, locks, and errors of run folders and of full and read-only disks."""

import contextlib
import errno
import json
import os
import pathlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

_DAY = 24 * 60 * 60  # seconds
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROTECTED = (errno.EROFS, errno.EACCES, errno.EPERM)


class RunError(Exception):
    """Error of a run folder that cannot be used as requested; the message says what to do."""


def replace_atomically(path: str | os.PathLike, write: Callable[[str], Any]) -> None:
    """Calls `write` with a temporary path (`name~.suffixes`), then renames it to `path`; makes its folder.

    A reader sees the old file or the new one, never a partial one; if `write` raises, the old file is kept and the
    temporary one removed. While another writer has locked the folder, or if it cannot be locked, the temporary name is
    unique: `name~PROCESS-RANDOM~.suffixes`. On a full or read-only disk an `OSError` says what to do; see `explained`.
    """
    path = pathlib.Path(path)
    name, *suffixes = path.name.split(".")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with explained(path), locked(path.parent, wait=False) as alone:
        own = "" if alone else f"{os.getpid()}-{secrets.token_hex(4)}~"
        temporary = path.with_name(".".join([f"{name}~{own}", *suffixes]))
        try:
            write(str(temporary))
            with temporary.open("r+b") as file:  # Windows flushes only files open for writing
                os.fsync(file.fileno())
            temporary.replace(path)
            flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
        ending = "".join(f".{suffix}" for suffix in suffixes)
        remove_abandoned(path.parent, rf"{re.escape(name)}~\d+-[0-9a-f]{{8}}~{re.escape(ending)}")


def flush_folder(folder: str | os.PathLike) -> None:
    """Flushes a folder's entries, such as renamed files, to disk; does nothing if that is not supported."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        os.fsync(descriptor)


@contextlib.contextmanager
def explained(path: str | os.PathLike) -> Iterator[None]:
    """Converts errors of a full or read-only disk while writing `path` to an `OSError` that says what to do."""
    try:
        yield
    except Exception as error:  # HDF5 raises RuntimeError, and TensorFlow its own errors
        code = _error_number(error)
        if code in _FULL:
            advice = "Make room there, or choose another folder, and repeat."
        elif code in _PROTECTED:
            advice = "Make it writable, or choose another folder, and repeat."
        else:
            raise
        folder = path if pathlib.Path(path).is_dir() else pathlib.Path(path).absolute().parent
        raise OSError(
            code, f"{path} could not be written to the folder {folder}: {os.strerror(code)}. {advice}"
        ) from error


@contextlib.contextmanager
def locked(folder: str | os.PathLike, *, wait: bool = True) -> Iterator[bool]:
    """Locks a folder against other threads and processes that lock it; yields whether it is locked.

    With `wait` this fails only if folders cannot be locked, as on Windows and some network file systems.
    """
    with contextlib.ExitStack() as stack:
        alone = False
        with contextlib.suppress(ImportError, OSError):
            import fcntl  # missing on Windows

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # a forked process may also have the descriptor
            alone = True
        yield alone


@contextlib.contextmanager
def lock_file(path: pathlib.Path) -> Iterator[bool]:
    """Locks a temporary lock file; yields False if another process or thread has locked it.

    The system releases the lock when a process ends in any way; a file left by a killed process is reused. If files
    cannot be locked or written, as on Windows and some network file systems, nothing is locked and True is yielded.
    """
    with contextlib.ExitStack() as stack:
        alone, held = True, False
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            while alone and not held:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # NFS locks only files open for writing
                stack.callback(os.close, descriptor)
                if alone := _flock(descriptor):
                    with contextlib.suppress(FileNotFoundError):  # the previous holder has just removed it: retry
                        held = os.path.samestat(os.fstat(descriptor), path.stat())
        try:
            yield alone
        finally:
            if held:
                with contextlib.suppress(OSError):
                    path.unlink()


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file, atomically."""
    replace_atomically(path, lambda temporary: pathlib.Path(temporary).write_text(text, encoding="utf-8"))


def require_room(folder: str | os.PathLike, size: int) -> None:
    """Raises `OSError` if a folder's disk has less than `size` bytes free.

    This check comes first because HDF5 on a full disk raises an error, and prints more when its objects are deleted.
    """
    usage = shutil.disk_usage(folder)
    if usage.total and usage.free < size:  # some network file systems report 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def remove_abandoned(folder: pathlib.Path, pattern: str) -> None:
    """Removes files and folders of killed processes: those with matching names and not written to for a day."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if not re.fullmatch(pattern, path.name):
                continue
            if max(there.stat().st_mtime for there in (path, *path.glob("*"))) <= time.time() - _DAY:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _flock(descriptor: int) -> bool:
    """Locks an open file; returns False if it is already locked, and True also if locks are not supported."""
    try:
        import fcntl  # missing on Windows

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _error_number(error: BaseException | None) -> int | None:
    """Returns the system's error number of an error, from its attributes, its message or its causes."""
    while error is not None:
        if getattr(error, "errno", None):
            return error.errno
        if number := re.search(r"errno = (\d+)", str(error)):  # in HDF5's messages
            return int(number[1])
        if named := [code for code in (*_FULL, *_PROTECTED) if str(error).endswith(os.strerror(code))]:  # TensorFlow
            return named[0]
        error = error.__cause__ or error.__context__
    return None
