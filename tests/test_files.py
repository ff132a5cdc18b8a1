"""Names on the disk: a folder is flushed after a rename, or a power cut could take the name; and locks."""

import errno
import fcntl
import os
import sys

import pytest

from tf_jmvae._utils.files import lock_file, write_text
from tf_jmvae.data.prepared import load_or_prepare
from tf_jmvae.serving.export import _publish


def _written(folder):
    write_text(folder / "file.txt", "text")


def _prepared(folder):
    load_or_prepare(
        folder / "copy", lambda path: (path / "a").write_text("1"), lambda path: (path / "a").read_text() or None
    )


def _exported(folder):
    (folder / "temporary").mkdir()
    assert _publish(folder / "temporary", folder, None) == folder / "1"


@pytest.mark.parametrize("rename", [_written, _prepared, _exported])
def test_the_folder_is_flushed_last(tmp_path, monkeypatch, rename):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append((os.fstat(descriptor).st_ino, _names(tmp_path))))
    rename(tmp_path)
    assert flushed[-1] == (tmp_path.stat().st_ino, _names(tmp_path))


def _names(folder):
    return sorted(path.name for path in folder.iterdir() if "~" not in path.name)


def test_a_lock_file_keeps_others_out_and_goes(tmp_path):
    with lock_file(tmp_path / "lock") as alone:
        assert alone
        with lock_file(tmp_path / "lock") as alone:
            assert not alone
        with lock_file(tmp_path / "lock") as alone:  # the one that was refused has not let it go
            assert not alone
    assert not list(tmp_path.iterdir())
    (tmp_path / "lock").touch()  # what a killed process leaves
    with lock_file(tmp_path / "lock") as alone:
        assert alone
    assert not list(tmp_path.iterdir())


def test_a_lock_is_not_that_of_a_file_which_its_holder_removes(tmp_path, monkeypatch):
    """The other process ends between the opening and the locking of its file."""
    flock, removed = fcntl.flock, []

    def removing(descriptor, operation):
        if not removed:
            removed.append((tmp_path / "lock").unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removing)
    with lock_file(tmp_path / "lock") as alone:
        assert alone
        with lock_file(tmp_path / "lock") as alone:
            assert not alone


def test_where_nothing_can_be_locked_nobody_is_kept_out(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def entered(path):
        with lock_file(path) as alone:
            return alone

    (tmp_path / "file").touch()
    assert entered(tmp_path / "file" / "lock")  # whose folder cannot be made
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", unsupported)
        assert entered(tmp_path / "lock")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert entered(tmp_path / "lock")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
