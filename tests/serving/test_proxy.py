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
import pandas as pd
import pytest
import requests
import requirements
import serving_stub
from PIL import Image

import tf_jmvae as tj
from tf_jmvae import tables
from tf_jmvae.serving.client import Client

FILES = resources.files("tf_jmvae.serving") / "server_files"
MODULE = "ngx_http_js_module.so"
MODULES = [
    path
    for path in map(pathlib.Path, ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules"))
    if (path / MODULE).exists()
]


def _file(form, size=(9, 7), color=0):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, form)
    return file.getvalue()


def _picture(form, size=(9, 7)):
    return {"b64": base64.b64encode(_file(form, size)).decode()}


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


@pytest.fixture(scope="module")
def of_table(stub, tmp_path_factory):
    """A table of five modalities, whose model is exported, and served by the stand-in."""
    kinds = np.array(["cat", "dög"])[np.arange(20) % 2]
    shades = np.where(kinds == "cat", 60, 190)
    table = pd.DataFrame(
        {
            "size": np.arange(20.0),
            "kind": kinds,
            "said": [f'a "{kind}"' for kind in kinds],
            "front": [_file("PNG", color=color) for color in ("olive", "navy")] * 10,
            "back": [np.full((4, 4, 3), shade, np.uint8) for shade in shades],
        }
    )
    kinds = {"size": "numbers", "kind": "category", "said": "text"} | dict.fromkeys(("front", "back"), "image")
    networks = {"encoder": (4,), "decoder": (4,)}
    described = {name: {"kind": k, **networks, **({"size": 4} if k == "image" else {})} for name, k in kinds.items()}
    modalities, source = tj.data.from_table(table, described)
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    model.adapt(source.train)
    opened = tj.open_model(model.export(tmp_path_factory.mktemp("table") / "pets"))
    stub.load("pets", 1, pathlib.Path(opened.path), opened._loaded)
    return table, opened


def _with_gaps(table):
    return pd.DataFrame(
        {
            name: [None if (i + j) % 3 == 0 else cell for i, cell in enumerate(table[name][:6])]
            for j, name in enumerate(table)
        }
    )


@pytest.mark.parametrize("way", ["grpc", "rest", "proxy"])
def test_tables_are_filled_by_a_server_as_in_this_process(of_table, stub, request, way):
    table, opened = of_table
    addresses = {"grpc": lambda: f"grpc://{stub.grpc}", "rest": lambda: stub.rest}
    address = addresses.get(way, lambda: request.getfixturevalue("proxy"))()
    served = tj.open_model(f"{address}/v1/models/pets")
    rows = _with_gaps(table)
    filled, expected = (tables.fill(one, rows, verbose=0) for one in (served, opened))
    assert list(filled) == list(expected)
    for column in expected:
        for found, wanted in zip(filled[column], expected[column], strict=True):
            np.testing.assert_equal(found, wanted, err_msg=column)
    np.testing.assert_array_equal(*(tables.score(one, rows, verbose=0) for one in (served, opened)))


def test_any_subset_is_answered_where_no_subset_has_signatures(of_table):
    table, opened = of_table
    front = list(table["front"][:3])
    assert opened.starts_from(["front"])
    assert opened.starts_from(["size", "said"])
    assert not opened.starts_from([])
    assert not opened.starts_from(["age"])
    encoded, cells = opened.encode({"front": front}), opened.encode_cells({"front": front})
    np.testing.assert_allclose(encoded["mean"], cells["mean"], rtol=1e-4, atol=1e-6)
    generated = opened.generate({"front": front}, latent="mean")
    assert generated.keys() == {"size", "kind", "said", "back"}
    no_rows = opened.generate({"size": np.zeros((0, 1), np.float32)}, seed=0)
    assert {name: len(values) for name, values in no_rows.items()} == dict.fromkeys(
        ("kind", "said", "front", "back"), 0
    )


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
