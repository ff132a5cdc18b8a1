"""The proxy's configuration, under a real nginx in front of the stand-in server: it refuses what would harm others."""

import base64
import io
import json
import os
import pathlib
import shutil
import subprocess
import time
from importlib import resources

import numpy as np
import pytest
import requests
import requirements
import serving_stub
from PIL import Image

from tf_jmvae.serving.client import Client

FILES = resources.files("tf_jmvae.serving") / "server_files"
MODULE = "ngx_http_js_module.so"
MODULES = [
    path
    for path in map(pathlib.Path, ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules"))
    if (path / MODULE).exists()
]


def _picture(form, size=(9, 7)):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, form)
    return {"b64": base64.b64encode(file.getvalue()).decode()}


@pytest.fixture(scope="module")
def stub(exports):
    with serving_stub.ServingStub({"m": {1: exports("jmvae_kl")}}) as started:
        yield started


@pytest.fixture(scope="module")
def proxy(stub, tmp_path_factory):
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or not MODULES:
        packages = "nginx-light libnginx-mod-http-js"
        requirements.skip("nginx", f"there is no nginx with its JavaScript module here: apt-get install {packages}")
    folder, port = tmp_path_factory.mktemp("proxy"), serving_stub.free_port()
    (folder / "proxy.js").write_text((FILES / "proxy.js").read_text())
    text = (FILES / "proxy.conf").read_text()
    for old, new in (
        (f"modules/{MODULE}", str(MODULES[0] / MODULE)),
        ("/etc/nginx/tf_jmvae/", f"{folder}/"),
        ("serving:8501", stub.rest.removeprefix("http://")),
        ("listen 8502", f"listen 127.0.0.1:{port}"),
        ("/tmp/", f"{folder}/"),
        ("worker_processes auto", "worker_processes 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "proxy.conf").write_text(text)
    command = [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "proxy.conf")]
    # As root, workers would become a user that may not write to the folder of a test.
    process = subprocess.Popen([*command, "-g", "daemon off;" + " user root;" * (os.geteuid() == 0)])
    address = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            requests.get(address, timeout=1)
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    yield address
    process.terminate()
    process.wait()


def _post(address, body, name="m"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{address}/v1/models/{name}:predict", data=content, timeout=20)


def test_what_is_well_formed_has_the_answer_of_the_server(proxy, stub):
    label = np.eye(3)[[0, 2]].tolist()
    bodies = [
        {"signature_name": "generate_x_from_w", "inputs": {"w": label}},
        {"signature_name": "generate_x_from_w", "inputs": label},
        {"signature_name": "generate_x_from_w", "instances": label},
        {"signature_name": "generate_x_from_w", "instances": [{"w": row} for row in label]},
        {"signature_name": "no_such_signature", "inputs": {"w": label}},
        *(
            {"signature_name": "encode_from_x_bytes", "inputs": {"x_bytes": [_picture(f)]}}
            for f in ("PNG", "JPEG", "GIF", "BMP")
        ),
    ]
    for body in bodies:
        found, wanted = _post(proxy, body), _post(stub.rest, body)
        assert (found.status_code, found.json()) == (wanted.status_code, wanted.json()), body
    assert _post(proxy, bodies[0], name="other").status_code == 404


def test_the_client_works_through_it(proxy, stub):
    through, direct = (Client(address, model="m") for address in (proxy, stub.rest))
    observed = {"w": np.eye(3, dtype=np.float32)}
    np.testing.assert_array_equal(*(client.generate(observed, latent="mean")["x"] for client in (through, direct)))


W, X = "generate_x_from_w", "encode_from_x_bytes"


@pytest.mark.parametrize(
    ("signature", "form", "rows", "reason"),
    [
        (W, "inputs", {"w": []}, "expected 1 to 4096 rows of w, got 0"),
        (W, "inputs", [], "expected 1 to 4096 rows of w, got 0"),
        (W, "instances", [], "expected 1 to 4096 rows of w, got 0"),
        (W, "inputs", {"w": [[1, 0, 0]] * 4097}, "got 4097"),
        (W, "inputs", {"w": [[1, 0]]}, "another shape than [3]"),
        (W, "inputs", {"w": [[1, 0, 0], [1, 0, 0, 0]]}, "another shape than [3]"),
        (W, "instances", [{"w": [1, 0, 0]}, {"w": [1, 0]}], "another shape than [3]"),
        (W, "instances", [{"w": [1, 0, 0]}, {"v": [1, 0, 0]}], "another shape than [3]"),
        (W, "inputs", {"w": [[1, 0, "0"]]}, "expected numbers in w"),
        (W, "inputs", {"w": [[1, 0, None]]}, "expected numbers in w"),
        (W, "inputs", {"w": 3}, "expected a list of rows of w"),
        (W, "inputs", {}, "expected a list of rows of w"),
        ("sample_x_from_w", "inputs", {"w": [[1, 0, 0]], "seed": [[1, 2], [3, 4]]}, "as many rows of every input"),
        ("sample_x_from_w", "inputs", {"w": [[1, 0, 0]], "seed": [[1, 2.5]]}, "expected whole numbers in seed"),
        (X, "inputs", {"x_bytes": []}, "got 0"),
        (X, "inputs", {"x_bytes": ["text"]}, 'expected {"b64": ...} in x_bytes'),
        (X, "inputs", {"x_bytes": [_picture("WEBP")]}, "no PNG, JPEG, GIF or BMP"),
        *((X, "inputs", [_picture(form, (6000, 6000))], "6000 x 6000 pixels") for form in ("PNG", "JPEG", "GIF")),
        (X, "instances", [_picture("PNG"), _picture("PNG", (6000, 6000))], "6000 x 6000 pixels"),
    ],
)
def test_what_would_harm_others_is_refused_and_never_sent(proxy, stub, signature, form, rows, reason):
    before = stub.calls["predict"]
    found = _post(proxy, {"signature_name": signature, form: rows})
    assert found.status_code == 400
    assert reason in found.json()["error"]
    assert stub.calls["predict"] == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"inputs": NaN}', b'{"instances": {}}', b"\xff\xfe"])
def test_what_is_no_request_is_refused(proxy, stub, body):
    before = stub.calls["predict"]
    assert _post(proxy, body).status_code == 400
    assert stub.calls["predict"] == before


def test_a_large_body_is_refused_before_it_is_read(proxy):
    assert _post(proxy, b" " * (17 << 20)).status_code == 413


def test_only_models_are_reached(proxy):
    assert requests.get(f"{proxy}/v1/models/m", timeout=5).status_code == 200
    assert requests.get(f"{proxy}/v1/models/m/metadata", timeout=5).status_code == 200
    for path in ("/", "/monitoring/prometheus/metrics", "/ask/v1/models/m", "/signatures/v1/models/m/metadata"):
        assert requests.get(proxy + path, timeout=5).status_code == 404
    assert requests.get(f"{proxy}/v1/models/m:predict", timeout=5).status_code == 405
    assert requests.post(f"{proxy}/v1/models/m", timeout=5).status_code == 403
