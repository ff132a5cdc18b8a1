"""Provenance of results: versions and the commit."""

import contextlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "tensorflow-datasets", "numpy")


def environment(results: str | None = None) -> dict[str, Any]:
    """Returns what a result depends on besides its configuration: versions and, in a checkout, the commit.

    `dirty` is whether tracked files differ from the commit, except for those in the folder `results` of the checkout,
    which have no effect; it is None, like the commit, without a checkout.
    """
    here = Path(__file__).resolve().parents[2]
    commit = dirty = None
    if (here / ".git").exists():
        commit = _git(here, "rev-parse", "HEAD") or None
        others = ["--", ".", f":(exclude){results}"] if results else []
        changes = _git(here, "status", "--porcelain", "--untracked-files=no", *others)
        dirty = None if changes is None else bool(changes)
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):  # an extra may not be installed
            versions[name] = metadata.version(name)
    return {"versions": versions, "commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str | None:
    """Returns the output of git; None if it fails."""
    result = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None
