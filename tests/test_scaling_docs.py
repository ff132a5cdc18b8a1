"""The cluster files of docs/scaling.md: they parse, and each worker finds itself under the address that others use."""

import json
import pathlib
import re
import shlex

import pytest
import yaml

from tf_jmvae.cli import train
from tf_jmvae.distribute.devices import Cluster

TEXT = (pathlib.Path(__file__).resolve().parents[1] / "docs/scaling.md").read_text()
OBJECTS = list(yaml.safe_load_all(re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1]))
SERVICE, CLAIM, CHIEF, WORKERS = OBJECTS


def _pods():
    """Container, environment and host name of each pod that the two jobs start."""
    for job in (CHIEF, WORKERS):
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        for index in range(job["spec"].get("completions", 1)):
            name = pod.get("hostname", f"{job['metadata']['name']}-{index}")  # an indexed job's pods are named so
            environment = {entry["name"]: entry.get("value", str(index)) for entry in container["env"]}
            config = environment["TF_CONFIG"].replace("$(INDEX)", environment.get("INDEX", ""))
            yield container, config, f"{name}.{pod['subdomain']}"


def test_kubernetes_pods_find_each_other(monkeypatch):
    port = SERVICE["spec"]["ports"][0]["port"]
    assert SERVICE["spec"]["clusterIP"] == "None"
    clusters = []
    for _, config, host in _pods():
        monkeypatch.setenv("TF_CONFIG", config)
        cluster = Cluster.from_environment()
        assert cluster.workers[cluster.index] == f"{host}:{port}"
        assert host.endswith("." + SERVICE["metadata"]["name"])
        clusters.append(cluster)
    assert len({cluster.workers for cluster in clusters}) == 1
    assert sorted(cluster.index for cluster in clusters) == list(range(len(clusters[0].workers)))


def test_kubernetes_objects_fit_together():
    for job in (CHIEF, WORKERS):
        template = job["spec"]["template"]
        assert SERVICE["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert template["spec"]["restartPolicy"] == "OnFailure"
    assert WORKERS["spec"]["completionMode"] == "Indexed"
    assert WORKERS["spec"]["completions"] == WORKERS["spec"]["parallelism"]
    (volume,) = CHIEF["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    assert "volumes" not in WORKERS["spec"]["template"]["spec"]
    chief, *workers = [train.parse(container["command"][2:], "tf-jmvae train").config for container, _, _ in _pods()]
    (mount,) = CHIEF["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert str(chief.run_dir).startswith(mount["mountPath"] + "/")
    assert all(worker.model_copy(update={"run_dir": chief.run_dir}) == chief for worker in workers)


COMMANDS = re.findall(r"^ +(TF_CONFIG=.*)$", TEXT, re.MULTILINE)


def test_each_host_has_its_command():
    configs = [json.loads(shlex.split(line)[0].removeprefix("TF_CONFIG=")) for line in COMMANDS]
    assert [config["task"]["index"] for config in configs] == [0, 1]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_for_hosts(line, monkeypatch):
    assignment, program, verb, *options = shlex.split(line)
    monkeypatch.setenv("TF_CONFIG", assignment.removeprefix("TF_CONFIG="))
    assert Cluster.from_environment().workers == ("host0:2222", "host1:2222")
    assert json.loads(assignment.removeprefix("TF_CONFIG="))["task"]["type"] == "worker"
    assert (program, verb) == ("tf-jmvae", "train")
    assert train.parse(options, "tf-jmvae train").config.strategy == "auto"
