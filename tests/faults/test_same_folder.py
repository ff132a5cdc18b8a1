"""Two processes that train in one run folder: the second leaves it alone, whatever becomes of the first."""

import os
import shutil
import signal
import time

import forked
import jobs
import pytest
from record import record


def _state(folder):
    """Every file below a folder, with what a writer would change."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


def _wait_for(condition, process, log):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.is_alive(), log.read_text(errors="replace")
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return jobs.write_preset(tmp_path_factory.mktemp("presets") / "tiny.toml")


def test_a_second_process_is_refused_until_the_first_is_gone(preset, tmp_path):
    runs, log, log_of_second = tmp_path / "runs", tmp_path / "log", tmp_path / "log of the second"
    code, output = forked.run(jobs.train, preset, runs / "run", log=log)
    assert code == 0, output
    # The folder of the run that is trained is not the one that was there when it began.
    first = forked.start(jobs.train, preset, runs / "run", "--epochs", "1000", "--overwrite", log=log)
    _wait_for(lambda: list(runs.glob("run/checkpoint/epoch-*[0-9].weights.h5")), first, log)
    os.kill(first.pid, signal.SIGSTOP)  # so that all that happens is the second's doing
    before = _state(runs)
    for options in ([], ["--overwrite"]):
        arguments = (preset, runs / "run", "--epochs", "1000", *options)
        code, output = forked.run(jobs.train, *arguments, log=log_of_second)
        assert code == 1, output
        assert output.endswith(
            f"tf-jmvae train: Another process is at work in {runs / 'run'}. Wait until it has ended, or stop it, or "
            "choose another folder with --run-dir.\n"
        )
        assert "Traceback" not in output
        assert _state(runs) == before
    first.kill()
    first.join()
    again = forked.start(jobs.train, preset, runs / "run", "--epochs", "1000", log=log)
    _wait_for(lambda: f"Continuing {runs / 'run'} after epoch" in log.read_text(errors="replace"), again, log)
    again.kill()
    again.join()
    record(
        "a second process in a run folder",
        2,
        "exit code 1; message; no file touched, also with --overwrite; free again after SIGKILL",
    )


def test_an_overwrite_that_was_killed_can_be_repeated(preset, tmp_path):
    code, output = forked.run(jobs.train, preset, tmp_path / "old", log=tmp_path / "log")
    assert code == 0, output
    run_dir = tmp_path / "runs" / "run"
    for number in range(1, 20):  # until the kill comes where the old run is on its way out and no new one is there
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        shutil.copytree(tmp_path / "old", run_dir)
        options = {"log": tmp_path / "log", "folder": run_dir, "kill_at": number}
        code, output = forked.run(jobs.train, preset, run_dir, "--overwrite", **options)
        assert code == -signal.SIGKILL, output
        if not run_dir.exists():
            break
    assert [path.name for path in run_dir.parent.glob("run*")] == ["run~"]
    code, output = forked.run(jobs.train, preset, run_dir, "--overwrite", log=tmp_path / "log")
    assert code == 0, output
    assert list(run_dir.parent.iterdir()) == [run_dir]
    assert (run_dir / "metrics.json").exists()
    record("SIGKILL in --overwrite", 1, "repeated: the new run alone is there")
