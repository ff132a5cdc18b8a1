"""Configuration files of TF Serving and Docker Compose for a folder of exported models."""

import copy
import os
import re
import warnings
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import Message

from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import locked, write_text
from tf_jmvae.serving.card import newest_version

MODELS = "models.config"
_FIXED = ("batching_parameters.txt", "monitoring.txt", "compose.yaml", "proxy.conf", "proxy.js")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# Templates of the files. The health check in compose.yaml tests every model listed in models.config at that time; the
# image has bash, but neither curl nor wget.
_TEXTS = resources.files("tf_jmvae.serving") / "server_files"


def write_deployment_files(base_folder: str | os.PathLike, *, seen_as: str = "/models") -> list[Path]:
    """Writes the files that TF Serving needs to serve all models in a folder, and keeps existing ones.

    Existing files are not changed, except that `models.config` gets an entry for each model whose name and folder it
    lacks; delete a file to have it written again. An entry whose folder is gone is kept with a warning, because a
    starting server may wait for it forever. Concurrent exports wait for each other.

    A running server rereads `models.config` and so loads new models. New versions need no entry.

        base_folder/NAME/VERSION/            written by model.export(base_folder / NAME)
                    models.config            every NAME that has a version
                    batching_parameters.txt  batching of requests
                    monitoring.txt           metrics for Prometheus
                    compose.yaml             docker compose --profile cpu up, or gpu
                    proxy.conf, proxy.js     nginx for public access: --profile public

    Args:
      base_folder: path of the folder with the models' folders.
      seen_as: path of that folder on the server; by default `/models`, as in the containers of `compose.yaml`. A server
        without a container needs the folder's own path.

    Returns:
      List of paths of the files, written or kept.

    Warns:
      UserWarning: if a model is left out, because its name cannot be part of a URL or its folder cannot be read, or if
        an entry of `models.config` has no folder.

    Raises:
      FileNotFoundError: if the folder does not exist.
      ImportError: if tensorflow_serving is missing, which comes with the extra `serving`.
      ValueError: if no exported model in it can be served, or its `models.config` cannot be read.
    """
    with extra("serving", "The list of models for TF Serving"):
        from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig
    folder, seen_as = Path(base_folder), seen_as.rstrip("/")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder. Expected the folder that holds exported models.")
    with locked(folder):  # from reading the folder until the files are written
        _update_models(folder, _models(folder), seen_as, ModelServerConfig)
        for name in _FIXED:
            if not (folder / name).exists():
                write_text(folder / name, _text(name))
    return [folder / name for name in (MODELS, *_FIXED)]


def _text(name: str) -> str:
    return (_TEXTS / name).read_text(encoding="utf-8")


def _models(folder: Path) -> list[str]:
    """Returns the sorted names of folders with a finished version that a server can load."""
    names = []
    for path in sorted(folder.iterdir()):
        try:
            if not path.is_dir() or newest_version(path) is None:
                continue
        except OSError as error:
            _warn(f"{path} cannot be read ({error.strerror or error}), so {MODELS} is written without it.")
            continue
        if _NAME.fullmatch(path.name):
            names.append(path.name)
        else:
            _warn(
                f"{path} is left out of {MODELS}: a server's clients cannot name the model {path.name!r}. To serve "
                "it, rename its folder to letters, digits, '_', '-' and '.' only, and write these files again."
            )
    if not names:
        raise ValueError(
            f"{folder} holds no exported model that a server can take. Expected NAME/VERSION/saved_model.pb in it, as "
            f"model.export({str(folder / 'NAME')!r}) writes it."
        )
    return names


def _update_models(folder: Path, names: list[str], seen_as: str, message: type[Message]) -> None:
    """Writes `models.config`, a `message` in protobuf text format, or adds missing models to it."""
    path = folder / MODELS
    if not path.exists():
        write_text(path, _text(MODELS) + text_format.MessageToString(_with_models(message(), names, seen_as)))
        return
    text = path.read_text()
    config = _parsed(text, message)
    if config is None or config.WhichOneof("config") == "custom_model_config":
        raise ValueError(
            f"{path} is not a readable list of models, so these are not in it: {', '.join(names)}. Mend it, or "
            "delete it and write these files again; the exported models are as they were."
        )
    entries = config.model_config_list.config
    for entry in entries:
        where = entry.base_path.rstrip("/")
        if where.startswith(f"{seen_as}/") and not (folder / where.removeprefix(f"{seen_as}/")).is_dir():
            _warn(
                f"{path} still has an entry for {entry.name!r}, whose folder is gone. A server that starts may wait "
                "for it for ever: remove the entry, unless the folder comes back."
            )
    listed = {entry.name for entry in entries} | {entry.base_path.rstrip("/") for entry in entries}
    if missing := [name for name in names if not {name, f"{seen_as}/{name}"} & listed]:
        write_text(path, _extended(text, config, _with_models(message(), missing, seen_as)))


def _parsed(text: str, message: type[Message]) -> Message | None:
    try:
        return text_format.Parse(text, message())
    except text_format.ParseError:
        return None


def _with_models(config: Message, names: Iterable[str], seen_as: str) -> Message:
    for name in names:
        config.model_config_list.config.add(name=name, base_path=f"{seen_as}/{name}", model_platform="tensorflow")
    return config


def _extended(text: str, config: Message, more: Message) -> str:
    """Appends entries to the list in a file; comments are kept if the list ends with a brace."""
    wanted, entries = copy.deepcopy(config), text_format.MessageToString(more.model_config_list, indent=2)
    wanted.MergeFrom(more)
    for brace in reversed([match.start() for match in re.finditer("}", text)]):
        before = text[:brace].rstrip(" ")
        extended = before + ("" if before.endswith("\n") else "\n") + entries + text[brace:]
        if _parsed(extended, type(more)) == wanted:
            return extended
    return _text(MODELS) + text_format.MessageToString(wanted)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)  # the caller of write_deployment_files
