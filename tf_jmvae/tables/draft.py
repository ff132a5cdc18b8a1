"""Drafts of descriptions of tables, with the reason for each choice."""

import json
import keyword
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tf_jmvae._utils.names import ENDINGS
from tf_jmvae.columns.attributes import WORDS
from tf_jmvae.columns.base import as_texts, is_gap
from tf_jmvae.columns.numbers import as_numbers, is_date
from tf_jmvae.models.modality_names import RESERVED

if TYPE_CHECKING:
    import pandas as pd

_PICTURE = re.compile(r".+\.(png|jpe?g|gif|bmp|tiff?|webp|ppm)", re.IGNORECASE)
_ARRAY = re.compile(r".+\.np[yz]", re.IGNORECASE)
_GROUPED = ("numbers", "counts", "attributes")  # kinds whose columns form one modality
_FEW, _FRACTION = 20, 0.05  # largest number of values of a category, or as a fraction of the rows
_FAR = 50.0  # in median absolute deviations from the median
_SAME = 0.9999  # correlation above which columns count as copies
_STEPS, _STEPS_WITH_PICTURES = 3000, 2000  # training steps


@dataclass
class Guess:
    """Inferred kind of a column, or None to leave it out, with the reason and remarks for the user."""

    column: str
    kind: str | None
    reason: str
    remarks: list[str]


def guesses(table: "pd.DataFrame") -> list[Guess]:
    """Infers the kind of each column of a table."""
    found = [_guess(table[name]) for name in table.columns]
    _tell_of_copies(table, found)
    return found


def folder_of_files(table: "pd.DataFrame", found: Sequence[Guess], place: pathlib.Path) -> str | None:
    """Returns the subfolder of `place` with the file that the first cell of files names; None if it is `place`."""
    for guess in found:
        if guess.kind in ("image", "array"):
            first = next(text for text in as_texts(table[guess.column]) if text)
            if (place / first).exists():
                return None
            if inside := sorted(path.name for path in place.iterdir() if (path / first).exists()):
                return inside[0]
            guess.remarks.append(f"there is no {first} in {place}: say folder = '...' under [data]")
    return None


def draft(table: "pd.DataFrame", file: str, found: Sequence[Guess], reading: dict[str, str]) -> str:
    """Writes a description of a table as TOML with comments.

    Args:
      table: DataFrame of the table.
      file: name of the table's file in the description.
      found: inferred kinds of the columns, from `guesses`.
      reading: dict of options of `read_table` that the table needs, and the `folder` of files that cells name.

    Returns:
      The text of the TOML file.

    Raises:
      ValueError: if no column can be used; the message gives the reason for each.
    """
    modalities = _grouped(found)
    if not modalities:
        reasons = "; ".join(f"{guess.column!r}: {guess.reason}" for guess in found)
        raise ValueError(f"There is no column to learn from: {reasons}.")
    return "\n".join(_lines(table, file, found, modalities, reading)) + "\n"


def _guess(cells: "pd.Series") -> Guess:
    gaps, name = is_gap(cells), str(cells.name)
    there = cells[~gaps]
    texts = as_texts(there)
    different, size = len(set(texts)), len(texts)
    remarks = [f"{int(gaps.sum()):,} of {len(cells):,} cells are empty"] if gaps.any() else []

    def guess(kind: str | None, reason: str, *more: str) -> Guess:
        return Guess(name, kind, reason, [*remarks, *more])

    if different < 2:
        return guess(None, "it is empty" if not size else f"every cell says {texts[0][:40]!r}")
    if all(map(_PICTURE.fullmatch, texts)):
        return guess("image", "cells are names of pictures")
    if all(map(_ARRAY.fullmatch, texts)):
        return guess("array", "cells are names of NumPy files")
    if all(text.lower() in WORDS for text in texts):
        return guess("attributes", f"it says {' or '.join(sorted(set(texts)))}")
    try:
        return _of_numbers(as_numbers(there), different, guess)
    except ValueError:
        pass
    if np.mean([is_date(text) for text in texts[:1000]]) > 0.9:
        return guess(None, "it holds dates: make numbers of them, such as the days since the first one")
    words = float(np.mean([len(text.split()) for text in texts]))
    if different <= max(_FEW, _FRACTION * size):
        return guess("category", f"{different:,} different values in {size:,} rows")
    if words > 1.2:
        return guess("text", f"{different:,} different texts, of {words:.1f} words on average")
    if different > 0.9 * size:
        return guess(None, f"an identifier: {different:,} different words in {size:,} rows")
    if different <= 1000:
        return guess("category", f"{different:,} different values in {size:,} rows", "rare values say little")
    return guess(None, f"too many different values for a category, {different:,}")


def _of_numbers(numbers: np.ndarray, different: int, guess) -> Guess:
    whole = bool(np.all(numbers == numbers.round()))
    steps = np.diff(np.sort(numbers))
    if whole and different == len(numbers) and len(numbers) > 2 and np.all(steps == 1):
        return guess(None, "an identifier: whole numbers one after the other, each once")
    if whole and different <= 10 and len(numbers) >= 10 * different:
        return guess("category", f"{different} different whole numbers", "take 'numbers' if half of one makes sense")
    if whole and numbers.min() == 0 and numbers.max() <= 100 and numbers.mean() < 10:
        return guess("counts", "small whole numbers from 0 on")
    remarks = []
    away = np.abs(numbers - np.median(numbers))
    if np.median(away) and away.max() > _FAR * np.median(away):
        times = away.max() / np.median(away)
        remarks.append(f"unscaled: a value lies {times:.3g} times as far from the median as most; logarithms may help")
    if np.mean(numbers == np.median(numbers)) > 0.9:
        remarks.append("nearly constant")
    return guess("numbers", f"numbers from {numbers.min():g} to {numbers.max():g}", *remarks)


def _tell_of_copies(table: "pd.DataFrame", found: Sequence[Guess]) -> None:
    """Adds a remark to columns that determine another one, which would make filling its missing cells trivial."""
    numbers = {guess.column: as_numbers(table[guess.column]) for guess in found if guess.kind == "numbers"}
    codes = {g.column: as_texts(table[g.column]) for g in found if g.kind == "category"}
    for position, guess in enumerate(found):
        for other in found[:position]:
            if guess.kind != other.kind:
                continue
            if guess.kind == "numbers":
                both = np.stack([numbers[guess.column], numbers[other.column]])
                both = both[:, ~np.isnan(both).any(axis=0)]
                same = both.shape[1] > 2 and both.std(axis=1).min() > 0 and abs(np.corrcoef(both)[0, 1]) > _SAME
            else:
                same = guess.kind == "category" and _one_to_one(codes[guess.column], codes[other.column])
            if same:
                guess.remarks.append(f"a leak: {other.column!r} says the same; leave one of them out")


def _one_to_one(texts: np.ndarray, others: np.ndarray) -> bool:
    pairs = {(text, other) for text, other in zip(texts, others, strict=True) if text and other}
    return len(pairs) > 1 and len(pairs) == len({text for text, _ in pairs}) == len({other for _, other in pairs})


def _grouped(found: Sequence[Guess]) -> dict[str, list[Guess]]:
    """Groups guesses by the name of the modality that they form, in the order of their first columns."""
    grouped: dict[str, list[Guess]] = {}
    for guess in found:
        if guess.kind:
            grouped.setdefault(guess.kind if guess.kind in _GROUPED else guess.column, []).append(guess)
    named: dict[str, list[Guess]] = {}
    for name, group in grouped.items():
        if len(group) == 1:
            name = group[0].column
        named[_name(name, named)] = group
    return named


def _name(column: str, taken: Iterable[str]) -> str:
    """Returns a valid name of a modality for a column's name."""
    words = [word for word in re.split(r"\W+|_+", column.lower(), flags=re.ASCII) if word not in ("", "and", "from")]
    name = "_".join(words) or "column"
    if name[0].isdigit():
        name = f"column_{name}"
    if name in RESERVED or name.endswith(ENDINGS) or keyword.iskeyword(name):
        name = f"{name}_column"
    while name in taken:
        name += "_2"
    return name


def _lines(
    table: "pd.DataFrame",
    file: str,
    found: Sequence[Guess],
    modalities: dict[str, list[Guess]],
    reading: dict[str, str],
) -> Iterator[str]:
    size, has_images = len(table), any(group[0].kind == "image" for group in modalities.values())
    batch_size = 32 if size < 2000 else 64 if size < 20_000 else 128
    steps = _STEPS_WITH_PICTURES if has_images else _STEPS
    epochs = int(np.clip(steps // max(size // batch_size, 1), 30, 600))
    yield f"# What tf-jmvae learns from {file}: review it, then run: tf-jmvae train --data THIS_FILE"
    yield ""
    yield "[data]"
    yield f"table = {_quoted(file)}"
    for key, value in reading.items():
        yield f"{key} = {_quoted(value)}"
    yield "validation = 0.1  # the fraction of the rows that are held out"
    yield f"batch_size = {batch_size}"
    for name, group in modalities.items():
        yield ""
        yield from _of_modality(name, group, beside_image=has_images)
    if left_out := [guess for guess in found if not guess.kind]:
        yield ""
        yield "# Left out:"
        for guess in left_out:
            yield f"#   {_one_line(guess.column)}: {_one_line('; '.join([guess.reason, *guess.remarks]))}."
    yield ""
    yield "[model]"
    yield 'kind = "jmvae-kl"'
    columns = sum(map(len, modalities.values()))
    yield f"latent_dim = {64 if has_images else 8 if columns <= 8 else 16}"
    if len(modalities) > 1:
        yield f'subsets = "{"all" if len(modalities) <= 3 else "single"}"  # "all": an encoder per subset, 2^K - 1'
        if has_images:
            yield f"alpha = {1.0 if len(modalities) <= 3 else 0.3}"
        else:
            yield 'subset_learning = "follow"  # "pull", the paper\'s, fills gaps worse'
    yield ""
    yield "[training]"
    yield f"epochs = {epochs}  # at most"
    patience = max(epochs // (10 if has_images else 4), 10)
    yield f"early_stopping = {patience}  # epochs without a better ELBO of the rows held out"
    yield f"kl_warm_up = {max(epochs // 20, 2)}"
    yield f"learning_rate = {'1e-3' if has_images else '5e-3'}"


def _of_modality(name: str, group: list[Guess], *, beside_image: bool) -> Iterator[str]:
    kind = group[0].kind
    yield f"[modalities.{name}]"
    yield f'kind = "{kind}"'
    if len(group) == 1:
        yield f"columns = {_quoted(group[0].column)}  # {_comment(group[0])}"
    else:
        yield "columns = ["
        for guess in group:
            yield f"    {_quoted(guess.column)},  # {_comment(guess)}"
        yield "]"
    if kind == "image":
        yield "size = [32, 32]  # height and width, multiples of 4"
    elif beside_image:
        yield "weight = 10.0  # of its log-likelihood in the loss, beside the many pixels of a picture"


def _comment(guess: Guess) -> str:
    return _one_line("; ".join([guess.reason, *guess.remarks]))


def _one_line(text: str) -> str:
    """Removes line ends and control characters from a text, for comments."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
