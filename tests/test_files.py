"""Names on the disk: a folder is flushed after something in it has been renamed, or a power cut could take the name."""

import os

import pytest

from tf_jmvae._utils.files import write_text
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
