"""Presets: TOML files with the paper's settings and their sources, read without TensorFlow."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pydantic

from tf_jmvae.training.config import Config, ConvolutionConfig

_OF_ANOTHER_FORM = ("model_type", "tuple_type")  # pydantic's error types for another form of the setting
_FOLDER = resources.files("tf_jmvae.training") / "presets"


def names() -> list[str]:
    """Returns the names of all presets."""
    files = (entry.name for entry in _FOLDER.iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml") and not name.startswith("_"))


def load(preset: str) -> Config:
    """Loads the configuration of a preset by name, or of a `.toml` file by path.

    If a file has `extends = "name"`, its settings override those of `name.toml` in the same folder. Raises `ValueError`
    for an unknown preset (the message lists all) or an invalid configuration.
    """
    if preset.endswith(".toml"):
        path, name = Path(preset), Path(preset).stem
        if not path.is_file():
            raise ValueError(f"There is no configuration file {preset}.")
    else:
        path, name = _FOLDER / f"{preset}.toml", preset
        if preset not in names():
            raise ValueError(f"Unknown preset {preset!r}. Expected one of {', '.join(names())}, or a .toml file.")
    try:
        return Config.model_validate({**_read(path), "preset": name})
    except pydantic.ValidationError as error:
        raise ValueError(f"{preset} is not a valid configuration: {describe(error)}") from error


def _read(path: Path | Traversable, below: tuple[str, ...] = ()) -> dict[str, Any]:
    """Reads a TOML file's settings, merged over those of the files that it extends."""
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:  # e.g. numbers of thousands of digits, or deeply nested brackets
        raise ValueError(f"{path} is not valid TOML: {error}.") from error
    base = settings.pop("extends", None)
    if base is None:
        return settings
    if not isinstance(base, str) or base in below:
        raise ValueError(f"{path.name}: extends must name another file, and not lead back to this one; got {base!r}.")
    if "/" in base or "\0" in base:
        raise ValueError(f"{path.name}: extends must name a file beside it; got {base!r}.")
    beside = (path.parent if isinstance(path, Path) else _FOLDER) / f"{base}.toml"
    if not beside.is_file():
        raise ValueError(f"{path.name} extends {base!r}, but there is no {base}.toml beside it.")
    return merge(_read(beside, (*below, base)), settings)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merges settings over others, table by table."""
    nested = [key for key, value in changes.items() if isinstance(value, dict) and isinstance(base.get(key), dict)]
    return {**base, **changes, **{key: merge(base[key], changes[key]) for key in nested}}


def describe(error: pydantic.ValidationError) -> str:
    """Describes a validation error in one line: the setting, the problem and the value."""
    marks = (ConvolutionConfig.__name__, "tuple[")  # parts of pydantic's locations that name the form of the setting
    details = [(".".join(str(p) for p in one["loc"] if not str(p).startswith(marks)), one) for one in error.errors()]
    parts = []
    for where, detail in details:
        if detail["type"] in _OF_ANOTHER_FORM and any(
            other.startswith(where) and reason["type"] not in _OF_ANOTHER_FORM for other, reason in details
        ):
            continue  # networks are widths or convolutional: only errors of the given form are described
        text = repr(detail["input"])
        text = text if len(text) <= 200 else f"{text[:200]} ..."
        came = "" if detail["type"] in ("missing", "value_error") else f" (got {text})"
        message = detail["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}{came}" if where else message)
    return "; ".join(parts)
