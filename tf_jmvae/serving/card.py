"""Version folders of exported models, and model cards: JSON descriptions with checksums of the files."""

import dataclasses
import datetime
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from tf_jmvae._utils.provenance import environment
from tf_jmvae._utils.tables import first_of
from tf_jmvae.serving.request import signatures_of
from tf_jmvae.specs import ModelSpec

CARD = "model_card.json"
FORMAT = 1
MODEL_FILE = "saved_model.pb"
_LARGEST_VERSION = 2**63 - 1  # TF Serving's versions are int64
_MAX_BYTES = 4 * 2**20
_ADVICE = "Copy or download the folder again, or export the model anew."


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(size is None or (type(size) is int and size >= 0) for size in value)


# Schema of a card: a dict has the required keys, a list of one element the schema of all values of an object, and a
# pair the expected value in words and its test.
_COUNT = ("a whole number of 0 or more", lambda value: type(value) is int and value >= 0)
_TEXT = ("a text", lambda value: isinstance(value, str))
_OBJECT = ("an object", lambda value: isinstance(value, dict))
_TENSORS = [{"dtype": _TEXT, "shape": ("a list of sizes and nulls", _is_shape)}]
_SHA256 = ("64 hexadecimal digits", lambda value: re.fullmatch("[0-9a-f]{64}", str(value)))
_FORM = {
    "format": (str(FORMAT), lambda value: type(value) is int and value == FORMAT),
    "name": _TEXT,
    "kind": _TEXT,
    "modalities": [_OBJECT],
    "latent_dim": ("a positive whole number", lambda value: type(value) is int and value > 0),
    "signatures": [{"inputs": _TENSORS, "outputs": _TENSORS}],
    "num_steps": _COUNT,
    "num_samples": _COUNT,
    "training": _OBJECT,
    "metrics": _OBJECT,
    "versions": _OBJECT,
    "commit": ("a text or null", lambda value: isinstance(value, str | None)),
    "dirty": ("true, false or null", lambda value: isinstance(value, bool | None)),
    "created": _TEXT,
    "files": [{"bytes": _COUNT, "sha256": _SHA256}],
}


def version_of(name: str) -> int | None:
    """Returns the version number of a folder name, a number without leading zeros; None for any other name."""
    return int(name) if re.fullmatch("0|[1-9][0-9]{0,18}", name) and int(name) <= _LARGEST_VERSION else None


def version_folder(path: Path) -> Path | None:
    """Returns the version folder of a path: the path itself or the newest version in it; None if there is none."""
    if not path.is_dir():
        return None
    return path if (path / MODEL_FILE).is_file() else newest_version(path)


def newest_version(folder: Path) -> Path | None:
    """Returns the newest version with a SavedModel in a model's folder, or None; `OSError` if it is unreadable."""
    found = (path for path in folder.iterdir() if version_of(path.name) is not None and (path / MODEL_FILE).is_file())
    return max(found, key=lambda path: int(path.name), default=None)


def describe(spec: ModelSpec, num_samples: int, folder: Path) -> dict[str, Any]:
    """Returns the content of `model_card.json` for a version folder, except for training and metrics."""
    saved = saved_model_pb2.SavedModel.FromString((folder / MODEL_FILE).read_bytes())
    signatures = signatures_of(saved.meta_graphs[0].signature_def)
    return {
        "format": FORMAT,
        **spec.to_json(),
        "num_samples": num_samples,
        "signatures": {name: dataclasses.asdict(signature) for name, signature in signatures.items()},
        **environment(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": file_checksums(folder),
    }


def file_checksums(folder: str | os.PathLike, *, links: bool = False) -> dict[str, dict[str, Any]]:
    """Returns checksums of a version folder's files except the card: `{"variables/..": {"bytes": .., "sha256": ..}}`.

    With `links` files may be symbolic links to files anywhere, as in the cache of Hugging Face. Raises
    `FileNotFoundError` if the folder does not exist, `ValueError` for other links and special files.
    """
    folder, checksums = Path(folder), {}
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder. Expected a version folder of an exported model.")
    for path in sorted(Path(parent) / name for parent, *kinds in os.walk(folder) for name in itertools.chain(*kinds)):
        name = path.relative_to(folder).as_posix()
        refused = path.is_symlink() and not (links and path.is_file())
        if refused or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path} is a symbolic link or a special file. Expected files and folders only.")
        if path.is_file() and name != CARD:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                checksums[name] = {"bytes": file.tell(), "sha256": digest}
    return dict(sorted(checksums.items()))


def read(folder: str | os.PathLike, *, links: bool = False) -> dict[str, Any]:
    """Reads the card of a version folder, in which every key has its required type; `links` as for `file_checksums`.

    Raises `FileNotFoundError` if the folder has no card, and `ValueError` if the card is damaged, too large, or of an
    unknown format.
    """
    path = Path(folder) / CARD
    if path.is_symlink() and not (links and path.is_file()):
        raise ValueError(f"{path} is a symbolic link; expected a file.")
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path} is larger than {_MAX_BYTES // 2**20} MiB, which no model card is. {_ADVICE}")
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({_shortened(error)}). {_ADVICE}") from error
    if not isinstance(parsed, dict):
        raise ValueError(f"{path}: expected a JSON object; got {type(parsed).__name__}. {_ADVICE}")
    form = parsed.get("format")
    if type(form) is int and form > FORMAT:
        raise ValueError(
            f"{path} has format {form}; this tf_jmvae reads format {FORMAT}. "
            "A newer version of tf_jmvae wrote it: install that one."
        )
    try:
        if problems := list(itertools.islice(_problems(parsed, _FORM), 10)):
            raise ValueError("; ".join(problems))
        ModelSpec.from_json(parsed)
    except ValueError as error:
        raise ValueError(f"{path} is not a model card of format {FORMAT}: {_shortened(error)}. {_ADVICE}") from error
    return parsed


def _problems(value: Any, form: Any, place: str = "") -> Iterator[str]:
    """Yields the violations of the schema in a card, each with its path."""
    expected, holds = form if isinstance(form, tuple) else _OBJECT
    if not holds(value):
        yield f"{place}: expected {expected}, got {type(value).__name__ if isinstance(value, dict | list) else value}"
    elif not isinstance(form, tuple):
        for key, part in form.items() if isinstance(form, dict) else ((key, form[0]) for key in value):
            there = f"{place}.{key}".removeprefix(".")
            if key in value:
                yield from _problems(value[key], part, there)
            else:
                yield f"{there}: Field required"


def verify(folder: str | os.PathLike, card: Mapping[str, Any], *, links: bool = False) -> None:
    """Raises `ValueError` with the files of a version folder that differ from the checksums of its card.

    This detects damage, and files that were added or changed without an update of the card. It does not authenticate
    the author: whoever can change a file can also change the card. `links` is as for `file_checksums`.
    """
    expected, found = card["files"], file_checksums(folder, links=links)
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    for name in sorted(expected.keys() & found.keys()):
        size, original = found[name]["bytes"], expected[name]["bytes"]
        if size < original:
            problems.append(f"{name} is truncated, {size} bytes of {original}")
        elif found[name] != expected[name]:
            problems.append(f"{name} was changed")
    problems += [f"{name} is additional" for name in sorted(found.keys() - expected.keys())]
    if problems:
        raise ValueError(
            f"{folder} is not what was exported: {first_of(problems, most=10, separator='; ')}. {CARD} has the "
            f"checksums. {_ADVICE}"
        )


def _shortened(problem: Any) -> str:
    text = str(problem).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 500 else f"{text[:500]} ..."
