"""Handwritten digits: scikit-learn's `digits`, and MNIST, downloaded or from common file layouts."""

import gzip
import math
import os
import pathlib
import zipfile
import zlib

import numpy as np

from tf_jmvae._utils.extras import extra
from tf_jmvae.data.prepared import downloaded
from tf_jmvae.data.sources import Source
from tf_jmvae.registry import DATASETS

# The original files with the shapes of their content after the header: one byte per pixel or label.
FILES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}

_FOLDERS = ("", "raw", "MNIST/raw")  # the last two are those of torchvision
_ARCHIVE = "mnist.npz"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")  # arrays of Keras's archive, in the order of the files
_BINARIZE_SEED = 0
_SPLIT_SEED = 0
_TRAIN = 1437  # four fifths of scikit-learn's 1,797 images
_NAMES = tuple("0123456789")

Split = tuple[np.ndarray, np.ndarray]


@DATASETS.register("digits")
def digits() -> Source:
    """Loads images x `[N, 8, 8, 1]`, not binarised because 8x8 digits would become illegible, and labels w."""
    with extra("data", "The dataset digits"):
        from sklearn.datasets import load_digits

    loaded = load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(loaded.target))
    images, labels = loaded.images[order, :, :, None] / 16.0, loaded.target[order]
    train, test = (_examples(images[rows], labels[rows]) for rows in (slice(_TRAIN), slice(_TRAIN, None)))
    return Source(train, test, class_names=_NAMES)


@DATASETS.register("mnist")
def mnist(data_dir: str | os.PathLike | None = None) -> Source:
    """Loads images x `[N, 28, 28, 1]`, binarised anew in training, and labels w; arguments and errors as for `read`."""
    train, test = (_examples(*split) for split in read(data_dir))
    noise = np.random.default_rng(_BINARIZE_SEED).random(test["x"].shape, dtype=np.float32)
    test["x"] = (noise < test["x"]).astype(np.float32)
    return Source(train, test, binarize=("x",), class_names=_NAMES)


def read(data_dir: str | os.PathLike | None = None) -> tuple[Split, Split]:
    """Reads MNIST's train and test images `[N, 28, 28, 1]` in [0, 1], each with labels `[N]`.

    Args:
      data_dir: folder with the four original files, packed (`.gz`) or not, as downloaded, from Kaggle or as torchvision
        keeps them; or with Keras's `mnist.npz`; or the path of such a file. Nothing is written to it. None, the
        default, downloads MNIST once by tensorflow-datasets to `~/tensorflow_datasets`, or to the folder in the
        environment variable TFDS_DATA_DIR; the examples are then in another order.

    Raises:
      FileNotFoundError: if `data_dir` lacks a file.
      ImportError: without `data_dir`, if tensorflow-datasets is missing, which comes with the extra `data`.
      OSError: if a file is damaged, or there is neither a folder nor a network.
    """
    x_train, w_train, x_test, w_test = _downloaded() if data_dir is None else _from_files(pathlib.Path(data_dir))
    x_train, x_test = (x.reshape(-1, 28, 28, 1).astype(np.float32) / 255.0 for x in (x_train, x_test))
    return (x_train, w_train), (x_test, w_test)


def is_in(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds MNIST or a part of it."""
    return (folder / _ARCHIVE).is_file() or any(_find(folder, name) for name in FILES)


def _examples(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Converts images `[N, H, W, 1]` in [0, 1] and class numbers `[N]` to modalities x and w."""
    return {"x": images.astype(np.float32), "w": np.eye(len(_NAMES), dtype=np.float32)[labels]}


def _downloaded() -> list[np.ndarray]:
    advice = f"Without a network, pass a data dir with the four original files: {', '.join(FILES)}."
    builder = downloaded("mnist", "MNIST", advice, user="The dataset mnist")
    splits = (builder.as_dataset(split=split, batch_size=-1) for split in ("train", "test"))
    return [split[key].numpy() for split in splits for key in ("image", "label")]


def _from_files(place: pathlib.Path) -> list[np.ndarray]:
    """Reads images and labels of both splits, uint8, from the original files or from Keras's archive."""
    archive = place if place.suffix == ".npz" else place / _ARCHIVE
    found = {name: _find(place, name) for name in FILES}
    if missing := [name for name, path in found.items() if path is None]:
        if archive.is_file():
            return _from_archive(archive)
        raise FileNotFoundError(
            f"The MNIST folder {place} lacks {', '.join(missing)}. Expected the four original files, "
            f"{', '.join(FILES)}, each as it is or packed (.gz), or {_ARCHIVE}."
        )
    return [_content(found[name], shape) for name, shape in FILES.items()]


def _find(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """Finds a file under its name or Kaggle's, packed or not, also within a folder of that name."""
    names = [name, name.replace("-idx", ".idx")]
    places = (folder / sub / one for sub in _FOLDERS for one in (*names, *(f"{name}/{same}" for same in names)))
    candidates = (path.with_name(path.name + suffix) for path in places for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _content(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
    """Reads an IDX file: two zeros, dtype, rank, axis sizes (big-endian), then the content."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise OSError(f"{path} is damaged or truncated ({error}). Fetch it again.") from error
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    expected = len(header) + math.prod(shape)
    if len(content) != expected:
        raise OSError(f"{path} should unpack to {expected} bytes, but has {len(content)}. Fetch it again.")
    if not content.startswith(header):
        raise OSError(f"{path} does not begin like MNIST's file of {'x'.join(map(str, shape))} bytes. Fetch it again.")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _from_archive(path: pathlib.Path) -> list[np.ndarray]:
    """Reads the arrays of Keras's `mnist.npz`."""
    try:
        with np.load(path) as arrays:
            found = [np.asarray(arrays[name], np.uint8) for name in _ARRAYS]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise OSError(f"{path} is damaged, or lacks one of {', '.join(_ARRAYS)} ({error}). Fetch it again.") from error
    shapes = [array.shape for array in found]
    if shapes != list(FILES.values()):
        raise OSError(f"{path} holds arrays of shapes {shapes}, not MNIST's {list(FILES.values())}. Fetch it again.")
    return found
