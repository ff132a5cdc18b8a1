"""The client gives what the model gives, over gRPC and REST, and says in words what is wrong."""

import contextlib
import http.server
import pickle
import socket
import threading
import time

import exported
import numpy as np
import pytest
import serving_stub
import tensorflow as tf

from tf_jmvae.serving import calls, hub
from tf_jmvae.serving import client as client_module
from tf_jmvae.serving.client import Client

EXTREMES = [0.0, -0.0, 0.1, 1 / 3, 1e-45, 1.1754944e-38, 3.4028235e38, -16777217.0, 0.30000001, 123456.7, 9e6, 1e-7]


class Echo(tf.Module):
    """Gives back what it gets, so that nothing but the way there and back changes a number."""

    @tf.function(input_signature=[tf.TensorSpec((None, 784), tf.float32, name="x")])
    def encode(self, x):
        return {"mean": x, "standard_deviation": -x}

    @tf.function(input_signature=[tf.TensorSpec((None, 784), tf.float32, name="x")])
    def reconstruct(self, x):
        return {"x": tf.reduce_max(x, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec((None, 2, 3), tf.float32, name="z")])
    def decode(self, z):
        return {"x": z}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.int32, name="seed")])
    def sample(self, seed):
        return {"x": tf.cast(seed, tf.uint8)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="x_bytes")])
    def encode_from_x_bytes(self, x_bytes):
        return {"x_bytes": x_bytes}


def _save_echo(folder, *names):
    module = Echo()
    tf.saved_model.save(module, str(folder), signatures={name: getattr(module, name) for name in names})
    return folder


@pytest.fixture(scope="module")
def folder(exports):
    """A model of an image x and a label w."""
    return exports("jmvae_kl")


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    names = ("encode", "reconstruct", "decode", "sample", "encode_from_x_bytes")
    return _save_echo(tmp_path_factory.mktemp("echo"), *names)


@pytest.fixture(scope="module")
def here(folder):
    return hub.load(folder)


@pytest.fixture(scope="module")
def stub(folder, echo):
    with serving_stub.ServingStub({"pair": {1: folder}, "echo": {3: echo}}) as stub:
        yield stub


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def connect(stub, protocol):
    """Makes clients of the stub, and closes them."""
    made = []

    def connect(model="pair", **options):
        made.append(Client(getattr(stub, protocol), model=model, protocol=protocol, **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@contextlib.contextmanager
def _server_of(status, content):
    """An HTTP server with one answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _observed(size=5):
    return exported.batch("xw", size)


VERBS = {
    "encode": lambda model: model.encode(_observed()),
    "encode a part": lambda model: model.encode({"w": _observed()["w"]}),
    "encode png": lambda model: model.encode({"x": [serving_stub.png((9, 7, 3), seed) for seed in range(3)]}),
    "generate": lambda model: model.generate({"w": _observed()["w"]}, seed=3),
    "generate more": lambda model: model.generate({"w": _observed()["w"]}, num_samples=4, images="uint8", seed=3),
    "generate mean": lambda model: model.generate({"x": _observed()["x"]}, latent="mean"),
    "generate from png": lambda model: model.generate({"x": [serving_stub.png((6, 6, 1))]}, targets=["w"], seed=1),
    "generate png": lambda model: model.generate({"w": _observed()["w"]}, images="png", seed=2),
    "reconstruct": lambda model: model.reconstruct(_observed()),
    "reconstruct png": lambda model: model.reconstruct(_observed(), images="png"),
    "decode": lambda model: model.decode(np.linspace(-2, 2, 12).reshape(3, 4)),
    "sample": lambda model: model.sample(6, seed=9, images="uint8"),
    "log_likelihood": lambda model: {"log_likelihood": model.log_likelihood(_observed())},
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gives_what_the_model_gives_here(here, connect, verb):
    serving_stub.assert_same(VERBS[verb](connect()), VERBS[verb](here))


def test_every_signature_equals_direct_evaluation(here, connect):
    client, loaded = connect(), here._loaded
    assert client.signatures.keys() == loaded.signatures.keys()
    for name, signature in client.signatures.items():
        inputs = serving_stub.inputs_of(signature, 3)
        outputs = loaded.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        serving_stub.assert_same(client._predict(name, inputs), {key: value.numpy() for key, value in outputs.items()})


def test_signatures_are_those_of_the_card(here, connect):
    expected = here.card["signatures"]
    found = {
        name: {
            part: {key: {"dtype": info.dtype, "shape": list(info.shape)} for key, info in getattr(value, part).items()}
            for part in ("inputs", "outputs")
        }
        for name, value in connect().signatures.items()
    }
    assert found == expected


def test_float32_and_bytes_arrive_as_they_were_sent(connect):
    client = connect("echo")
    random = np.random.default_rng(0)
    values = random.integers(0, 2**32, 784 * 40, np.uint32).view(np.float32)  # every exponent there is
    values = np.where(np.isfinite(values), values, 0).astype(np.float32)
    values[: len(EXTREMES)] = EXTREMES
    values = values.reshape(40, 784)
    outputs = client.encode({"x": values})
    np.testing.assert_array_equal(outputs["mean"].view(np.uint32), values.view(np.uint32))
    np.testing.assert_array_equal(outputs["standard_deviation"], -values)
    data = [bytes(range(256)), b"", b"\0", b"ends in zeros\0\0", "Stern".encode("utf-16")]
    assert client.encode({"x": data})["x"].tolist() == data


def test_nan_and_infinity_pass(connect):
    values = np.zeros((2, 784), np.float32)
    values[1, :3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(connect("echo").encode({"x": values})["mean"], values)


def test_one_output_of_many_axes_and_integers(connect):
    client = connect("echo")
    z = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(client.decode(z)["x"], z)
    sampled = client.sample(7, seed=1)["x"]
    assert sampled.dtype == np.uint8
    assert sampled.shape == (7, 2)


def test_a_large_batch_passes(connect):
    values = np.random.default_rng(0).uniform(size=(2000, 784)).astype(np.float32)
    client = connect("echo", timeout=60)
    np.testing.assert_array_equal(client.reconstruct({"x": values})["x"], values.max(axis=1))


def test_a_large_answer_passes(stub):
    """More than the 4 MiB at which gRPC stops unless it is told not to."""
    values = np.random.default_rng(0).uniform(size=(2000, 784)).astype(np.float32)
    with Client(stub.grpc, model="echo", timeout=60) as client:
        np.testing.assert_array_equal(client.encode({"x": values})["mean"], values)


def test_a_version_can_be_asked_for(stub, echo, connect, tmp_path):
    stub.load("two", 1, echo)
    stub.load("two", 20, _save_echo(tmp_path, "decode"))
    assert "sample" in connect("two", version=1).signatures
    assert "sample" not in connect("two").signatures
    assert connect("two").status() == {1: "AVAILABLE", 20: "AVAILABLE"}
    assert connect("two", version=20).status() == {20: "AVAILABLE"}


def test_a_newly_loaded_version_is_noticed(stub, protocol, connect, tmp_path):
    name = f"changing-{protocol}"
    stub.load(name, 1, _save_echo(tmp_path / "1", "encode", "decode"))
    client = connect(name)
    client.decode(np.zeros((1, 2, 3)))
    before = stub.calls["metadata"]
    client.decode(np.zeros((1, 2, 3)))
    assert stub.calls["metadata"] == before
    stub.load(name, 2, _save_echo(tmp_path / "2", "encode", "encode_from_x_bytes"))
    assert client.encode({"x": [b"new"]})["x"].tolist() == [b"new"]
    client = connect(name)
    assert "encode_from_x_bytes" in client.signatures
    stub.load(name, 3, _save_echo(tmp_path / "3", "encode"))
    with pytest.raises(client_module.UnknownSignatureError, match=r"no longer has signature 'encode_from_x_bytes'.*"):
        client.encode({"x": [b"gone"]})
    assert list(client.signatures) == ["encode"]


class Narrow(tf.Module):
    """A later version of `Echo`, whose z is smaller and which reconstructs something else."""

    @tf.function(input_signature=[tf.TensorSpec((None, 5), tf.float32, name="z")])
    def decode(self, z):
        return {"x": z}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="w")])
    def reconstruct(self, w):
        return {"w": w}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, name="w")])
    def generate_x_from_w(self, w):
        return {"x": w}


def _save_narrow(folder, *names):
    module = Narrow()
    tf.saved_model.save(module, str(folder), signatures={name: getattr(module, name) for name in names})
    return folder


def test_new_shapes_and_signatures_are_noticed(stub, protocol, connect, tmp_path):
    name = f"reloaded-{protocol}"
    stub.load(name, 1, _save_echo(tmp_path / "1", "decode"))
    client, w = connect(name), np.ones((3, 2), np.float32)
    assert client.decode(np.zeros((1, 2, 3)))["x"].shape == (1, 2, 3)
    with pytest.raises(ValueError, match="reconstruct"):
        client.reconstruct({"w": w})
    stub.load(name, 2, _save_narrow(tmp_path / "2", "decode"))
    before = dict(stub.calls)
    assert client.decode(np.zeros((4, 5)))["x"].shape == (4, 5)
    assert stub.calls["metadata"] == before["metadata"] + 1
    assert stub.calls["predict"] == before["predict"] + 1
    stub.load(name, 3, _save_narrow(tmp_path / "3", "reconstruct"))
    np.testing.assert_array_equal(client.reconstruct({"w": w})["w"], w)
    stub.load(name, 4, _save_narrow(tmp_path / "4", "generate_x_from_w"))
    np.testing.assert_array_equal(client.generate({"w": w}, latent="mean")["x"], w)


def test_signatures_are_asked_for_again_once_for_what_does_not_fit(stub, connect):
    client = connect("echo")
    client.signatures  # noqa: B018
    before = dict(stub.calls)
    with pytest.raises(ValueError, match=r"'z': expected shape \[batch, 2, 3\]"):
        client.decode(np.zeros((1, 7)))
    assert stub.calls["metadata"] == before["metadata"] + 1
    assert stub.calls["predict"] == before["predict"]


def test_what_was_sent_is_not_sent_again(stub, connect, monkeypatch):
    client = connect("echo")
    sent = []

    def fail(*_):
        sent.append(1)
        raise ValueError("of whatever kind")

    monkeypatch.setattr(client._transport, "predict", fail)
    with pytest.raises(ValueError, match="of whatever kind"):
        client.decode(np.zeros((1, 2, 3)))
    assert sent == [1]


def test_what_does_not_fit_is_said_without_a_server_too(echo, protocol):
    with serving_stub.ServingStub({"echo": {1: echo}}) as stub:
        client = Client(getattr(stub, protocol), model="echo", protocol=protocol)
        client.signatures  # noqa: B018
    with client, pytest.raises(ValueError, match="'z': expected shape"):
        client.decode(np.zeros((1, 7)))


def test_a_closed_client_says_so(connect):
    used, new = connect("echo"), connect("echo")
    used.signatures  # noqa: B018
    for client in (used, new):
        client.close()
        client.close()
        for call in (client.status, lambda client=client: client.decode(np.zeros((1, 2, 3)))):
            with pytest.raises(ValueError, match=r"<Client of 'echo' at \S+> is closed: make another Client"):
                call()


def test_errors_can_be_sent_to_another_process():
    error = calls.CallError("NOT_FOUND", "x")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.code, again.details) == (str(error), error.code, error.details)


def test_threads_may_share_a_client(connect):
    client, expected = connect("echo"), np.arange(784, dtype=np.float32)[None]
    failed = []

    def ask(number):
        for _ in range(10):
            if not np.array_equal(client.encode({"x": expected + number})["mean"], expected + number):
                failed.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_what_is_wrong_is_said_before_anything_is_sent(stub, connect):
    client = connect()
    client.encode(_observed())
    before = stub.calls["predict"]
    observed = _observed()
    with pytest.raises(ValueError, match=r"'x': expected shape \[batch, 6, 6, 1\]; got \[5, 36\]"):
        client.encode({**observed, "x": observed["x"].reshape(5, 36)})
    with pytest.raises(ValueError, match="the same number of examples"):
        client.encode({**observed, "x": observed["x"][:2]})
    with pytest.raises(TypeError, match="'w': expected numbers"):
        client.encode({**observed, "w": np.full((5, 3), "a")})
    with pytest.raises(ValueError, match="cannot encode 'q'"):
        client.encode({"q": observed["w"]})
    assert stub.calls["predict"] <= before + 1  # of texts it asks the server whether the model reads them


def test_what_the_server_refuses_is_passed_on(connect):
    with pytest.raises(client_module.ServingError, match=r"refused the request for 'pair': INVALID_ARGUMENT"):
        connect().encode({"x": [b"not an image"]})


def test_an_unknown_model_is_named(connect):
    client = connect("nowhere")
    for call in (client.status, lambda: client.encode(_observed())):
        with pytest.raises(client_module.UnknownModelError, match=r"has no model 'nowhere' ready; .*models\.config"):
            call()


def test_an_unknown_version_is_named_with_those_there_are(connect):
    client = connect(version=7)
    for call in (client.status, lambda: client.encode(_observed())):
        with pytest.raises(client_module.UnknownModelError, match=r"no version 7 of model 'pair' ready, but 1 \(AVAIL"):
            call()


def test_a_slow_answer_is_not_waited_for(stub, connect):
    client = connect(timeout=0.3)
    client.signatures  # noqa: B018
    stub.delay, start = 1.5, time.monotonic()
    try:
        with pytest.raises(client_module.DeadlineError, match=r"did not answer within 0\.3 seconds\. Send fewer"):
            client.encode(_observed())
    finally:
        stub.delay = 0.0
    assert time.monotonic() - start < 1.2


def test_an_answer_that_trickles_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def trickle():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                while not ended.wait(0.05):
                    connection.sendall(b"1\r\n \r\n")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with Client(address, model="m", timeout=0.3) as client, pytest.raises(client_module.DeadlineError):
                client.status()
        finally:
            ended.set()
            thread.join()


def test_an_absent_server_is_named_with_a_way_to_start_one(protocol):
    address = f"127.0.0.1:{serving_stub.free_port()}"
    with Client(address, model="m", protocol=protocol) as client:
        for call in (client.status, lambda: client.encode(_observed())):
            with pytest.raises(client_module.UnavailableError, match=rf"{address} does not answer.*docker compose"):
                call()


def test_the_other_protocols_port_is_an_error(stub):
    for address in (stub.rest.removeprefix("http://"), f"http://{stub.grpc}"):
        with Client(address, model="pair") as client, pytest.raises(client_module.UnavailableError, match="8501 for"):
            client.status()


def test_a_client_outlives_its_server(echo, protocol):
    ports = (serving_stub.free_port(), serving_stub.free_port())
    with serving_stub.ServingStub({"echo": {1: echo}}, ports) as stub:
        client = Client(getattr(stub, protocol), model="echo", protocol=protocol)
        assert client.status() == {1: "AVAILABLE"}
    with pytest.raises(client_module.UnavailableError):
        client.status()
    with client, serving_stub.ServingStub({"echo": {2: echo}}, ports):
        deadline = time.monotonic() + 10
        while True:
            try:
                assert client.status() == {2: "AVAILABLE"}
                break
            except client_module.UnavailableError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"metadata": {}}',
        b'{"metadata": null}',
        b'{"metadata": {"signature_def": {}}}',
        b'{"metadata": {"signature_def": {"signature_def": {"encode": 3}}}, "model_version_status": [3]}',
        b'{"metadata": {"signature_def": {"signature_def": []}}, "model_version_status": {"a": 1}}',
        b'{"outputs": null}',
    ],
)
def test_json_that_is_not_tf_servings_is_told_from_it(content):
    calls = [
        lambda client: client.status(),
        lambda client: client.signatures,
        lambda client: client.encode(_observed()),
    ]
    with _server_of(200, content) as address, Client(address, model="m") as client:
        for call in calls:
            with pytest.raises(client_module.ServingError, match=rf"^{address} answered, but is not TF Serving: .*"):
                call(client)


@pytest.mark.parametrize(
    ("outputs", "verb"),
    [
        ("null", "decode"),
        ('"text"', "decode"),
        ("{}", "decode"),
        ("[[1.0], [null]]", "decode"),
        ("[[1.0], [1.0, 2.0]]", "decode"),
        ('["text"]', "decode"),
        ("null", "encode"),
        ('{"mean": [[1.0]]}', "encode"),
        ("null", "encode_from_x_bytes"),
        ('["text"]', "encode_from_x_bytes"),
        ('[{"b64": "no base 64!"}]', "encode_from_x_bytes"),
        ('[{"b64": null}]', "encode_from_x_bytes"),
    ],
)
def test_outputs_that_cannot_be_read_are_an_error(stub, outputs, verb):
    with Client(stub.rest, model="echo") as known:
        signatures = known.signatures
    content = f'{{"outputs": {outputs}}}'.encode()
    with _server_of(200, content) as address, Client(address, model="echo") as client:
        client._signatures = signatures
        with pytest.raises(client_module.ServingError, match=r"answered, but is not TF Serving: .*cannot be read"):
            client._predict(verb, serving_stub.inputs_of(signatures[verb], 1))


def test_another_grpc_server_is_told_from_tf_serving(stub, monkeypatch):
    answer = serving_stub.get_model_metadata_pb2.GetModelMetadataResponse()
    monkeypatch.setattr(stub, "metadata", lambda _: answer)
    with (
        Client(stub.grpc, model="echo") as client,
        pytest.raises(client_module.ServingError, match="is not TF Serving"),
    ):
        client.signatures  # noqa: B018


def test_another_http_server_is_told_from_tf_serving(stub):
    page = {
        "status": 200,
        "content": b"<html>\n  Welcome",
        "match": r"is not TF Serving: HTTP 200 and '<html> Welcome'",
    }
    busy = {"status": 503, "content": b"<html>Busy", "match": "too many requests waiting .*HTTP 503"}
    for case in (page, busy):
        with (
            _server_of(case["status"], case["content"]) as address,
            Client(address, model="m", timeout=0.3) as client,
            pytest.raises(client_module.ServingError, match=case["match"]),
        ):
            client.status()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"give its name there.*model='NAME'"),
        ({"model": "m", "version": "1"}, "version must be a number, such as 1"),
        ({"model": "m", "version": True}, "version must be a number, such as 1"),
        *(
            ({"model": "m", "timeout": timeout}, "timeout must be a finite number of seconds greater than 0; got")
            for timeout in (0, -1, float("inf"), float("nan"), "10", None, True)
        ),
        ({"model": "m", "protocol": "http"}, "protocol must be 'grpc' or 'rest'; got 'http'"),
        ({"model": "m", "protocol": "rest", "credentials": object()}, "starts with https://"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Client("localhost:8500", **arguments)


@pytest.mark.parametrize(
    ("address", "protocol", "expected"),
    [
        ("localhost", "grpc", "localhost:8500"),
        ("localhost", "rest", "http://localhost:8501"),
        ("10.0.0.1:9000", "grpc", "10.0.0.1:9000"),
        ("http://models:8501/", "grpc", "http://models:8501"),
        ("https://models/prefix", "rest", "https://models/prefix"),
        ("HTTP://Models/", "grpc", "http://Models"),
        ("::1", "grpc", "[::1]:8500"),
        ("[::1]", "rest", "http://[::1]:8501"),
        ("[::1]:9000", "grpc", "[::1]:9000"),
    ],
)
def test_addresses(address, protocol, expected):
    with Client(address, model="m", protocol=protocol, version=2) as client:
        assert client.address == expected
        assert repr(client) == f"<Client of 'm', version 2 at {expected}>"
