"""A call is made again where its caller did nothing wrong, within its deadline; what needs no server is not sent."""

import functools
import types

import exported
import numpy as np
import pytest
import requests
import serving_stub

from tf_jmvae.serving import calls, hub, transports
from tf_jmvae.serving import client as client_module
from tf_jmvae.serving.client import Client

FULL = "The batch scheduling queue to which this task was submitted is full"
SHAPES = "Tensors with name 'w:0' from different tasks have different shapes and padding is turned off."
STRANGERS = [
    ("RESOURCE_EXHAUSTED", "Server Threadpool Exhausted"),
    ("UNAVAILABLE", FULL),
    ("FAILED_PRECONDITION", SHAPES),
]


@pytest.fixture(scope="module")
def here(exports):
    return hub.load(exports("jmvae_kl"))


@pytest.fixture(scope="module")
def stub(exports):
    with serving_stub.ServingStub({"pair": {1: exports("jmvae_kl")}}) as stub:
        yield stub


@pytest.fixture(params=["grpc", "rest"])
def connect(stub, request):
    made = []

    def connect(timeout=30.0):
        made.append(Client(getattr(stub, request.param), model="pair", protocol=request.param, timeout=timeout))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def refuse(stub, monkeypatch):
    """Lets the server refuse some predictions; the list that it gives has an entry for each that was asked for."""

    def refuse(code, message, times=10**6):
        asked, predict = [], stub.predict

        def answer(*arguments):
            asked.append(arguments)
            if len(asked) <= times:
                raise serving_stub.Refused(code, message)
            return predict(*arguments)

        monkeypatch.setattr(stub, "predict", answer)
        return asked

    return refuse


@pytest.fixture
def clock(monkeypatch):
    """A clock that only pauses move; gives the pauses."""
    pauses = []
    monkeypatch.setattr(calls, "time", types.SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append))
    return pauses


@pytest.mark.parametrize(("code", "message"), STRANGERS)
def test_what_was_refused_for_others_is_asked_for_again(here, connect, refuse, code, message):
    asked = refuse(code, message, times=3)
    observed = exported.batch("w", 2)
    serving_stub.assert_same(connect().generate(observed, seed=1), here.generate(observed, seed=1))
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("code", "message", "error", "match"),
    [
        *(
            (*busy, client_module.UnavailableError, "too many requests waiting for 0.3 seconds")
            for busy in STRANGERS[:2]
        ),
        (*STRANGERS[2], client_module.ServingError, "joined the request with others that do not fit"),
    ],
)
def test_what_is_refused_until_the_deadline_is_an_error(connect, refuse, code, message, error, match):
    asked = refuse(code, message)
    with pytest.raises(error, match=match):
        connect(timeout=0.3).encode(exported.batch("w", 2))
    assert len(asked) > 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("INVALID_ARGUMENT", "Task size 5000 is larger than maximum batch size 4096"),
        ("FAILED_PRECONDITION", 'Serving signature key "encode_from_w" not found.'),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5000000 vs. 4194304)"),
        ("UNAVAILABLE", "failed to connect to all addresses"),
    ],
)
def test_other_refusals_are_errors_at_once(code, message):
    error = calls.CallError(code, message)
    assert not calls.is_busy(error)
    assert not calls.is_spoiled(error, exported.batch("w", 2))


def _undecoded(client):
    """What the server says of a file that it cannot decode."""
    inputs = {"x_bytes": np.array([b"no image"], object)}
    with pytest.raises(calls.CallError) as caught:
        client._transport.predict("encode_from_x_bytes", client.signatures["encode_from_x_bytes"], inputs, 30)
    return caught.value


def test_another_callers_file_that_is_no_image_is_not_ones_own(here, connect, refuse):
    client, picture = connect(), {"x": [serving_stub.png((9, 7, 3))]}
    error = _undecoded(client)
    asked = refuse(error.code, error.details, times=2)
    serving_stub.assert_same(client.encode(picture), here.encode(picture), atol=1e-5)
    assert len(asked) == 3


@pytest.mark.parametrize("file", [b"no image", b"", serving_stub.png((9, 7, 3))[:60], b"RIFF\x1a\0\0\0WEBPVP8L"])
def test_ones_own_file_that_is_no_image_fails_at_once(connect, refuse, file):
    client = connect()
    error = _undecoded(client)
    asked = refuse(error.code, error.details)
    with pytest.raises(client_module.ServingError, match="refused the request for 'pair': INVALID_ARGUMENT"):
        client.encode({"x": [serving_stub.png((9, 7, 3)), file]})
    assert len(asked) == 1


def test_pauses_grow_vary_and_end_before_the_deadline(clock):
    left, error = [], calls.CallError("UNAVAILABLE", FULL)

    def call(seconds):
        left.append(seconds)
        raise error

    with pytest.raises(calls.CallError) as caught:
        calls.answer(call, 10.0, calls.is_busy)
    assert caught.value is error
    assert left == pytest.approx([10.0 - sum(clock[:count]) for count in range(len(left))])
    assert 8.5 < sum(clock) < 10.0
    bounds = [min(0.02 * 2**count, 1.0) for count in range(len(clock))]
    shares = np.divide(clock, bounds)
    assert (shares >= 0.5).all()
    assert (shares <= 1.0).all()
    assert len(set(shares)) == len(shares)


def test_a_refusal_says_more_than_the_deadline_that_it_led_to(clock):
    failures = [calls.CallError("UNAVAILABLE", FULL), calls.CallError("DEADLINE_EXCEEDED", "late")]

    def call(_):
        raise failures[len(clock)]

    with pytest.raises(calls.CallError, match="is full"):
        calls.answer(call, 10.0, calls.is_busy)
    assert len(clock) == 1


def test_no_rows_give_no_rows_and_are_never_sent(stub, here, connect):
    client = connect()
    client.signatures  # noqa: B018
    before = dict(stub.calls)
    for name, signature in here.signatures.items():
        found = client._predict(name, serving_stub.inputs_of(signature, 0))
        assert found.keys() == signature.outputs.keys()
        for key, info in signature.outputs.items():
            assert found[key].shape == (0, *info.shape[1:]), (name, key)
            assert found[key].dtype == (object if info.dtype == "string" else info.dtype), (name, key)
    nothing = exported.batch("w", 0)
    verbs = [
        lambda model: model.encode(nothing),
        lambda model: model.encode({"x": []}),
        lambda model: model.generate(nothing, num_samples=3, images="uint8"),
        lambda model: model.reconstruct(exported.batch("xw", 0)),
        lambda model: model.decode(np.zeros((0, 4))),
        lambda model: {"log_likelihood": model.log_likelihood(exported.batch("xw", 0))},
    ]
    for verb in verbs:
        serving_stub.assert_same(verb(client), verb(here))
    assert stub.calls == before


def test_each_call_over_http_has_a_connection_of_its_own(stub):
    """On a connection in use the end of an answer waits 40 ms for an acknowledgement; see RestTransport."""
    with Client(stub.rest, model="pair") as client:
        before = stub.calls["connection"]
        for _ in range(3):
            client.status()
            client.encode(exported.batch("w", 1))
        assert stub.calls["connection"] == before + 7  # and one for the signatures


@pytest.mark.parametrize(("scheme", "sessions", "closing"), [("https", 1, None), ("http", 2, "close")])
def test_connections_are_kept_over_https_alone(monkeypatch, scheme, sessions, closing):
    seen = []

    def request(session, *_, headers, **__):
        seen.append((session, headers.get("Connection")))
        raise requests.ConnectionError("nobody there")

    monkeypatch.setattr(requests.Session, "request", request)
    transport = transports.RestTransport(f"{scheme}://models", "m", None)
    for ask in [functools.partial(transport.status, None, 1.0)] * 2:
        with pytest.raises(calls.CallError):
            ask()
    assert len({id(session) for session, _ in seen}) == sessions
    assert {connection for _, connection in seen} == {closing}
