"""MNIST by tensorflow-datasets: downloaded, or from a folder with the four original files."""

import gzip
import os
import pathlib
import zlib

import numpy as np

from tf_jmvae._utils.extras import extra
from tf_jmvae.data import digits
from tf_jmvae.data.sources import Source
from tf_jmvae.registry import DATASETS

__all__ = ["FILES", "mnist", "read"]

# Name and uncompressed size in bytes: a header, then one byte per pixel or label.
FILES = {
    "train-images-idx3-ubyte.gz": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte.gz": 8 + 60_000,
    "t10k-images-idx3-ubyte.gz": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte.gz": 8 + 10_000,
}

_BINARIZE_SEED = 0

Split = tuple[np.ndarray, np.ndarray]


@DATASETS.register("mnist")
def mnist(data_dir: str | os.PathLike | None = None) -> Source:
    """Images x `[N, 28, 28, 1]`, which training binarises afresh, and labels w; arguments and errors as for `read`."""
    train, test = (digits.examples(*split) for split in read(data_dir))
    noise = np.random.default_rng(_BINARIZE_SEED).random(test["x"].shape, dtype=np.float32)
    test["x"] = (noise < test["x"]).astype(np.float32)
    return Source(train, test, binarize=("x",), class_names=digits.NAMES)


def read(data_dir: str | os.PathLike | None = None) -> tuple[Split, Split]:
    """Train and test images `[N, 28, 28, 1]` in [0, 1], each with its labels `[N]`.

    The prepared copy is kept where tensorflow-datasets keeps all of them
    (`~/tensorflow_datasets`, or the environment variable TFDS_DATA_DIR).

    Raises:
      FileNotFoundError: `data_dir` lacks a file.
      ImportError: tensorflow-datasets is missing, which comes with the extra `data`.
      OSError: a file is damaged, or there is neither a folder nor a network.
    """
    with extra("data", "The dataset mnist"):
        import tensorflow_datasets as tfds

    config = None
    if data_dir is not None:
        folder = pathlib.Path(data_dir)
        _check_files(folder)
        config = tfds.download.DownloadConfig(manual_dir=folder.resolve())
    builder = tfds.builder("mnist")
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        raise OSError(
            f"tensorflow-datasets could not prepare MNIST ({type(error).__name__}: {error}). Without a network, pass "
            f"a folder that holds the four original files ({', '.join(FILES)}) as the data dir."
        ) from error
    splits = (builder.as_dataset(split=split, batch_size=-1) for split in ("train", "test"))
    return tuple((split["image"].numpy().astype(np.float32) / 255.0, split["label"].numpy()) for split in splits)


def _check_files(folder: pathlib.Path) -> None:
    """tensorflow-datasets would try to download what is missing, and says little of what is truncated."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"The MNIST folder {folder} lacks {', '.join(missing)}. "
            f"Expected the four original files: {', '.join(FILES)}."
        )
    for name, expected in FILES.items():
        try:
            with gzip.open(folder / name) as file:
                size = len(file.read())
        except (OSError, EOFError, zlib.error) as error:
            raise OSError(f"{folder / name} is damaged or truncated ({error}). Fetch it again.") from error
        if size != expected:
            raise OSError(f"{folder / name} should unpack to {expected} bytes, but has {size}. Fetch it again.")
