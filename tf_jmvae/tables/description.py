"""Descriptions of tables in TOML, as configurations of runs."""

import tomllib
from pathlib import Path
from typing import Any

import pydantic

from tf_jmvae._utils.checks import listed
from tf_jmvae.training.config import Config
from tf_jmvae.training.presets import describe

_OF_DATA = ("table", "folder", "validation", "delimiter", "decimal", "encoding", "batch_size", "complete_rows")
_SECTIONS = ("data", "modalities", "model", "training")


def load(path: str | Path) -> Config:
    """Reads a description, and learns the columns' properties from the table's training rows.

    Args:
      path: path of a TOML file with `[data]`, which names the table; `[modalities.NAME]`, as for `data.from_table`; and
        `[model]` and `[training]` as in a preset. Paths in it are relative to its folder.

    Returns:
      `Config` of a run, with the name of the file.

    Raises:
      OSError: if a file cannot be read.
      ValueError: if the description or the table is invalid; the message says what to do.
    """
    from tf_jmvae.data.table import learn, opened

    path = Path(path)
    content = _read(path)
    data = {key: value for key, value in content["data"].items() if value is not None}
    table = path.parent / data.pop("table")
    folder = path.parent / data.pop("folder") if "folder" in data else table.parent
    reading = {key: data[key] for key in ("delimiter", "decimal", "encoding") if key in data}
    rows, folder = opened(table, folder, reading)
    validation = data.setdefault("validation", 0.1)
    try:
        learned = learn(rows, content["modalities"], folder=folder, validation=validation)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    data |= {"dataset": "table", "table": table.resolve(), "data_dir": folder.resolve()}
    data["columns"] = {name: columns for name, (columns, _) in learned.items()}
    modalities = {name: settings for name, (_, settings) in learned.items()}
    training = dict(content["training"])
    if isinstance(training.get("joint_from"), str):
        training["joint_from"] = (path.parent / training["joint_from"]).resolve()
    settings = {"preset": path.stem, "source": f"{path.name}, a table of one's own", "data": data}
    settings |= {"model": {**content["model"], "modalities": modalities}, "training": training}
    try:
        return Config.model_validate(settings)
    except pydantic.ValidationError as error:
        raise ValueError(f"{path} is not a valid description: {describe(error)}") from error


def _read(path: Path) -> dict[str, Any]:
    """Reads the sections of the file, each of which is a TOML table."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from error
    if unknown := [key for key in content if key not in _SECTIONS]:
        raise ValueError(f"{path}: {listed(unknown)} is not a part of a description, which has {listed(_SECTIONS)}.")
    wrong = [key for key in _SECTIONS if not isinstance(content.get(key), dict)]
    if wrong:
        raise ValueError(f"{path}: [{wrong[0]}] is missing. `tf-jmvae init TABLE` writes a description with all parts.")
    data = content["data"]
    if unknown := [key for key in data if key not in _OF_DATA]:
        raise ValueError(f"{path}: {listed(unknown)} is not a setting of [data], which has {listed(_OF_DATA)}.")
    if not isinstance(data.get("table"), str):
        raise ValueError(f"{path}: name the table with table = 'FILE.csv' under [data].")
    texts = [key for key in ("folder", "delimiter", "decimal", "encoding") if not isinstance(data.get(key, ""), str)]
    if texts:
        raise ValueError(f"{path}: {texts[0]} under [data] must be a string; got {data[texts[0]]!r}.")
    if wrong := [name for name, one in content["modalities"].items() if not isinstance(one, dict | str)]:
        raise ValueError(f"{path}: [modalities.{wrong[0]}] must say the kind of its columns, such as kind = 'numbers'.")
    return content
