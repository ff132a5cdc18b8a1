"""Ctrl-C and SIGTERM: a message and an exit code, no traceback, the last epoch kept, and training goes on after it."""

import os
import re
import signal
import time

import forked
import jobs
import pytest
from record import record


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["ctrl-c", "sigterm"],
)
def test_a_signal_ends_training_cleanly(number, code, word, tmp_path):
    preset, run_dir = jobs.write_preset(tmp_path / "tiny.toml"), tmp_path / "run"
    process = forked.start(jobs.train, preset, run_dir, "--epochs", "1000", log=tmp_path / "log")
    deadline = time.monotonic() + 120
    while not list(run_dir.glob("checkpoint/epoch-*[0-9].weights.h5")):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.join()
    output = (tmp_path / "log").read_text(errors="replace")
    assert process.exitcode == code, output
    assert output.endswith(f"tf-jmvae train: {word}; the same command continues from the last epoch.\n")
    assert "Traceback" not in output
    assert not list(run_dir.rglob("*~*"))
    done = max(int(re.search(r"\d+", path.name)[0]) for path in run_dir.glob("checkpoint/*.weights.h5"))
    again = forked.start(jobs.train, preset, run_dir, "--epochs", "1000", log=tmp_path / "log")
    expected = f"Continuing {run_dir} after epoch {done} of 1000."
    while expected not in (tmp_path / "log").read_text(errors="replace"):
        assert again.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    again.kill()
    again.join()
    record(f"{signal.Signals(number).name} in training", 1, f"exit code {code}; message; no traceback; goes on")
