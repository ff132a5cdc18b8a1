"""CelebA's files on disk: two lists, in the authors' or Kaggle's format, and a folder of images."""

import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_NAMES = """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
    Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
    Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
    Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
    Wearing_Necktie Young
"""
ATTRIBUTES = tuple(_NAMES.split())
ATTRIBUTE_LIST = "list_attr_celeba.txt"
PARTITION_LIST = "list_eval_partition.txt"

_LIST_FOLDERS = ("", "Anno", "Eval")  # the last two are those of the authors' download
_IMAGE_FOLDERS = ("img_align_celeba", "Img/img_align_celeba", "img_align_celeba/img_align_celeba", "")
_SUFFIXES = (".jpg", ".jpeg", ".png")
_IMAGE_COLUMN = "image_id"  # in Kaggle's lists


@dataclass(frozen=True)
class Files:
    """Paths of CelebA's lists and image folder."""

    attribute_list: pathlib.Path
    partition_list: pathlib.Path
    image_folder: pathlib.Path
    sizes: dict[str, int]  # size in bytes of every image, by name

    @classmethod
    def find(cls, data_dir: str | os.PathLike) -> "Files":
        """Finds the files in common layouts; raises `FileNotFoundError` that names all missing ones."""
        folder = pathlib.Path(data_dir)
        candidates = {
            name: [folder / sub / one for sub in _LIST_FOLDERS for one in (name, name.replace(".txt", ".csv"))]
            for name in (ATTRIBUTE_LIST, PARTITION_LIST)
        }
        lists = {name: next((path for path in paths if path.is_file()), None) for name, paths in candidates.items()}
        images, sizes = _first_images(folder)
        missing = [name for name, path in lists.items() if path is None]
        if missing := missing + ([] if sizes else ["img_align_celeba/*.jpg"]):
            zips = sorted(str(path.relative_to(folder)) for path in folder.glob("**/img_align_celeba.zip"))
            raise FileNotFoundError(
                f"The CelebA folder {folder} lacks {', '.join(missing)}. Expected {ATTRIBUTE_LIST}, {PARTITION_LIST}, "
                "or both as .csv, and the folder img_align_celeba with the aligned images."
                + (f" Unpack {zips[0]} first." if zips and not sizes else "")
            )
        return cls(*lists.values(), images, sizes)


def read_attributes(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads attributes, int8 `[40]` in {-1, 1} by image, in the order of `ATTRIBUTES` whatever the column order.

    In the authors' list the first line is the number of rows and the second the column names; Kaggle's, a `.csv`, has
    only the latter. Raises `ValueError` that names an invalid line.
    """
    lines, count = _lines(path), []
    if path.suffix != ".csv":
        _, count = next(lines, (1, []))
        if len(count) != 1 or not count[0].isdecimal():
            raise ValueError(f"{path}, line 1: expected the number of rows; got {_shown(count)}.")
    number, header = next(lines, (2, []))
    header = header[header[:1] == [_IMAGE_COLUMN] :]
    if sorted(header) != sorted(ATTRIBUTES):
        unknown, missing = sorted(set(header) - set(ATTRIBUTES)), sorted(set(ATTRIBUTES) - set(header))
        raise ValueError(
            f"{path}, line {number}: expected the names of CelebA's {len(ATTRIBUTES)} attributes, each once; "
            f"got {len(header)} names, unknown: {_shown(unknown)}, missing: {_shown(missing)}."
        )
    order = [header.index(name) + 1 for name in ATTRIBUTES]
    rows: dict[str, np.ndarray] = {}
    for number, fields in lines:
        if len(fields) != len(ATTRIBUTES) + 1:
            raise ValueError(
                f"{path}, line {number}: expected the image's name and {len(ATTRIBUTES)} values; "
                f"got {len(fields)} columns: {_shown(fields)}."
            )
        for name, value in zip(header, fields[1:], strict=True):
            if value not in ("-1", "1"):
                raise ValueError(f"{path}, line {number}: expected -1 or 1 for {name}; got {value!r}.")
        _check_name(path, number, fields[0], rows)
        rows[fields[0]] = np.array([1 if fields[column] == "1" else -1 for column in order], np.int8)
    if count and len(rows) != int(count[0]):
        raise ValueError(
            f"{path}: line 1 says {count[0]} rows, but there are {len(rows)}. Fetch the list again, or correct line 1."
        )
    return rows


def read_partition(path: pathlib.Path) -> dict[str, int]:
    """Reads 0 (train), 1 (validation) or 2 (test) by image; raises `ValueError` that names an invalid line."""
    rows: dict[str, int] = {}
    for number, fields in _lines(path):
        if number == 1 and fields == [_IMAGE_COLUMN, "partition"]:  # column names of Kaggle's list
            continue
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise ValueError(
                f"{path}, line {number}: expected an image's name and 0 (train), 1 (validation) or 2 (test); "
                f"got {_shown(fields)}."
            )
        _check_name(path, number, fields[0], rows)
        rows[fields[0]] = int(fields[1])
    return rows


def _lines(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the line number and the fields of every line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error}). Fetch it again.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if fields := (line.replace(",", " ") if path.suffix == ".csv" else line).split():
            yield number, fields


def _shown(fields: list[str]) -> str:
    text = " ".join(fields)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _check_name(path: pathlib.Path, number: int, name: str, known: dict) -> None:
    if name in known:
        raise ValueError(f"{path}, line {number}: {name} is listed a second time.")
    if pathlib.PurePath(name).name != name:
        raise ValueError(f"{path}, line {number}: expected the name of an image, without a folder; got {name!r}.")


def _first_images(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, int]]:
    """Returns the first folder with images, and their sizes in bytes by name."""
    for place in (folder / sub for sub in _IMAGE_FOLDERS if (folder / sub).is_dir()):
        with os.scandir(place) as entries:
            files = [entry for entry in entries if entry.name.lower().endswith(_SUFFIXES) and entry.is_file()]
            if sizes := {file.name: file.stat().st_size for file in files}:
                return place, sizes
    return folder, {}
