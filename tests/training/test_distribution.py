"""Several devices and several workers train as one device does; workers that die come back."""

import contextlib
import json
import pickle
import signal
import socket
import time

import forked
import keras
import numpy as np
import pytest
import replicas
import tensorflow as tf
import worker

from tf_jmvae.distribute import devices as distribution
from tf_jmvae.distribute.devices import Cluster
from tf_jmvae.training import presets, run, run_folder

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
EPOCHS = 12
PRESET = f"""
source = "a test"
data = {{dataset = "digits", train_size = 170, batch_size = 50}}
model.kind = "jmvae-kl"
model.latent_dim = 2
[model.modalities]
x = {{event_shape = [8, 8, 1], likelihood = "bernoulli", encoder = [16], decoder = [16]}}
w = {{event_shape = [10], likelihood = "categorical", encoder = [16], decoder = [16]}}
[training]
epochs = {EPOCHS}
kl_warm_up = 8
clip_norm = 30
validate_every = {EPOCHS}
"""


@pytest.fixture
def start():
    """Starts a process for a function; nothing of it outlives the test."""
    with contextlib.ExitStack() as stack:

        def start(job, *arguments, log):
            process = forked.start(job, *arguments, log=log)
            stack.callback(process.join)
            stack.callback(process.kill)
            return process

        yield start


def _start_workers(start, job, arguments, folder):
    """The job with the arguments of each worker of a cluster on free ports of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in arguments]
    hosts = [f"127.0.0.1:{free.getsockname()[1]}" for free in sockets]
    for free in sockets:
        free.close()
    places = [_config_of({"worker": hosts}, "worker", index) for index in range(len(hosts))]
    return [
        start(job, place, *own, log=folder / f"{index}.log")
        for index, (place, own) in enumerate(zip(places, arguments, strict=True))
    ]


def _log(folder, worker):
    return (folder / f"{worker}.log").read_text(errors="replace")


def _assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(
            np.array(found[name], float), np.array(values, float), **CLOSE, err_msg=name
        )  # None, of an epoch that is not validated, is NaN


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    """What models are like after training on one device and on two, by a process with two logical devices."""
    folder = tmp_path_factory.mktemp("mirrored")
    code, printed = forked.run(replicas.train_all, folder / "results", log=folder / "log")
    assert code == 0, printed[-3000:]
    return pickle.loads((folder / "results").read_bytes())


def test_two_devices_train_as_one(mirrored):
    """Uneven batches of which a replica has no row, regularisers, and every kind of clipping with loss scaling."""
    for name, (on_one, on_two) in mirrored.items():
        assert np.isfinite(on_two["weights"]).all(), name
        _assert_same(on_two, on_one)


@pytest.mark.timeout(900)
def test_several_workers_train_as_one_device(tmp_path, start, mirrored):
    """Uneven batches of which a replica has no row, clipping, warm-up, validation and prediction are all in it."""
    (tmp_path / "killed").mkdir()
    (tmp_path / "tiny.toml").write_text(PRESET)
    (tmp_path / "a file").touch()
    # The second worker could not write its run folder.
    run_dirs = [tmp_path / "run", tmp_path / "a file" / "run"]
    # In one folder: the chief alone holds it.
    workers = _start_workers(start, worker.command, [(tmp_path / "tiny.toml", run_dirs[0])] * 2, tmp_path / "killed")
    while not list(run_dirs[0].glob("checkpoint/epoch-?*.weights.h5")) and workers[1].exitcode is None:
        time.sleep(0.02)
    with pytest.raises(run.RunError, match="Another process is at work in"):
        run.train(_config(tmp_path, "run"), verbose=0)
    workers[1].kill()
    workers[1].join()
    assert workers[1].exitcode == -signal.SIGKILL
    one = run.train(_config(tmp_path, "one"), verbose=0)  # what one device gives
    workers[0].join()
    assert workers[0].exitcode == 1, _log(tmp_path / "killed", 0)
    assert "Start all workers again with the same command" in _log(tmp_path / "killed", 0)
    assert not (run_dirs[0] / "metrics.json").exists()

    outputs = [tmp_path / "output0", tmp_path / "output1"]
    again = [(tmp_path / "tiny.toml", *pair) for pair in zip(run_dirs, outputs, strict=True)]
    for index, process in enumerate(_start_workers(start, worker.fit_and_train, again, tmp_path)):
        process.join()
        assert process.exitcode == 0, _log(tmp_path, index)
    assert "after epoch" in _log(tmp_path, 0)
    for said in ("Epoch", "after epoch", "Continuing", "Waiting"):
        assert said not in _log(tmp_path, 1)  # the chief alone prints
    chief, other = (pickle.loads(output.read_bytes()) for output in outputs)
    assert chief["weights"] == other["weights"]
    _assert_same(chief["metrics"], one)
    assert other["metrics"] == {}
    _assert_same(_history(run_dirs[0]), _history(tmp_path / "one"))
    alone = keras.saving.load_model(tmp_path / "one" / "model.keras").get_weights()
    together = keras.saving.load_model(run_dirs[0] / "model.keras").get_weights()
    for weight, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(weight, expected, **CLOSE)
    assert [weight.tobytes() for weight in together] == chief["weights"]
    assert {path.name for path in run_dirs[0].iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}
    assert "ZeroDivisionError" in chief["failure"]
    assert "The chief" in other["failure"]
    for result in (chief, other):
        assert "Workers 1 of TF_CONFIG have other settings" in result["difference"]
        _assert_same(result["plain"], {name: mirrored["kl"][0][name] for name in result["plain"]})


def _config(folder, name):
    config = presets.load(str(folder / "tiny.toml"))
    return config.model_copy(update={"run_dir": folder / name, "seed": 3, "strategy": "none"})


def _history(run_dir):
    history = json.loads((run_dir / "history.json").read_text())
    return {name: values for name, values in history.items() if name != "seconds"}


def _config_of(cluster, kind, index):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("{}", None),
        (_config_of({"worker": ["a:1", "b:2"]}, "worker", 1), Cluster(("a:1", "b:2"), 1)),
        (_config_of({"chief": ["c:0"], "worker": ["a:1"]}, "worker", 0), Cluster(("c:0", "a:1"), 1)),
        (_config_of({"worker": ["a:1"], "chief": ["c:0"]}, "chief", 0), Cluster(("c:0", "a:1"), 0)),
        (_config_of({"worker": ["a:1", "b:2"]}, "worker", "1"), Cluster(("a:1", "b:2"), 1)),
    ],
)
def test_cluster(text, expected, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert Cluster.from_environment() == expected


@pytest.mark.parametrize(
    "text",
    [
        "worker 0",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        _config_of({"worker": ["a:1", "b:2"]}, "worker", 2),
        _config_of({"worker": ["a:1", "b:2"]}, "worker", -1),
        _config_of({"worker": ["a:1", "b:2"]}, "evaluator", 0),
        _config_of({"worker": ["a:1"], "ps": ["b:2"]}, "worker", 0),
        _config_of({"worker": ["a:1", "a:1"]}, "worker", 0),
    ],
)
def test_damaged_cluster(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must name every worker and which one this is"):
        distribution.connect("auto")
    assert distribution.connect("none").num_replicas == 1


def test_workers_need_a_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        distribution.connect("multi-worker")


def test_a_process_cannot_join_late(monkeypatch):
    tf.zeros(())
    monkeypatch.setenv("TF_CONFIG", _config_of({"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "worker", 0))
    with pytest.raises(ValueError, match="before TensorFlow has run anything"):
        distribution.connect("auto")


def test_one_device_by_default(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", _config_of({"worker": ["a:1"]}, "worker", 0))
    devices = distribution.connect("auto")
    assert devices.is_chief
    assert devices.num_replicas == max(1, len(tf.config.list_physical_devices("GPU")))


def test_a_batch_must_reach_all_devices(tmp_path):
    (tmp_path / "tiny.toml").write_text(PRESET)
    with pytest.raises(ValueError, match="all devices together: 50 cannot be shared by the 51 devices"):
        run._load(_config(tmp_path, "run"), 51, 0)


def test_a_run_may_go_on_with_other_devices(tmp_path):
    (tmp_path / "tiny.toml").write_text(PRESET)
    config = _config(tmp_path, "run")
    run_folder.prepare(tmp_path / "run", config)
    run_folder.prepare(tmp_path / "run", config.model_copy(update={"strategy": "mirrored"}))
