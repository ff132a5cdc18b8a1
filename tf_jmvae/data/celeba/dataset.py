"""CelebA: aligned photographs of faces with 40 attributes, from tensorflow-datasets or an unpacked folder.

The images are cropped and resized once and cached as one memory-mapped array.

Reference:
  Liu, Luo, Wang and Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae.data import prepared
from tf_jmvae.data.celeba.arrays import PREPROCESSING, Collection, Picture, write
from tf_jmvae.data.celeba.lists import ATTRIBUTES, Files, read_attributes, read_partition
from tf_jmvae.data.sources import Source
from tf_jmvae.registry import DATASETS

_VERSION = 1  # version of the preparation; a new number invalidates all copies
_NAMED = 5  # number of names in messages


@dataclass(frozen=True)
class CelebA:
    """Prepared dataset, in the order of the list of attributes (of its files with tensorflow-datasets).

    The report records the preparation: the number of `listed` images, of `missing` ones (`missing_names` has the first
    few), `broken` (all names), `faces_found` among the others (None for the center crop), `prepared` (N), `unpaired`
    (images in only one list, which are ignored), `crop` and `image_size`.
    """

    images: np.ndarray  # uint8 [N, S, S, 3], memory-mapped, read-only
    attributes: np.ndarray  # int8 [N, 40] in {-1, 1}, in the order of ATTRIBUTES
    partition: np.ndarray  # int8 [N]: 0 train, 1 validation, 2 test
    report: dict[str, Any]


@DATASETS.register("celeba")
def celeba(
    data_dir: str | os.PathLike | None = None,
    image_size: int = 64,
    crop: str = "center",
    mirror: bool = False,
    strict: bool = False,
) -> Source:
    """Loads photographs x, uint8, and attributes w; the test split is CelebA's, or else its validation split.

    With `mirror` a random half of the images is mirrored in every epoch; other arguments and errors as for `read`.
    """
    prepared = read(data_dir, image_size=image_size, crop=crop, strict=strict)
    held_out = 2 if (prepared.partition == 2).any() else 1
    parts = [np.flatnonzero(prepared.partition == part) for part in (0, held_out)]
    # Consecutive rows become a slice, which keeps a memory-mapped array on disk.
    parts = [slice(rows[0], rows[-1] + 1) if len(rows) and np.ptp(rows) + 1 == len(rows) else rows for rows in parts]
    splits = [{"x": prepared.images[rows], "w": prepared.attributes[rows]} for rows in parts]
    sizes = [len(split["w"]) for split in splits]
    if 0 in sizes:
        raise ValueError(
            "CelebA: the list of partitions must name training images (0) and validation (1) or test images (2) that "
            f"are there; found {sizes[0]} and {sizes[1]}."
        )
    return Source(
        *splits,
        mirror=("x",) if mirror else (),
        preprocessing={"x": PREPROCESSING[crop]},
        class_names=ATTRIBUTES,
        report=prepared.report,
    )


def read(
    data_dir: str | os.PathLike | None = None,
    *,
    image_size: int = 64,
    crop: str = "center",
    strict: bool = False,
    cache_dir: str | os.PathLike | None = None,
    verbose: int = 1,
) -> CelebA:
    """Reads all available images with their attributes.

    Args:
      data_dir: folder with `list_attr_celeba.txt`, `list_eval_partition.txt` and `img_align_celeba/`, with all images
        or some of them; None, the default, downloads the dataset once by tensorflow-datasets.
      image_size: height and width of the images, S; by default 64.
      crop: `"center"`, the default, for a square of 148 pixels; or `"face"` for the face that OpenCV detects (extra
        `faces`), which leaves out images without a detected face.
      strict: whether a broken image is an error; False, the default, leaves it out and reports it.
      cache_dir: folder of the cached copy; by default that of `prepared.cache_folder`.
      verbose: 1, the default, shows progress and what was left out; 0 shows nothing.

    Raises:
      FileNotFoundError: if `data_dir` lacks a list or all listed images.
      ImportError: for `crop="face"`, if OpenCV is missing.
      OSError: if there is neither a folder nor a network, or the cached copy cannot be written.
      ValueError: if an option or a line in a list is invalid, an image is broken and `strict`, or no image is left.
    """
    checks.check_option("crop", crop, PREPROCESSING)
    checks.positive_integer("image_size", image_size)
    fingerprint, collect = _from_tfds() if data_dir is None else _from_folder(data_dir)

    def prepare(temporary: pathlib.Path) -> None:
        if verbose:
            print(f"CelebA: preparing images of {image_size} x {image_size} pixels in {folder}", flush=True)
        write(temporary, collect(), image_size, crop, strict, verbose)

    folder = prepared.cache_folder(cache_dir) / f"celeba-{image_size}-{crop}-{fingerprint}"
    result = prepared.load_or_prepare(folder, prepare, lambda path: _load(path, image_size))
    broken = result.report["broken"]
    if strict and broken:
        raise ValueError(f"CelebA: {_counted(len(broken), 'broken', broken)}; strict allows none.")
    missing, found = result.report["missing"], result.report["faces_found"]
    left_out = (
        (missing, "missing", result.report["missing_names"]),
        (len(broken), "broken", broken),
        (result.report["unpaired"], "in one list only", []),
        (0 if found is None else result.report["listed"] - missing - len(broken) - found, "without a face", []),
    )
    if verbose and any(count for count, *_ in left_out):
        reasons = ", ".join(_counted(*reason) for reason in left_out if reason[0])
        print(f"CelebA: {result.report['prepared']} images; left out: {reasons}.", flush=True)
    return result


def _from_folder(data_dir: str | os.PathLike) -> tuple[str, Callable[[], Collection]]:
    """Returns a fingerprint of the folder's content, and a function that reads its lists."""
    files = Files.find(data_dir)
    fingerprint = _fingerprint(files.attribute_list.read_bytes(), files.partition_list.read_bytes(), files.sizes)

    def collect() -> Collection:
        attributes, partition = read_attributes(files.attribute_list), read_partition(files.partition_list)
        listed = [name for name in attributes if name in partition]
        present = [name for name in listed if name in files.sizes]
        if not present:
            raise FileNotFoundError(
                f"None of the {len(listed)} images in both lists of {data_dir} is in {files.image_folder}, which has "
                f"{len(files.sizes)} others. Expected names as in the lists, e.g. 000001.jpg."
            )
        missing = [name for name in listed if name not in files.sizes]
        unpaired = len(attributes.keys() ^ partition.keys())
        pictures = (Picture(name, files.image_folder / name, attributes[name], partition[name]) for name in present)
        names = {"missing": len(missing), "missing_names": missing[:_NAMED]}
        return pictures, len(present), {"listed": len(listed), **names, "unpaired": unpaired}

    return fingerprint, collect


def _from_tfds() -> tuple[str, Callable[[], Collection]]:
    """Returns the same from tensorflow-datasets, where an image is named by its file and position."""
    builder = prepared.downloaded(
        "celeb_a",
        "CelebA",
        "Download the aligned images by hand (Google Drive often refuses programs) and pass a folder that holds "
        "list_attr_celeba.txt, list_eval_partition.txt and img_align_celeba/ as the data dir.",
        user="The dataset celeba without a data dir",
    )
    import tensorflow_datasets as tfds

    records = {path.name: path.stat().st_size for path in pathlib.Path(builder.data_dir).iterdir()}
    splits = ("train", "validation", "test")
    size = sum(builder.info.splits[name].num_examples for name in splits)

    def pictures() -> Iterator[Picture]:
        for partition, split in enumerate(splits):
            examples = builder.as_dataset(
                split=split,
                decoders={"image": tfds.decode.SkipDecoding()},
                read_config=tfds.ReadConfig(add_tfds_id=True),
            ).map(lambda x: (x["tfds_id"], x["image"], tf.stack([x["attributes"][name] for name in ATTRIBUTES])))
            for name, source, attributes in examples.as_numpy_iterator():
                yield Picture(name.decode(), source, np.where(attributes, 1, -1).astype(np.int8), partition)

    fingerprint = _fingerprint(builder.info.full_name.encode(), b"", records)
    return fingerprint, lambda: (pictures(), size, {"listed": size, "missing": 0, "missing_names": [], "unpaired": 0})


def _fingerprint(first: bytes, second: bytes, sizes: dict[str, int]) -> str:
    """Hashes both contents, the files' names and sizes, and the version of the preparation."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (first, second, json.dumps([_VERSION, sorted(sizes.items())]).encode()):
        digest.update(hashlib.blake2b(part).digest())
    return digest.hexdigest()


def _load(folder: pathlib.Path, image_size: int) -> CelebA:
    report = json.loads((folder / "info.json").read_text())
    pixels = np.load(folder / "images.npy", mmap_mode="r")
    attributes, partition = np.load(folder / "attributes.npy"), np.load(folder / "partition.npy")
    size = report["prepared"]
    expected = ((size, image_size, image_size, 3), (size, len(ATTRIBUTES)), (size,))
    if (pixels.shape, attributes.shape, partition.shape) != expected:
        raise ValueError(f"The prepared copy in {folder} is damaged.")
    return CelebA(pixels, attributes, partition, report)


def _counted(count: int, what: str, names: list[str]) -> str:
    named = [*names[:_NAMED], *(["..."] if count > _NAMED else [])]
    return f"{count} {what}" + (f" ({', '.join(named)})" if names else "")
