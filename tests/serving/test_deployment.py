"""The files for a server parse, name every model, and point nowhere else."""

import json
import os
import re
import subprocess
import threading
import time
from importlib import resources
from pathlib import Path

import forked
import pytest
import serving_stub
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from tf_jmvae._utils import files
from tf_jmvae.serving.deployment import write_deployment_files

# Fields of BatchingParameters in TF Serving's session_bundle_config.proto, and of MonitoringConfig in
# monitoring_config.proto, neither of which tensorflow-serving-api has.
BATCHING = {
    "max_batch_size": "Int64Value",
    "batch_timeout_micros": "Int64Value",
    "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value",
    "max_execution_batch_size": "Int64Value",
    "enable_large_batch_splitting": "BoolValue",
    "pad_variable_length_inputs": "bool",
}
FIELD = descriptor_pb2.FieldDescriptorProto


@pytest.fixture
def folder(tmp_path):
    """Two models, one of them with two versions, among what is no model."""
    for version in ("mnist/1", "mnist/12", "celeba-64/3"):
        (tmp_path / version).mkdir(parents=True)
        (tmp_path / version / "saved_model.pb").touch()
    for other in ("notes", "empty/1", "unfinished/.export-x", "named/best"):
        (tmp_path / other).mkdir(parents=True)
    (tmp_path / "named" / "best" / "saved_model.pb").touch()
    (tmp_path / "README.md").touch()
    return tmp_path


def _messages():
    """BatchingParameters, and a PrometheusConfig within a MonitoringConfig."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="t.proto", package="t", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )

    def message(name, fields):
        made = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            simple = {"bool": FIELD.TYPE_BOOL, "string": FIELD.TYPE_STRING}.get(kind)
            package = ".google.protobuf" if kind.endswith("Value") else ".t"
            made.field.add(
                name=field,
                number=number,
                label=FIELD.LABEL_OPTIONAL,
                type=simple or FIELD.TYPE_MESSAGE,
                type_name=None if simple else f"{package}.{kind}",
            )

    message("Batching", BATCHING)
    message("Prometheus", {"enable": "bool", "path": "string"})
    message("Monitoring", {"prometheus_config": "Prometheus"})
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{n}")) for n in ("Batching", "Monitoring")]


def _compose(folder):
    """The file's lines without comments, and its image tags by profile."""
    text = (folder / "compose.yaml").read_text()
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def test_every_model_is_listed(folder):
    written = write_deployment_files(folder)
    assert sorted(path.name for path in written) == [
        "batching_parameters.txt",
        "compose.yaml",
        "models.config",
        "monitoring.txt",
        "proxy.conf",
        "proxy.js",
    ]
    config = text_format.Parse((folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    found = [(entry.name, entry.base_path, entry.model_platform) for entry in config.model_config_list.config]
    assert found == [
        ("celeba-64", "/models/celeba-64", "tensorflow"),
        ("mnist", "/models/mnist", "tensorflow"),
    ]


def test_a_server_without_a_container_finds_the_models_where_they_are(folder):
    write_deployment_files(folder, seen_as=str(folder))
    config = text_format.Parse((folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert [entry.base_path for entry in config.model_config_list.config] == [
        str(folder / "celeba-64"),
        str(folder / "mnist"),
    ]


def test_a_new_model_is_added_and_nothing_else_changes(folder):
    before = {path: path.read_text() for path in write_deployment_files(folder)}
    assert {path: path.read_text() for path in write_deployment_files(folder)} == before
    (folder / "new" / "1").mkdir(parents=True)
    (folder / "new" / "1" / "saved_model.pb").touch()
    write_deployment_files(folder)
    assert '"/models/new"' in (folder / "models.config").read_text()
    assert not list(folder.glob("*~*"))


def _add(folder, name):
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "1" / "saved_model.pb").touch()


def _entries(folder):
    config = text_format.Parse((folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    return {entry.name: entry for entry in config.model_config_list.config}


def test_what_the_user_wrote_is_kept(folder):
    write_deployment_files(folder)
    for name in ("batching_parameters.txt", "monitoring.txt", "compose.yaml"):
        (folder / name).write_text("# mine")
    config = folder / "models.config"
    policy = '"tensorflow" # both\n    model_version_policy { specific { versions: 1 versions: 12 } }\n'
    before, mnist, after = config.read_text().rpartition('"tensorflow"\n')
    assert mnist
    config.write_text(before + policy + after)
    mine = config.read_text()
    write_deployment_files(folder)
    assert config.read_text() == mine
    _add(folder, "new")
    write_deployment_files(folder)
    entries = _entries(folder)
    assert list(entries) == ["celeba-64", "mnist", "new"]
    assert entries["mnist"].model_version_policy.specific.versions == [1, 12]
    assert "# both" in config.read_text()
    for name in ("batching_parameters.txt", "monitoring.txt", "compose.yaml"):
        assert (folder / name).read_text() == "# mine"
    (folder / "monitoring.txt").unlink()
    write_deployment_files(folder)
    assert "prometheus" in (folder / "monitoring.txt").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "model_config_list { config { name: 'mnist' base_path: '/models/mnist' } } # }",
        "model_config_list < config < name: 'mnist' base_path: '/models/mnist' > >",
        "model_config_list: {\n  config: { name: 'mnist', base_path: '/models/mnist' }\n  # config { }\n  }\n# { } end",
        "# model_config_list {}\nmodel_config_list { config { name: 'production' base_path: '/models/mnist/' } }",
        "",
    ],
)
def test_entries_are_added_to_a_list_in_any_style(folder, text):
    (folder / "models.config").write_text(text)
    write_deployment_files(folder)
    names = {"production"} if "production" in text else {"mnist"}
    assert _entries(folder).keys() == {*names, "celeba-64"}
    assert "# { } end" not in text or "# { } end" in (folder / "models.config").read_text()


@pytest.mark.parametrize("text", ["model_config_list {", "custom_model_config {}", "models: 3"])
def test_a_list_that_cannot_be_read_is_left_alone(folder, text):
    (folder / "models.config").write_text(text)
    with pytest.raises(
        ValueError, match=r"a readable list of models, so these are not in it: celeba-64, mnist\. Mend it, or"
    ):
        write_deployment_files(folder)
    assert (folder / "models.config").read_text() == text


def test_an_entry_whose_folder_is_gone_stays_with_a_warning(folder):
    (folder / "models.config").write_text(
        "model_config_list { config { name: 'old' base_path: '/models/old' } config { name: 'a' base_path: '/a' } }"
    )
    with pytest.warns(UserWarning, match=r"an entry for 'old', whose folder is gone\..*remove the entry") as caught:
        write_deployment_files(folder)
    assert [warning.filename for warning in caught] == [__file__]
    assert list(_entries(folder)) == ["old", "a", "celeba-64", "mnist"]


def _export_often(folder, name):
    for number in range(20):
        version = folder / f"{name}-{number}" / "1"
        version.mkdir(parents=True)
        (version / "saved_model.pb").touch()
        write_deployment_files(folder)


def test_exports_at_once_lose_no_entry(folder, tmp_path_factory):
    log = tmp_path_factory.mktemp("logs")
    processes = [forked.start(_export_often, folder, name, log=log / name) for name in ("a", "b")]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(_entries(folder)) == 2 + 40
    assert not list(folder.glob("*~*"))


def test_a_list_is_not_read_while_somebody_else_writes_it(folder):
    """Held up between the look at the folders and the file, an export would miss what came in between."""
    write_deployment_files(folder)
    with files.locked(folder) as alone:
        assert alone
        _add(folder, "new")
        thread = threading.Thread(target=write_deployment_files, args=(folder,))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert "new" not in _entries(folder)
    thread.join(30)
    assert "new" in _entries(folder)


def test_two_who_write_a_file_at_once_do_not_meet(tmp_path):
    """The second has a temporary name of its own, with the suffix last; the last one wins."""
    path, names, inside, go_on = tmp_path / "model.weights.h5", [], threading.Event(), threading.Event()

    def slow(temporary):
        names.append(temporary)
        Path(temporary).write_text("first")
        inside.set()
        assert go_on.wait(30)

    def fast(temporary):
        names.append(temporary)
        Path(temporary).write_text("second")

    thread = threading.Thread(target=files.replace_atomically, args=(path, slow))
    thread.start()
    assert inside.wait(30)
    files.replace_atomically(path, fast)
    assert path.read_text() == "second"
    go_on.set()
    thread.join(30)
    assert path.read_text() == "first"
    first, second = (Path(name).name for name in names)
    assert first == "model~.weights.h5"
    assert re.fullmatch(rf"model~{os.getpid()}-[0-9a-f]{{8}}~\.weights\.h5", second)
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_removed_after_a_day(tmp_path):
    old, new = (tmp_path / f"study~{number}-0123abcd~.json" for number in (7, 8))
    others = [tmp_path / name for name in ("study~x.json", "study2~7-0123abcd~.json", "study~7-0123abcd~.txt")]
    for path in (old, new, *others):
        path.touch()
        if path != new:
            os.utime(path, (time.time() - 2 * 24 * 60 * 60,) * 2)
    files.write_json(tmp_path / "study.json", 1)
    assert set(tmp_path.iterdir()) == {tmp_path / "study.json", new, *others}


def test_a_folder_that_cannot_be_locked_can_be_written_to(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with files.locked(tmp_path) as alone:
        assert not alone
    files.write_json(tmp_path / "a.json", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_batching_allows_large_requests_and_is_consistent(folder):
    write_deployment_files(folder)
    batching, _ = _messages()
    parameters = text_format.Parse((folder / "batching_parameters.txt").read_text(), batching())
    assert all(parameters.HasField(name) for name, kind in BATCHING.items() if kind.endswith("Value"))
    assert parameters.enable_large_batch_splitting.value
    rows, largest = parameters.max_execution_batch_size.value, parameters.max_batch_size.value
    assert 1 < rows <= largest
    assert largest <= rows * parameters.max_enqueued_batches.value  # or the queue could never take such a request
    assert 0 <= parameters.batch_timeout_micros.value <= 10_000
    assert not parameters.pad_variable_length_inputs


def test_monitoring_is_on(folder):
    write_deployment_files(folder)
    _, monitoring = _messages()
    parsed = text_format.Parse((folder / "monitoring.txt").read_text(), monitoring())
    assert parsed.prometheus_config.enable
    assert parsed.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_compose_is_yaml_with_a_profile_each(folder):
    yaml = pytest.importorskip("yaml", reason="pyyaml is not installed")
    write_deployment_files(folder)
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    assert services.keys() == {"cpu", "gpu", "proxy"}
    proxy = services.pop("proxy")
    assert (proxy["profiles"], proxy["ports"]) == (["public"], ["8502:8502"])
    for volume in proxy["volumes"]:
        assert (folder / volume.split(":")[0]).is_file()
    (listens,) = re.findall(r"listen (\d+);", (folder / "proxy.conf").read_text())
    assert proxy["ports"][0].endswith(f":{listens}")
    (upstream,) = re.findall(r"    server (\w+):8501;", (folder / "proxy.conf").read_text())
    for name, service in services.items():
        assert service["networks"]["default"]["aliases"] == [upstream]
        assert service["profiles"] == [name]
        assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
        assert service["volumes"] == [{"type": "bind", "source": ".", "target": "/models", "read_only": True}]
        assert service["healthcheck"]["test"][:3] == ["CMD", "bash", "-c"]
        for flag in ("model_config_file", "batching_parameters_file", "monitoring_config_file"):
            (path,) = [item.split("=")[1] for item in service["command"] if item.startswith(f"--{flag}=")]
            assert path.startswith("/models/")
            assert (folder / path.removeprefix("/models/")).is_file()
    assert services["cpu"]["image"] + "-gpu" == services["gpu"]["image"]
    (device,) = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert "deploy" not in services["cpu"]


def test_compose_names_nothing_of_this_machine(folder):
    write_deployment_files(folder)
    lines = _compose(folder)
    assert not [line for line in lines if "\t" in line or (len(line) - len(line.lstrip())) % 2]
    text = "\n".join(lines)
    assert str(folder) not in text
    assert set(re.findall(r'"(\S+):\d+:\d+"', text)) == {"127.0.0.1"}
    assert re.findall(r"image: (\S+)", text) == [
        "tensorflow/serving:${TF_SERVING_VERSION:-2.19.1}",
        "tensorflow/serving:${TF_SERVING_VERSION:-2.19.1}-gpu",
        "nginx:1.28",
    ]
    named = set(re.findall(r"=/models/(\S+)", text))
    assert named == {path.name for path in folder.iterdir() if path.suffix in (".txt", ".config")}


def test_the_health_check_asks_for_every_model(folder, tmp_path):
    """Run by bash, as the container would, against a server that has one model, then both, then is gone."""
    write_deployment_files(folder)
    (line,) = [line for line in _compose(folder) if line.lstrip().startswith("test: ")]
    command = json.loads(line.split("test: ")[1])[1:]

    def check(port):
        arguments = [part.replace("$$", "$").replace("/8501", f"/{port}") for part in command]
        arguments = [part.replace("/models/models.config", str(folder / "models.config")) for part in arguments]
        return subprocess.run(arguments, capture_output=True, timeout=10, check=False).returncode

    with serving_stub.ServingStub({}) as stub:
        port = stub.rest.rsplit(":", 1)[1]
        assert check(port) != 0
        stub.add("celeba-64", 3)
        assert check(port) != 0
        stub.add("mnist", 1)
        assert check(port) == 0
        compose = (folder / "compose.yaml").read_text()
        _add(folder, "new")
        write_deployment_files(folder)
        assert (folder / "compose.yaml").read_text() == compose
        assert check(port) != 0
        stub.add("new", 1)
        assert check(port) == 0
        one_line = "# name: 'x'\nmodel_config_list { config { name:'mnist', base_path: 'b' } config { name : \"new\"} }"
        (folder / "models.config").write_text(one_line)
        assert check(port) == 0
        (folder / "models.config").write_text(one_line.replace("mnist", "other"))
        assert check(port) != 0
        (folder / "models.config").write_text("")
        assert check(port) != 0
        (folder / "models.config").write_text(one_line)
    assert check(port) != 0


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder\. Expected the folder that holds exported"):
        write_deployment_files(tmp_path / "nowhere")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()  # a model's own folder in place of the one above
    with pytest.raises(
        ValueError, match=r"holds no exported model that a server can take\. Expected NAME/VERSION/saved_model\.pb"
    ):
        write_deployment_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("name", ["a b", "a:b", 'quo"te', "new\nline", "größe", "-x", "$x"])
def test_a_name_that_no_url_can_hold_is_left_out(tmp_path, name):
    _add(tmp_path, name)
    with pytest.warns(UserWarning, match="rename its folder"), pytest.raises(ValueError, match="no exported model"):
        write_deployment_files(tmp_path)
    _add(tmp_path, "good")
    with pytest.warns(UserWarning, match=f"clients cannot name the model {re.escape(repr(name))}") as caught:
        write_deployment_files(tmp_path)
    assert [warning.filename for warning in caught] == [__file__]
    assert list(_entries(tmp_path)) == ["good"]


@pytest.mark.parametrize(
    "name", ["batching_parameters.txt", "monitoring.txt", "compose.yaml", "proxy.conf", "proxy.js"]
)
def test_the_files_beside_the_pretrained_model_are_those_that_exports_write(name):
    kept = Path(__file__).parents[2] / "saved_models" / name
    assert kept.read_text() == (resources.files("tf_jmvae.serving") / "server_files" / name).read_text()
