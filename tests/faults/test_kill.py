"""SIGKILL at random moments, again and again: what is finished stays, no file is half there, the end is the same."""

import io
import json
import os
import pathlib
import random
import shutil
import signal
import threading
import time
import zipfile

import celeba_folder
import forked
import h5py
import jobs
import numpy as np
import pytest
from PIL import Image
from record import KILLS, SEED, WRITES, record

from tf_jmvae.serving import card

pytestmark = pytest.mark.timeout(3600)

# A handful here; `make reliability` has many.
OF_INCOMPLETE_ROWS = "training of incomplete rows"
SHARES = {
    "training": 0.25,
    OF_INCOMPLETE_ROWS: 0.15,
    "evaluation": 0.15,
    "evaluate": 0.15,
    "export": 0.15,
    "caching": 0.15,
}
HANDFUL = {"training": 2, OF_INCOMPLETE_ROWS: 2, "evaluation": 1, "evaluate": 1, "export": 1, "caching": 2}


def _count(what):
    return round(SHARES[what] * KILLS) or HANDFUL[what]


class _Series:
    """Kills a job at random moments until it has been killed often enough, and lets it finish.

    Every other kill comes before a random operation on a file of the job's folder; the rest come at a random time.

    Args:
      job: a function of `jobs`, with its arguments, given the folder.
      check_after_kill: called with the folder whenever the job was killed in it.
      check_finished: called with the folder whenever the job ended.
      folder: where the folders of the job's chains of kills go.
    """

    def __init__(self, job, arguments, check_after_kill, check_finished, folder):
        self._job, self._arguments, self._folder = job, arguments, folder
        self._check_after_kill, self._check_finished = check_after_kill, check_finished
        self._chains = 0

    def run(self, count, name):
        """Kills `count` times, and returns it."""
        moments = random.Random(f"{name} {SEED}")
        kills, target = 0, self._next()
        operations, self._seconds = self._whole(target)
        self._check_finished(target)
        target = self._next()
        while kills < count:
            if self._killed(target, moments, kills, operations):
                kills += 1
                self._check_after_kill(target)
            else:
                self._check_finished(target)
                target = self._next()
        code, output = forked.run(self._job, *self._arguments(target), log=self._folder / "log")
        assert code == 0, output
        self._check_finished(target)
        return kills

    def _next(self):
        self._chains += 1
        return self._folder / f"chain-{self._chains}"

    def _whole(self, target):
        """An uninterrupted job: how many file operations it has, and how long it takes."""
        forked.run(int, log=self._folder / "log")  # the parent of all children is there, and its start not counted
        started, counter = time.monotonic(), self._folder / "operations"
        options = {"folder": target, "count_to": counter}
        code, output = forked.run(self._job, *self._arguments(target), log=self._folder / "log", **options)
        assert code == 0, output
        return int(counter.read_text()), time.monotonic() - started

    def _killed(self, target, moments, kills, operations):
        at_operation, started = kills % 2 == 0, time.monotonic()
        options = {"folder": target, "kill_at": moments.randint(1, operations)} if at_operation else {}
        process = forked.start(self._job, *self._arguments(target), log=self._folder / "log", **options)
        if not at_operation:
            timer = threading.Timer(moments.uniform(0, self._seconds), process.kill)
            timer.start()
        process.join()
        if not at_operation:
            timer.cancel()
        output = (self._folder / "log").read_text(errors="replace") if (self._folder / "log").exists() else ""
        assert process.exitcode in (0, -signal.SIGKILL), output
        if process.exitcode == 0:  # it was faster than the moment: machines are not always as busy
            self._seconds = min(self._seconds, time.monotonic() - started)
        return process.exitcode == -signal.SIGKILL


def _weights(file):
    """Every array of a weights file, by its place."""
    arrays = {}
    with h5py.File(file, "r") as opened:
        opened.visititems(
            lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return arrays


def _model_weights(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return _weights(io.BytesIO(archive.read("model.weights.h5")))


def _assert_equal(some, others):
    assert some.keys() == others.keys()
    for name, value in some.items():
        np.testing.assert_array_equal(value, others[name], name)


def _final(folder):
    """Files that count, which excludes those of a write that was cut off."""
    return [path for path in folder.rglob("*") if path.is_file() and "~" not in path.name]


def _check_whole(path):
    """Reads a file to its end."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".png":
        Image.open(path).load()
    elif path.suffix == ".keras":
        _model_weights(path)
    elif path.suffix == ".h5":
        assert _weights(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with untrained models: `pair` of an image and its label, and `image` of the image alone."""
    folder = tmp_path_factory.mktemp("saved")
    for name, kind in (("pair", "jmvae"), ("image", "vae")):
        preset = jobs.write_preset(folder / f"{name}.toml", kind)
        code, output = forked.run(jobs.make_model, preset, folder / name, log=folder / "log")
        assert code == 0, output
    return folder


@pytest.mark.parametrize("rows", ["complete", "incomplete"])
def test_training(rows, tmp_path):
    kind, what = ("jmvae" if WRITES else "vae", "training") if rows == "complete" else ("jmvae-kl", OF_INCOMPLETE_ROWS)
    preset = jobs.write_preset(tmp_path / "tiny.toml", kind, incomplete=rows == "incomplete")
    most, trained = {}, tmp_path / "chain-1"  # the uninterrupted one

    def after_kill(run_dir):
        for path in _final(run_dir):
            _check_whole(path)
        done = [int(path.name[6:].split(".")[0]) for path in run_dir.glob("checkpoint/epoch-*[0-9].weights.h5")]
        for epochs in done:
            history = json.loads((run_dir / f"checkpoint/epoch-{epochs}.history.json").read_text())
            assert len(history["loss"]) >= epochs
        if (run_dir / "model.keras").exists():
            done.append(jobs.EPOCHS)
        if (run_dir / "metrics.json").exists():
            assert {path.name for path in trained.iterdir()} <= {path.name for path in run_dir.iterdir()}
        assert max(done, default=0) >= most.get(run_dir, 0)
        most[run_dir] = max(done, default=0)

    def finished(run_dir):
        assert sorted(path.name for path in run_dir.iterdir()) == sorted(path.name for path in trained.iterdir())
        history, expected = (json.loads((folder / "history.json").read_text()) for folder in (run_dir, trained))
        assert len(history.pop("seconds")) == len(expected.pop("seconds")) == jobs.EPOCHS
        assert history == expected
        _assert_equal(_model_weights(run_dir / "model.keras"), _model_weights(trained / "model.keras"))
        assert (run_dir / "metrics.json").read_text() == (trained / "metrics.json").read_text()

    series = _Series(jobs.train, lambda run_dir: (preset, run_dir), after_kill, finished, tmp_path)
    times = series.run(_count(what), what)
    record(
        f"SIGKILL in {what}",
        times,
        "no half file; no finished epoch lost; resumed: epochs, history, metrics and weights equal an uninterrupted "
        "run's to the last bit",
    )


def test_evaluation(saved, tmp_path):
    kept, expected = {}, {}

    def results(folder):
        return {path.relative_to(folder): path for path in _final(folder / "measurements")}

    def after_kill(folder):
        for path in _final(folder):
            _check_whole(path)
        now = {path: (folder / path).stat().st_mtime_ns for path in results(folder)}
        before = kept.get(folder, {})
        assert {path: now.get(path) for path in before} == before  # neither lost nor done again
        kept[folder] = now

    def finished(folder):
        after_kill(folder)
        values = {name: json.loads(path.read_text())["mean"] for name, path in results(folder).items()}
        assert len(values) == 8
        assert values == expected.setdefault("values", values)

    series = _Series(jobs.measure, lambda folder: (saved / "pair", folder), after_kill, finished, tmp_path)
    times = series.run(_count("evaluation"), "evaluation")
    record(
        "SIGKILL in evaluation",
        times,
        "no half file; no measurement lost or done twice; resumed: every estimate of likelihood and coherence "
        "equals an uninterrupted study's",
    )


def test_evaluate(tmp_path):
    preset, run_dir = jobs.write_preset(tmp_path / "tiny.toml"), tmp_path / "run"
    code, output = forked.run(jobs.train, preset, run_dir, "--epochs", "1", log=tmp_path / "log")
    assert code == 0, output
    kept, expected = _contents(run_dir), {}

    def copied(folder):
        if not folder.exists():
            shutil.copytree(run_dir, folder)
        return (folder,)

    def after_kill(folder):
        contents = {name: content for name, content in _contents(folder).items() if "~" not in name}
        if evaluation := contents.pop("evaluation.json", None):
            rows = json.loads(evaluation)["rows"]
            assert rows == expected.setdefault("rows", rows)
        assert contents == kept

    def finished(folder):
        after_kill(folder)
        assert sorted(_contents(folder)) == sorted([*kept, "evaluation.json"])

    times = _Series(jobs.evaluate, copied, after_kill, finished, tmp_path).run(_count("evaluate"), "evaluate")
    record(
        "SIGKILL in tf-jmvae evaluate",
        times,
        "evaluation.json whole or not there; the run as it was; repeated: equal rows",
    )


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_export(saved, tmp_path):
    def exported(folder):
        there = (folder / "tiny").iterdir() if (folder / "tiny").exists() else ()
        return [path for path in there if card.version_of(path.name) is not None]

    def after_kill(folder):
        for path in folder.glob("tiny/*"):  # a server looks for folders named by numbers only
            assert card.version_of(path.name) is not None or path.name.startswith(".export-")
        for version in exported(folder):
            card.verify(version, card.read(version))
            assert (version / "saved_model.pb").exists()

    def finished(folder):
        assert exported(folder)
        after_kill(folder)

    def arguments(folder):
        return saved / "image", folder, "--num-samples", "2"

    times = _Series(jobs.export, arguments, after_kill, finished, tmp_path).run(_count("export"), "export")
    record(
        "SIGKILL in export",
        times,
        "a version is there whole, with the checksums of its card, or not at all; repeated: it is",
    )


def test_caching(tmp_path):
    celeba_folder.make(tmp_path / "celeba", 40)
    expected = jobs.read(tmp_path / "celeba", tmp_path / "whole")

    def after_kill(cache):
        for folder in [path for path in cache.glob("*") if "~" not in path.name]:
            assert sorted(path.name for path in folder.iterdir()) == sorted(_names(tmp_path / "whole"))
        if [path for path in cache.glob("*") if "~" not in path.name]:
            finished(cache)

    def finished(cache):
        found = jobs.read(tmp_path / "celeba", cache)
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.attributes, expected.attributes)
        np.testing.assert_array_equal(found.partition, expected.partition)
        assert found.report == expected.report

    series = _Series(jobs.prepare, lambda cache: (tmp_path / "celeba", cache), after_kill, finished, tmp_path)
    times = series.run(_count("caching"), "caching")
    _check_leftovers(tmp_path / "celeba", tmp_path)
    record("SIGKILL in caching", times, "a copy is there whole or not at all; repeated: it equals the original")


def _check_leftovers(source, cache):
    """What a kill left behind is removed by the next preparation, once nobody has written to it for a day."""
    options = {"folder": cache / "killed", "kill_at": 6}
    code, output = forked.run(jobs.prepare, source, cache / "killed", log=cache / "log", **options)
    assert code == -signal.SIGKILL, output
    (leftover,) = (cache / "killed").iterdir()
    assert "~" in leftover.name
    assert jobs.read(source, cache / "killed").report["prepared"] == 40
    assert leftover.exists()  # it might belong to a process that still works
    foreign = cache / "killed" / "notes~1"
    foreign.mkdir()
    for path in (*leftover.iterdir(), leftover, foreign):
        os.utime(path, (0, 0))
    jobs.read(source, cache / "killed", image_size=8)
    assert not leftover.exists()
    assert foreign.exists()


def _names(cache):
    (folder,) = cache.iterdir()
    return (path.name for path in pathlib.Path(folder).iterdir())
