"""Downloads, and cached copies of prepared datasets, made once, atomically, and shared by all processes of a user."""

import contextlib
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Callable
from typing import Any, TypeVar

from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import flush_folder, remove_abandoned

T = TypeVar("T")
_DAMAGED = (OSError, EOFError, ValueError, KeyError)  # errors of `load` for an incomplete copy


def cache_folder(cache_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """Returns `cache_dir`, else `$TF_JMVAE_CACHE`, `$XDG_CACHE_HOME/tf_jmvae` or `~/.cache/tf_jmvae`."""
    if named := os.environ.get("TF_JMVAE_CACHE") if cache_dir is None else cache_dir:
        return pathlib.Path(named)
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tf_jmvae"


def downloaded(name: str, title: str, advice: str, *, user: str) -> Any:
    """Returns the builder of a downloaded dataset; raises `OSError` with `title` and `advice` if it fails."""
    with extra("data", user):
        import tensorflow_datasets as tfds

    builder = tfds.builder(name)
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise OSError(f"tensorflow-datasets could not prepare {title} ({reason}). {advice}") from error
    return builder


def load_or_prepare(
    folder: pathlib.Path, prepare: Callable[[pathlib.Path], None], load: Callable[[pathlib.Path], T]
) -> T:
    """Loads the prepared copy in `folder`; makes it first if it is missing or damaged.

    The folder's name includes everything that the content depends on. `prepare` writes into an empty temporary folder
    beside it (`NAME~PROCESS-RANDOM`), which is then renamed; `load` raises an error of `_DAMAGED` if the copy is
    missing, incomplete or inconsistent. If several processes prepare it, the first to finish wins and the others use
    its copy. Temporary folders of killed processes are removed a day later. If the copy cannot be written, an `OSError`
    is raised and nothing is left.
    """
    with contextlib.suppress(*_DAMAGED):
        return load(folder)
    temporary, aside = (folder.with_name(f"{folder.name}~{os.getpid()}-{secrets.token_hex(4)}") for _ in range(2))
    try:
        kind = folder.name.split("-")[0]  # of this dataset, with any settings
        remove_abandoned(folder.parent, rf"{re.escape(kind)}-[^~]+~\d+-[0-9a-f]{{8}}")
        temporary.mkdir(parents=True)
        prepare(temporary)
        with contextlib.suppress(*_DAMAGED):
            return load(folder)  # another process was faster
        if folder.exists():  # damaged
            folder.rename(aside)
        with contextlib.suppress(OSError):  # another process was faster, or `load` raises the reason
            temporary.rename(folder)
            flush_folder(folder.parent)
        return load(folder)
    except OSError as error:
        if error.errno is None:  # raised by `prepare` with its own message
            raise
        raise OSError(
            error.errno,
            f"The prepared copy could not be written to {folder.parent} ({os.strerror(error.errno)}). Make room or "
            "give another folder: the environment variable TF_JMVAE_CACHE, or cache_dir.",
        ) from error
    finally:
        for rest in (temporary, aside):
            shutil.rmtree(rest, ignore_errors=True)
