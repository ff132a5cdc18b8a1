"""Exported models on a real TF Serving, with and without batching. Needs its binary; see `SERVER`."""

import base64
import concurrent.futures
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import exported
import numpy as np
import pytest
import requests
import requirements
import serving_stub
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tf_jmvae.serving import client as client_module
from tf_jmvae.serving import hub
from tf_jmvae.serving.calls import CallError
from tf_jmvae.serving.client import Client
from tf_jmvae.serving.deployment import write_deployment_files
from tf_jmvae.serving.export import WARM_UP

SERVER = os.environ.get("TENSORFLOW_MODEL_SERVER") or shutil.which("tensorflow_model_server")
HERE = pathlib.Path(__file__).parent
PROTOCOLS = ("grpc", "rest")

pytestmark = [
    pytest.mark.tfserving,
    pytest.mark.timeout(600),
]


@pytest.fixture(autouse=True, scope="module")
def _binary():
    if SERVER is None:
        options = "put tensorflow_model_server on the PATH or its path into $TENSORFLOW_MODEL_SERVER"
        requirements.skip("tfserving", f"there is no TF Serving here: {options}")


class Server:
    """TF Serving for the models in a folder, whose deployment files it takes; `with` waits until all are loaded."""

    def __init__(self, folder, log, *flags):
        self.folder, self.log = folder, log
        self.ports = {protocol: serving_stub.free_port() for protocol in PROTOCOLS}
        self._command = [
            SERVER,
            f"--port={self.ports['grpc']}",
            f"--rest_api_port={self.ports['rest']}",
            f"--model_config_file={folder / 'models.config'}",
            f"--monitoring_config_file={folder / 'monitoring.txt'}",
            "--grpc_max_threads=256",
            "--file_system_poll_wait_seconds=1",
            *flags,
        ]

    def client(self, model, protocol="grpc", **options):
        return Client(f"127.0.0.1:{self.ports[protocol]}", model=model, protocol=protocol, **{"timeout": 60, **options})

    def post(self, path, content):
        """A request as anyone may write it, and its answer."""
        url = f"http://127.0.0.1:{self.ports['rest']}/v1/models/{path}:predict"
        response = requests.post(url, json=content, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    def __enter__(self):
        # The tests' own environment keeps TensorFlow silent; the log is what they read here.
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
        with self.log.open("wb") as file:
            self._process = subprocess.Popen(self._command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            config = text_format.Parse(
                (self.folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
            )
            for entry in config.model_config_list.config:
                versions = entry.model_version_policy.specific.versions or [None]
                for version in versions:
                    self.wait_for(entry.name, version)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_for(self, model, version=None, seconds=180):
        """Until the version, or any, is AVAILABLE."""
        end, last = time.monotonic() + seconds, "no answer"
        with self.client(model, timeout=5) as client:
            while time.monotonic() < end and self._process.poll() is None:
                try:
                    last = client.status()
                    states = last.values() if version is None else [last.get(version)]
                    if "AVAILABLE" in states:
                        return
                except client_module.ServingError as error:
                    last = error
                time.sleep(0.2)
        log = self.log.read_text(errors="replace")[-5000:]
        pytest.fail(f"TF Serving (exit code {self._process.poll()}) has no {model} {version or ''}: {last}\n{log}")


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A folder with a model of every kind, and the deployment files."""
    folder = tmp_path_factory.mktemp("exports")
    subprocess.run([sys.executable, HERE / "exported.py", folder], check=True, capture_output=True, timeout=280)
    write_deployment_files(folder, seen_as=str(folder))
    return folder


@pytest.fixture(scope="module", params=["alone", "batched"])
def server(request, exports, tmp_path_factory):
    batching = ["--enable_batching=true", f"--batching_parameters_file={exports / 'batching_parameters.txt'}"]
    flags = batching if request.param == "batched" else []
    with Server(exports, tmp_path_factory.mktemp("log") / "server.log", *flags) as server:
        server.batched = request.param == "batched"
        yield server


@pytest.fixture(scope="module")
def here(exports):
    """The same models in this process, by kind."""
    return functools.cache(lambda kind: hub.load(exports / kind))


def _two_models():
    """The same model with two sets of weights."""
    first, second = exported.make("jmvae_kl"), exported.make("jmvae_kl")
    for weight in second.weights:
        weight.assign(weight + 0.1)
    return first, second


def _assert_same(found, expected):
    """To the last digits but one or two: another build of TensorFlow sums in another order."""
    serving_stub.assert_same(found, expected, atol=1e-5, levels=1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", exported.KINDS)
def test_every_signature_equals_the_export(server, here, kind, protocol):
    model = here(kind)
    with server.client(kind, protocol) as client:
        assert client.signatures == model.signatures
        for name, signature in model.signatures.items():
            for size in (1, 5):
                inputs = serving_stub.inputs_of(signature, size, seed=size)
                _assert_same(client._predict(name, inputs), model._predict(name, inputs))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_verbs_equal_the_export(server, here, protocol):
    observed, image = exported.batch("xw", 7), {"x": [serving_stub.png((20, 10, 3))]}
    verbs = [
        lambda model: model.reconstruct(observed),
        lambda model: model.generate({"w": observed["w"]}, num_samples=3, seed=5),
        lambda model: model.sample(4, seed=1, images="png"),
        lambda model: model.encode(image),
    ]
    with server.client("jmvae_kl", protocol) as client:
        for verb in verbs:
            _assert_same(verb(client), verb(here("jmvae_kl")))


def test_both_protocols_give_the_same_bits(server):
    inputs = {"w": exported.batch("w", 3)["w"]}
    with server.client("jmvae_kl") as grpc, server.client("jmvae_kl", "rest") as rest:
        left, right = (client.generate(inputs, seed=1)["x"] for client in (grpc, rest))
    np.testing.assert_array_equal(left.view(np.uint32), right.view(np.uint32))


def test_rows_and_columns_of_rest(server, here):
    observed = exported.batch("xw", 3)
    expected = here("jmvae_kl").encode(observed)
    columns = {name: value.tolist() for name, value in observed.items()}
    rows = [{name: value[row] for name, value in columns.items()} for row in range(3)]
    by_column = server.post("jmvae_kl", {"signature_name": "encode", "inputs": columns})["outputs"]
    by_row = server.post("jmvae_kl/versions/1", {"signature_name": "encode", "instances": rows})["predictions"]
    for name, value in expected.items():
        np.testing.assert_allclose(by_column[name], value, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose([row[name] for row in by_row], value, atol=1e-5, rtol=1e-5)
    default = server.post("jmvae_kl", {"instances": rows})["predictions"]
    np.testing.assert_allclose([row["mean"] for row in default], expected["mean"], atol=1e-5, rtol=1e-5)


def test_base64_images_of_rest(server, here):
    model, image = here("jmvae_kl"), serving_stub.png((30, 20, 3))
    content = {
        "signature_name": "encode_from_x_bytes",
        "instances": [{"x_bytes": {"b64": base64.b64encode(image).decode()}}],
    }
    (found,) = server.post("jmvae_kl", content)["predictions"]
    np.testing.assert_allclose([found["mean"]], model.encode({"x": [image]})["mean"], atol=1e-5, rtol=1e-5)
    seeds = [[1, 2], [3, 4]]
    (one, two) = server.post("jmvae_kl", {"signature_name": "sample_as_png", "inputs": seeds})["outputs"]["x_bytes"]
    expected = model._predict("sample_as_uint8", {"seed": np.array(seeds, np.int32)})["x"]
    for found, value in zip((one, two), expected, strict=True):
        difference = serving_stub.pixels(base64.b64decode(found["b64"])).astype(int) - value.astype(int)
        assert np.abs(difference).max() <= 1


def test_metadata_lists_the_signatures_of_the_card(server, here):
    card = here("cmma").card
    for protocol in PROTOCOLS:
        with server.client("cmma", protocol) as client:
            assert client.signatures.keys() == card["signatures"].keys()
            assert client.status() == {1: "AVAILABLE"}


def test_warm_up_requests_were_run(server, exports):
    log = server.log.read_text(errors="replace")
    for kind in exported.KINDS:
        found = re.search(
            rf"Finished reading warmup data for model at \S*/{kind}/1/\S*?\. Number of .* read: (\d+)", log
        )
        assert found, f"{kind} was not warmed up:\n{log[-3000:]}"
        records = tf.data.TFRecordDataset(str(exports / kind / "1" / WARM_UP))
        assert int(found[1]) == sum(1 for _ in records), kind


def test_concurrent_rows_equal_one_request(server):
    """64 requests at once, which a server with batching joins: every row must be what it is on its own."""
    random = np.random.default_rng(0)
    observed = exported.batch("w", 64)["w"]
    seeds = random.integers(0, 2**31, (64, 2), np.int32)
    assert not server.batched or "perform batch processing" in server.log.read_text(errors="replace")
    with server.client("jmvae_kl") as client:
        together = client._predict("sample_x_from_w", {"w": observed, "seed": seeds})["x"]

        def ask(row):
            one = slice(row, row + 1)
            return client._predict("sample_x_from_w", {"w": observed[one], "seed": seeds[one]})["x"]

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            alone = list(pool.map(ask, range(64)))
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_larger_than_a_batch_passes(server, here, protocol):
    observed = exported.batch("xw", 1000)
    with server.client("jmvae_kl", protocol) as client:
        _assert_same(client.encode(observed), here("jmvae_kl").encode(observed))


def test_nan_and_infinity_pass(server):
    observed = exported.batch("xw", 2)
    observed["x"][1] = np.nan
    observed["w"][1] = np.inf
    with server.client("jmvae_kl") as grpc, server.client("jmvae_kl", "rest") as rest:
        left, right = (client.encode(observed)["mean"] for client in (grpc, rest))
    assert np.isfinite(left[0]).all()
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors_are_told_apart(server, protocol):
    observed = exported.batch("xw", 1)
    cases = [
        ({"model": "nowhere"}, observed, client_module.UnknownModelError, "no model 'nowhere'"),
        ({"model": "jmvae_kl", "version": 9}, observed, client_module.UnknownModelError, r"version 9 .* 1 \(AVAILABLE"),
        ({"model": "jmvae_kl"}, {"x": [b"no image"]}, client_module.ServingError, "INVALID_ARGUMENT"),
    ]
    for options, value, error, message in cases:
        with server.client(protocol=protocol, **options) as client, pytest.raises(error, match=message):
            client.encode(value)
    with server.client("jmvae_kl", protocol) as client:
        signature = client.signatures["encode"]
        with pytest.raises(CallError) as caught:
            client._transport.predict("nothing", signature, observed, 60)
    assert client_module._UNKNOWN_SIGNATURE.search(caught.value.details)


def test_a_deadline_ends_a_call(server):
    observed = exported.batch("xw", 4000)
    with server.client("jmvae_kl") as client, server.client("jmvae_kl", timeout=1e-3) as hasty:
        hasty._signatures = client.signatures
        with pytest.raises(client_module.DeadlineError):
            hasty.log_likelihood(observed)


def test_monitoring_gives_numbers(server):
    response = requests.get(f"http://127.0.0.1:{server.ports['rest']}/monitoring/prometheus/metrics", timeout=10)
    assert response.status_code == 200
    assert ":tensorflow:" in response.text


def test_two_versions_side_by_side(tmp_path):
    folder = tmp_path / "models"
    paths = [model.export(folder / "pair") for model in _two_models()]
    write_deployment_files(folder, seen_as=str(folder))
    config = text_format.Parse((folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    config.model_config_list.config[0].model_version_policy.specific.versions.extend([1, 2])
    (folder / "models.config").write_text(text_format.MessageToString(config))
    write_deployment_files(folder, seen_as=str(folder))  # which keeps the policy
    observed = exported.batch("xw", 4)
    expected = [hub.load(path).encode(observed) for path in paths]
    assert np.abs(expected[0]["mean"] - expected[1]["mean"]).max() > 0.01
    with Server(folder, tmp_path / "server.log") as server:
        for protocol in PROTOCOLS:
            for version, result in ((1, expected[0]), (2, expected[1]), (None, expected[1])):
                with server.client("pair", protocol, version=version) as client:
                    _assert_same(client.encode(observed), result)
            with server.client("pair", protocol) as client:
                assert client.status() == {1: "AVAILABLE", 2: "AVAILABLE"}


def test_a_new_version_is_taken_up_without_a_failed_request(tmp_path):
    folder, observed = tmp_path / "models", exported.batch("xw", 4)
    first, second = _two_models()
    expected = [hub.load(first.export(folder / "pair")).encode(observed)["mean"]]
    write_deployment_files(folder, seen_as=str(folder))
    stop, failures, answers = threading.Event(), [], []

    def ask(protocol):
        with server.client("pair", protocol) as client:
            while not stop.is_set():
                try:
                    answers.append(client.encode(observed)["mean"])
                except Exception as error:
                    failures.append(error)

    with Server(folder, tmp_path / "server.log") as server:
        threads = [threading.Thread(target=ask, args=(protocol,)) for protocol in PROTOCOLS]
        for thread in threads:
            thread.start()
        try:
            expected.append(hub.load(second.export(folder / "pair")).encode(observed)["mean"])
            server.wait_for("pair", version=2)
            time.sleep(2)  # while the old version is unloaded
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        with server.client("pair") as client:
            _assert_same({"mean": client.encode(observed)["mean"]}, {"mean": expected[1]})
            assert client.status()[2] == "AVAILABLE"
    assert not failures
    by_version = [[np.allclose(answer, mean, atol=1e-4) for mean in expected] for answer in answers]
    assert all(sum(row) == 1 for row in by_version)
    assert all(map(any, zip(*by_version, strict=True))), "both versions should have answered"
