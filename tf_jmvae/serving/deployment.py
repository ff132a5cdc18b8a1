"""The files beside exported models that TF Serving and Docker Compose start from."""

import json
import os
import re
from pathlib import Path

from tf_jmvae.files import replace_atomically

__all__ = ["write_deployment_files"]

MODELS = "models.config"
BATCHING = "batching_parameters.txt"
MONITORING = "monitoring.txt"
COMPOSE = "compose.yaml"
METRICS = "/monitoring/prometheus/metrics"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

_BATCHING = """\
# How TF Serving joins requests that arrive at once. Every signature of an exported model allows it.

# Rows that run together. These models gain little beyond.
max_execution_batch_size { value: 64 }
# Rows that one request may have; larger than above, it is split.
max_batch_size { value: 4096 }
enable_large_batch_splitting { value: true }
# How long a row waits for others, in microseconds: about what a small model takes to run.
batch_timeout_micros { value: 1000 }
# Batches that run at the same time: as many as the machine has cores.
num_batch_threads { value: 4 }
# Batches that wait, four of the largest requests; then the server answers UNAVAILABLE, rather than later and later.
max_enqueued_batches { value: 256 }
# Rows of a model have one shape, and encoded images are single strings: there is nothing to pad.
pad_variable_length_inputs: false
"""

_MONITORING = f"""\
# Numbers for Prometheus, at the REST port.
prometheus_config {{
  enable: true
  path: "{METRICS}"
}}
"""

_COMPOSE = """\
# TF Serving for the models in this folder:
#
#     docker compose --profile cpu up        or --profile gpu, with the NVIDIA Container Toolkit
#
# It loads new versions and entries of models.config by itself. Both ports are open to this machine only.

x-serving: &serving
  command:
    - --model_config_file=/models/{models}
    - --model_config_file_poll_wait_seconds=30
    - --enable_batching=true
    - --batching_parameters_file=/models/{batching}
    - --monitoring_config_file=/models/{monitoring}
    - --rest_api_timeout_in_ms=60000
  ports:
    - "127.0.0.1:8500:8500" # gRPC
    - "127.0.0.1:8501:8501" # REST and {metrics}
  volumes:
    - type: bind
      source: .
      target: /models
      read_only: true
  healthcheck:
    test: {healthcheck}
    interval: 10s
    timeout: 5s
    retries: 3
    start_period: 120s
  restart: unless-stopped

services:
  cpu:
    <<: *serving
    profiles: ["cpu"]
    image: tensorflow/serving:${{TF_SERVING_VERSION:-2.19.1}}
  gpu:
    <<: *serving
    profiles: ["gpu"]
    image: tensorflow/serving:${{TF_SERVING_VERSION:-2.19.1}}-gpu
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: 1
              capabilities: ["gpu"]
"""

# The image has bash, but neither curl nor wget.
_HEALTH = (
    "for name in {names}; do exec 3<>/dev/tcp/127.0.0.1/8501 || exit 1; "
    "printf 'GET /v1/models/%s HTTP/1.0\\r\\n\\r\\n' $name >&3; grep -q AVAILABLE <&3 || exit 1; done"
)


def write_deployment_files(base_folder: str | os.PathLike, *, seen_as: str = "/models") -> list[Path]:
    """Writes what TF Serving needs to serve all models in a folder; files of these names are replaced.

    A running server reads `models.config` again and so takes up new models. It loads new versions without it.

        base_folder/NAME/VERSION/            written by model.export(base_folder / NAME)
                    models.config            every NAME that has a version
                    batching_parameters.txt  how requests are joined
                    monitoring.txt           numbers for Prometheus
                    compose.yaml             docker compose --profile cpu up, or gpu

    Args:
      base_folder: the folder with the models' folders.
      seen_as: where the server finds that folder; in the containers of `compose.yaml` it is `/models`. A server
        without a container takes the folder's own path.

    Returns:
      The files.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: it holds no exported model, or the name of one cannot be part of a URL.
    """
    folder = Path(base_folder)
    names = _models(folder)
    test = _HEALTH.format(names=" ".join(names)).replace("$", "$$")  # Compose would take $name for its own
    texts = {
        MODELS: _model_config(names, seen_as.rstrip("/")),
        BATCHING: _BATCHING,
        MONITORING: _MONITORING,
        COMPOSE: _COMPOSE.format(
            models=MODELS,
            batching=BATCHING,
            monitoring=MONITORING,
            metrics=METRICS,
            healthcheck=json.dumps(["CMD", "bash", "-c", test]),
        ),
    }
    for name, text in texts.items():
        replace_atomically(folder / name, lambda temporary, text=text: Path(temporary).write_text(text))
    return [folder / name for name in texts]


def _models(folder: Path) -> list[str]:
    """Folders that hold a finished version, in order."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder. Expected the folder that holds exported models.")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and any(map(_is_version, path.iterdir())))
    if not names:
        raise ValueError(
            f"{folder} holds no exported model. Expected NAME/VERSION/saved_model.pb in it, as model.export("
            f"{str(folder / 'NAME')!r}) writes it."
        )
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"A server's clients cannot name the model {name!r}: rename its folder to letters, digits, '_', '-' "
                "and '.' only."
            )
    return names


def _is_version(path: Path) -> bool:
    return path.name.isascii() and path.name.isdigit() and (path / "saved_model.pb").is_file()


def _model_config(names: list[str], seen_as: str) -> str:
    entries = "".join(
        f"  config {{\n    name: {json.dumps(name)}\n    base_path: {json.dumps(f'{seen_as}/{name}')}\n"
        '    model_platform: "tensorflow"\n  }\n'
        for name in names
    )
    return (
        "# The newest version of each model is served. For others, or for two at once, add to its entry for example\n"
        "#     model_version_policy { specific { versions: 1 versions: 2 } }\n"
        f"model_config_list {{\n{entries}}}\n"
    )
