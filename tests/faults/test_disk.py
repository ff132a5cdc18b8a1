"""A full disk and a read-only folder: a message with the folder and what to do, nothing half there, nothing lost."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile

import celeba_folder
import forked
import jobs
import pytest
from record import record

from tf_jmvae._utils import files

NOBODY = 65534
# What each job says of the folder that cannot be written, whichever file it stumbles over.
FULL = r"could not be written.*No space left on device.*[Mm]ake room"
READ_ONLY = r"could not be written.*Read-only file system"


@contextlib.contextmanager
def _mounted(folder, size):
    """A file system in memory of so many bytes, which is full soon."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def _fill(folder, spare):
    """Takes all room but so many bytes."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "ballast").write_bytes(bytes(max(0, free - spare)))


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "ballast"}


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return jobs.write_preset(tmp_path_factory.mktemp("presets") / "tiny.toml")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with untrained models: `pair` of an image and its label, and `image` of the image alone."""
    folder = tmp_path_factory.mktemp("saved")
    for name, kind in (("pair", "jmvae"), ("image", "vae")):
        preset = jobs.write_preset(folder / f"{name}.toml", kind)
        code, output = forked.run(jobs.make_model, preset, folder / name, log=folder / "log")
        assert code == 0, output
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("celeba")
    celeba_folder.make(folder, 40)
    return folder


@pytest.fixture
def job(request, preset, saved, photographs):
    """A function of `jobs`, and its arguments given the folder that it writes to."""
    return {
        "training": (jobs.train, lambda folder: (preset, folder / "run")),
        "export": (jobs.export, lambda folder: (saved / "image", folder / "out", "--num-samples", "2")),
        "caching": (jobs.prepare, lambda folder: (photographs, folder / "cache")),
        "evaluation": (jobs.measure, lambda folder: (saved / "pair", folder / "study")),
        "report": (jobs.report, lambda folder: (saved / "pair", folder / "docs")),
    }[request.param]


# Bytes that each finds free: enough to begin with, and too few to end. None of these is a multiple of what it writes.
ROOM = {"training": 70_000, "export": 50_000, "caching": 12_000, "evaluation": 9_000, "report": 20_000}


@pytest.mark.parametrize(("job", "spare"), ROOM.items(), indirect=["job"], ids=ROOM)
def test_a_full_disk(job, spare, request, tmp_path):
    function, arguments = job
    with _mounted(tmp_path / "disk", "16m") as disk:
        _fill(disk, spare)
        code, output = forked.run(function, *arguments(disk), log=tmp_path / "log")
        assert code == 1, output
        assert "Traceback" not in output
        assert re.search(FULL, output), output
        assert str(disk) in output
        left = _contents(disk)
        assert not [path for path in left if "~" in path.name or ".export-" in str(path)]
        (disk / "ballast").unlink()
        code, output = forked.run(function, *arguments(disk), log=tmp_path / "log")
        assert code == 0, output
        for path in left:  # a checkpoint goes when the run is finished; TensorBoard's files are written anew
            assert path.exists() or {"checkpoint", "tensorboard"} & set(path.parts)
    record(f"full disk in {request.node.callspec.id}", 1, "message; no half file; goes on once there is room")


def test_a_full_disk_leaves_the_checkpoint_before(preset, tmp_path):
    with _mounted(tmp_path / "disk", "16m") as disk:
        run_dir = disk / "run"
        code, output = forked.run(jobs.train_until_full, preset, run_dir, log=tmp_path / "log")
        assert code == 1, output
        assert re.search(FULL, output), output
        assert sorted(path.name for path in (run_dir / "checkpoint").glob("*.h5"))[-1:] == ["epoch-3.weights.h5"]
        assert not list(disk.rglob("*~*"))
        (disk / "ballast").unlink()
        code, output = forked.run(jobs.train, preset, run_dir, log=tmp_path / "log")
        assert code == 0, output
        assert f"Continuing {run_dir} after epoch 3 of {jobs.EPOCHS}." in output
    record("full disk at a checkpoint", 1, "message; the epoch before stays; training goes on after it")


@pytest.mark.parametrize("job", ROOM, indirect=True)
def test_a_read_only_disk(job, request, tmp_path):
    function, arguments = job
    with _mounted(tmp_path / "disk", "16m") as disk:
        (disk / "note.txt").write_text("precious")
        _remount(disk, "ro")
        code, output = forked.run(function, *arguments(disk), log=tmp_path / "log")
        assert code == 1, output
        assert "Traceback" not in output
        assert re.search(READ_ONLY, output), output
        assert str(disk) in output
        assert re.search(r"choose another folder|another folder: the environment variable", output), output
        assert list(_contents(disk).values()) == [b"precious"]
    record(
        f"read-only disk in {request.node.callspec.id}", 1, "message with the folder and what to do; nothing changed"
    )


@pytest.mark.parametrize("job", ["training", "caching"], indirect=True)
def test_a_folder_of_somebody_else(job, preset, photographs, request, tmp_path):
    """Root may write everywhere, so the child becomes another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    function, arguments = job
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(0o755)
    for readable in (
        preset.parent,
        photographs,
        tmp_path,
        *tmp_path.parents[: -len(pathlib.Path(tempfile.gettempdir()).parts)],
    ):
        readable.chmod(readable.stat().st_mode | 0o055)
    code, output = forked.run(function, *arguments(folder), log=tmp_path / "log", user=NOBODY)
    assert code == 1, output
    assert "Traceback" not in output
    assert re.search(r"could not be written.*Permission denied.*another folder", output), output
    assert not list(folder.iterdir())
    record(f"folder without permission in {request.node.callspec.id}", 1, "message: the folder, what to do")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(28, "No space left on device"), "Make room there"),
        (RuntimeError("Unable to close file (file write failed: errno = 28, error message = '..')"), "Make room there"),
        (OSError(122, "Disk quota exceeded"), "Make room there"),
        (OSError(30, "Read-only file system"), "Make it writable"),
        (PermissionError(13, "Permission denied"), "Make it writable"),
    ],
)
def test_what_libraries_raise_becomes_a_message(tmp_path, error, advice):
    def write(path):
        pathlib.Path(path).write_text("half")
        raise error

    (tmp_path / "model.keras").write_text("old")
    with pytest.raises(OSError, match=rf"model\.keras could not be written to the folder {tmp_path}: .*\. {advice}"):
        files.replace_atomically(tmp_path / "model.keras", write)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
