"""Predictions of the unknown cells of a table row, for the tab "Fill in"."""

import io
import math
import pathlib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_jmvae import images
from tf_jmvae._utils import names
from tf_jmvae.columns import kind_of
from tf_jmvae.columns.array import array_of
from tf_jmvae.columns.text import UNKNOWN
from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.interface import DemoModel, InputError
from tf_jmvae.images.preprocessing import as_picture
from tf_jmvae.specs import Columns, ModalitySpec

OPEN, NO, YES = "", "no", "yes"
_KINDS = ("numbers", "counts", "attributes", "category", "text", "image", "array")
_SAMPLES = 100  # number of samples of z for each probability and stddev
_PICTURES, _TEXTS = 8, 5  # largest numbers shown
_LARGEST = float(np.finfo(np.float32).max)
_BEGUN = (OPEN, "+", "-", ".")  # texts that are not yet a number
_ENTRY, _HEADER = 16, 2**16  # largest size in bytes of an array's entry and of a file's header

Known = Mapping[tuple[str, str], Any]  # by modality and column; unknown cells are None or ""


class Number(NamedTuple):
    """Mean and stddev (`spread`) of a number or count."""

    mean: float
    spread: float


class Text(NamedTuple):
    """Most probable text at the mean of z, and the texts of samples with their fractions."""

    best: str
    samples: dict[str, float]


Answer = Number | Text | dict[str, float] | list[np.ndarray] | np.ndarray


def modalities(model: DemoModel) -> Iterator[tuple[str, ModalitySpec, Columns]]:
    """Yields the modalities whose cells the page can read and show."""
    for name, spec in model.fields.items():
        if spec.columns and spec.columns.kind in _KINDS:
            yield name, spec, spec.columns


def filled(model: DemoModel, known: Known, seed: int = 0) -> dict[tuple[str, str], Answer]:
    """Predicts every unknown column from 100 samples of z given the known cells.

    Numbers have a conditional stddev, classes and attributes probabilities; where the model can fill tables, they are
    those of `tables.fill`. Arrays are given by their mean, and pictures by the pixel values, uint8 `[H, W, C]`, of
    single samples. Raises `InputError` if the model has no posterior given the known cells.
    """
    known = said(model, known)
    cells = dict(_cells(model, known))
    rows = {name: [cell] * (1 + _SAMPLES) for name, cell in cells.items()}
    noise = np.concatenate([np.zeros((1, model.model.latent_size)), model.noise(seed, _SAMPLES)])
    expected: Mapping[str, np.ndarray] = {}
    try:
        found = model.model.decode_to_cells(model.model.latents_of_cells(rows, noise))
        if cells and names.FILL in model.model.signatures:
            expected = model.model.fill_cells({name: [cell] for name, cell in cells.items()}, seed=seed)
    except ValueError as error:
        given = ", ".join(column for _, column in known) or "nothing"
        raise InputError(f"The model cannot start from {given}: {error}") from error
    answers: dict[tuple[str, str], Answer] = {}
    for name, spec, columns in modalities(model):
        for number, column in enumerate(columns.names):
            if (name, column) not in known:
                answers[name, column] = _answer(found, expected, name, spec, number)
    return answers


def said(model: DemoModel, known: Known) -> Known:
    """Returns the known cells, without empty or blank ones and the beginnings of numbers."""
    numbers = {name for name, _, columns in modalities(model) if columns.kind in ("numbers", "counts")}
    nothing = {key: _BEGUN if key[0] in numbers else (OPEN,) for key in known}
    return {key: value for key, value in known.items() if value is not None and str(value).strip() not in nothing[key]}


def _cells(model: DemoModel, known: Known) -> Iterator[tuple[str, Any]]:
    """Yields each modality with a known cell, and the cell as `latents_of_cells` takes it."""
    for name, spec, columns in modalities(model):
        own = [known.get((name, column)) for column in columns.names]
        if all(value is None for value in own):
            continue
        if columns.kind == "image":
            yield name, _encoded(own[0], spec)
        elif columns.kind == "array":
            yield name, _array(own[0], spec)
        elif columns.kind in ("category", "text"):
            yield name, str(own[0])
        elif columns.kind == "attributes":
            yield name, np.array([{NO: 0.0, YES: 1.0}.get(value, np.nan) for value in own], np.float32)
        else:
            numbers = zip(columns.names, own, strict=True)
            yield name, np.array([_number(*one, whole=columns.kind == "counts") for one in numbers], np.float32)


def _number(column: str, value: Any, *, whole: bool) -> float:
    """Parses a text box, NaN if empty; raises `InputError` unless it is a number, or a count if `whole`."""
    try:
        number = np.nan if value is None else float(str(value))
    except ValueError as error:
        raise InputError(f"{column}: {value!r} is not a number. Type one such as 1.5, or leave it open.") from error
    if value is not None and not abs(number) <= _LARGEST:
        raise InputError(f"{column}: {value!r} is too large a number.")
    if whole and (number < 0 or number % 1 > 0):
        raise InputError(f"{column}: {value!r} is not a count. Type 0, 1, 2, ..., or leave it open.")
    return number


def _encoded(path: str, spec: ModalitySpec) -> bytes:
    """Encodes a picture as PNG of the model's size, preprocessed as those of the table."""
    try:
        pixels = images.prepared(images.open_rgb(path), spec.event_shape, spec.preprocessing)
    except (OSError, ValueError, ImportError) as error:
        raise PictureError(str(error).replace(str(path), "The picture")) from error
    buffer = io.BytesIO()
    as_picture(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _array(path: str, spec: ModalitySpec) -> np.ndarray:
    """Reads a NumPy file; raises `InputError` unless it holds an array of the model's shape."""
    name, expected = pathlib.Path(path).name, " x ".join(map(str, spec.event_shape))
    try:
        size = _size(path)
        array = array_of(path) if size <= _HEADER + _ENTRY * math.prod(spec.event_shape) else None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{name} is not a .npy or .npz file of numbers; expected {expected} of them.") from error
    if array is None:  # too large to be unpacked
        raise InputError(f"{name} holds more than {expected} values.")
    if array.shape != spec.event_shape or not np.all(np.isfinite(array)):
        found = " x ".join(map(str, array.shape)) or "1"
        raise InputError(f"{name} holds {found} values; expected {expected}, all of them finite.")
    return array


def _size(path: str) -> int:
    """Returns the size in bytes of a file, or of the largest file in an archive."""
    if not zipfile.is_zipfile(path):
        return pathlib.Path(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        return max((member.file_size for member in archive.infolist()), default=0)


def _answer(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], name: str, spec: ModalitySpec, number: int
) -> Answer:
    """Returns the answer for one column, from values at the mean of z (first row) and at samples of z.

    Numbers, classes and attributes come from `expected`, their expected values, if it is not empty.
    """
    values, columns = found.get(name), spec.columns
    if columns.kind == "image":
        return [np.asarray(Image.open(io.BytesIO(png))) for png in values[: 1 + _PICTURES]]
    if columns.kind == "array":
        return values[1:].mean(axis=0)
    if columns.kind == "text":
        texts = [text.decode() for text in found[f"{name}_text"]]
        counts = Counter(texts[1:]).most_common(_TEXTS)
        return Text(texts[0], {text: count / _SAMPLES for text, count in counts})
    means = expected[name][0] if expected else values[1:].astype(np.float64).mean(axis=0)
    if columns.kind == "category":
        return dict(zip(columns.words, map(float, means), strict=True))
    if columns.kind == "attributes":
        return dict(zip(columns.words[2 * number :][:2], (1 - means[number], means[number]), strict=True))
    if expected:
        return Number(float(means[number]), float(expected[f"{name}_spread"][0, number]))
    variance = values[1:, number].astype(np.float64).var() + np.square(found[f"{name}_spread"][1:, number]).mean()
    return Number(float(means[number]), float(np.sqrt(variance)))


def unknown_words(model: DemoModel, known: Known) -> list[str]:
    """Returns the words of texts that are not in the model's vocabulary."""
    found = []
    for name, _, columns in modalities(model):
        if columns.kind == "text" and (text := known.get((name, columns.names[0]))):
            kind = kind_of(columns)
            for word in str(text).split():
                tokens = kind.from_strings(tf.constant([word]))
                if kind.to_strings(tokens)[0].numpy().decode() == UNKNOWN:
                    found.append(word)
    return found
