"""Safe unpacking of archives: only plain files and folders, inside the target folder, up to a size limit."""

import errno
import gzip
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
MAX_BYTES = 4 * 2**30
MAX_ENTRIES = 100_000
_MAX_HEADER = 2**20
_DISK_PROBLEMS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def unpack(archive: str | os.PathLike, folder: str | os.PathLike) -> None:
    """Unpacks a `.tar.gz`, `.tgz`, `.tar` or `.zip` into an existing folder.

    All entries are checked before the first is written. Raises `ValueError` if the archive is damaged or of an unknown
    kind; if an entry's path is absolute or contains `..`; if an entry is a link, device or other special file; or if
    there are more than `MAX_ENTRIES` entries, or more than `MAX_BYTES` bytes when unpacked.
    """
    archive = Path(archive)
    opened = _unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar
    with archive.open("rb") as file:
        try:
            opened(file, folder)
        except _RefusedError as error:
            raise ValueError(f"{archive} is refused: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # damaged archives raise exceptions of many types
            if getattr(error, "errno", None) in _DISK_PROBLEMS:
                raise
            raise ValueError(f"{archive} is damaged, or not an archive ({type(error).__name__}: {error}).") from error


def _unpack_tar(file: BinaryIO, folder: str | os.PathLike) -> None:
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source = gzip.GzipFile(fileobj=file) if packed else file
    with _Bounded(source) as bounded, tarfile.open(fileobj=bounded, mode="r:") as tar:
        _check((m.name, m.size, m.isreg() or m.isdir()) for m in tar)
        tar.extractall(folder, filter="data")


def _unpack_zip(file: BinaryIO, folder: str | os.PathLike) -> None:
    with zipfile.ZipFile(file) as archive:
        # Zip files made on Unix have the file's mode in the upper bits; others have 0.
        modes = ((info, stat.S_IFMT(info.external_attr >> 16)) for info in archive.infolist())
        _check(((i.filename, i.file_size, mode in (0, stat.S_IFREG, stat.S_IFDIR)) for i, mode in modes))
        archive.extractall(folder)


def _check(entries: Iterable[tuple[str, int, bool]]) -> None:
    total = 0
    for number, (name, size, plain) in enumerate(entries, start=1):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise _RefusedError(f"{name!r} would be written outside the model's folder.")
        if not plain:
            raise _RefusedError(f"{name!r} is a link or a device; expected files and folders.")
        total += size
        if total > MAX_BYTES or number > MAX_ENTRIES:
            raise _RefusedError(
                f"it holds more than {MAX_BYTES / 2**30:g} GiB or {MAX_ENTRIES} entries. "
                "Unpack it by hand if you trust it, and load the folder."
            )


class _RefusedError(ValueError):
    """Raised for an intact archive that is unsafe to unpack."""


class _Bounded(io.BufferedReader):
    """Reader for tarfile that refuses headers of an excessive size rather than read them into memory."""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise _RefusedError(f"it has a header of {size} bytes.")
        return super().read(size)
