"""Parsing of observed modalities on the command line, such as `w=3`, `x=photo.jpg` or `Smiling=1`, to arrays."""

import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_jmvae._utils.tables import first_of
from tf_jmvae.specs import Columns, ModalitySpec

Texts = dict[str, dict[str, list[str]]]

_LISTED = 20  # number of classes in a message


def parse(words: Sequence[str], modalities: Mapping[str, ModalitySpec]) -> tuple[Texts, int]:
    """Parses values by modality and, for attributes, by name (`""` for others); also returns the number of examples.

    A repeated name belongs to the next example; a name that occurs once, to all examples. Raises `ValueError` for
    invalid words, unknown names, or names that are repeated different numbers of times.
    """
    found: Texts = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ValueError(f"--given takes NAME=VALUE, such as w=3, x=photo.jpg or Smiling=1; got {word!r}.")
        modality, entry = _resolve(name, modalities)
        found.setdefault(modality, {}).setdefault(entry, []).append(value)
    for modality, values in found.items():
        if "" in values and len(values) > 1:
            raise ValueError(f"--given has {modality}=... and attributes of {modality}; give one of the two.")
    counts = {len(texts) for values in found.values() for texts in values.values()} - {1}
    if len(counts) > 1:
        raise ValueError(
            "--given: each name must appear once, for all examples, or once for each example; "
            f"got names that appear {' and '.join(map(str, sorted(counts)))} times."
        )
    return found, next(iter(counts), 1)


def read(texts: Texts, size: int, modalities: Mapping[str, ModalitySpec]) -> dict[str, Any]:
    """Reads the observed modalities for a model, `size` examples of each; raises `ValueError` or `OSError`."""
    import tensorflow as tf

    from tf_jmvae import images

    observed = {}
    for name, values in texts.items():
        described = modalities[name]
        if "" in values:
            whole = values[""] * (size if len(values[""]) == 1 else 1)
            if described.is_image:
                pictures = (np.asarray(images.open_rgb(Path(text).expanduser())) for text in whole)
                observed[name] = [tf.io.encode_png(picture).numpy() for picture in pictures]
            elif described.kind == "text" and described.columns:
                observed[name] = [_text(name, text, described.columns) for text in whole]
            else:
                observed[name] = np.stack([_vector(name, text, described) for text in whole])
        else:
            observed[name] = _attributes(values, size, described)
    return observed


def _resolve(name: str, modalities: Mapping[str, ModalitySpec]) -> tuple[str, str]:
    """Returns the modality of a name, and the attribute if it is one, such as `Smiling` or `w.Smiling`."""
    if name in modalities:
        return name, ""
    modality, dot, entry = name.partition(".")
    if dot and modality in modalities and entry in modalities[modality].entry_names:
        return modality, entry
    attributes = {m: d.entry_names for m, d in modalities.items() if d.kind != "label"}
    having = [modality for modality, names in attributes.items() if name in names]
    if len(having) == 1:
        return having[0], name
    if having:
        raise ValueError(f"{name!r} is an attribute of {' and of '.join(having)}: write {having[0]}.{name}=....")
    known = [*modalities, *(entry for names in attributes.values() for entry in names)]
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"The modalities are {', '.join(modalities)}."
    raise ValueError(f"--given: the model has no {name!r}. {hint}")


def _vector(name: str, text: str, described: ModalitySpec) -> np.ndarray:
    """Parses a class, by name or by number, or numbers separated by commas."""
    shape = described.event_shape
    if described.kind == "label":
        return np.eye(shape[0], dtype=np.float32)[_class(name, text, described)]
    numbers = [number(part) for part in text.split(",")]
    if math.prod(shape) != len(numbers) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"--given {name}=... takes {math.prod(shape)} numbers separated by commas; got {text!r}.")
    return np.array(numbers, np.float32).reshape(shape)


def _class(name: str, text: str, described: ModalitySpec) -> int:
    """Returns the number of a class; those of a table have names only, in which 2 and 2.0 are the same number."""
    names, size = described.entry_names, described.event_shape[0]
    if text in names:
        return names.index(text)
    if described.columns:
        same = [index for index, known in enumerate(names) if number(known) == number(text)]
        if len(same) == 1:
            return same[0]
        raise ValueError(f"--given {name}=... takes one of {first_of(names, most=_LISTED)}; got {text!r}.")
    if text.isascii() and text.isdigit() and int(text) < size:
        return int(text)
    also = f", or one of {first_of(names, most=_LISTED)}" if names else ""
    raise ValueError(f"--given {name}=... takes a class from 0 to {size - 1}{also}; got {text!r}.")


def _text(name: str, text: str, columns: Columns) -> str:
    """Returns the text; raises `ValueError` if none of its words is in the model's vocabulary."""
    from tf_jmvae.columns import kind_of
    from tf_jmvae.columns.text import UNKNOWN

    kind = kind_of(columns)
    read = kind.to_strings(kind.from_strings([text])).numpy()[0].decode().split()
    if not set(read) - {UNKNOWN}:
        close = [near for word in text.lower().split() for near in difflib.get_close_matches(word, columns.words, n=2)]
        hint = (
            f"Did you mean {' or '.join(close)}?"
            if close
            else f"It knows words such as {', '.join(columns.words[:10])}."
        )
        raise ValueError(f"--given {name}=...: the model knows no word of {text!r}. {hint}")
    return text


def _attributes(values: Mapping[str, Sequence[str]], size: int, described: ModalitySpec) -> np.ndarray:
    """Parses attributes `[size, A]` from numbers, or from a table's words for yes and no.

    Attributes that are not named are missing if optional, else absent: 0 if binary, else -1.
    """
    absent = math.nan if described.optional == "entries" else 0.0 if described.likelihood == "bernoulli" else -1.0
    words = described.columns.words if described.columns and described.columns.kind == "attributes" else ()
    attributes = np.full((size, *described.event_shape), absent, np.float32)
    for entry, texts in values.items():
        index = described.entry_names.index(entry)
        said = dict(zip(words[2 * index : 2 * index + 2], (0.0, 1.0), strict=False))
        numbers = [said[text] if text in said else number(text) for text in texts]
        if not all(map(math.isfinite, numbers)):
            also = f", or {' or '.join(said)}" if said else ""
            raise ValueError(f"--given {entry}=... takes a number, such as 1 or -1{also}; got {', '.join(texts)}.")
        attributes[..., index].T[:] = numbers
    return attributes


def number(text: str) -> float:
    """Parses a number; NaN if the text is not a number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
