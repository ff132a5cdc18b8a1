"""MNIST's original files, where they are at hand, and the copy that tensorflow-datasets prepares of them."""

import pathlib

import filelock
import numpy as np
import pytest
import requirements
from worker_folders import shared_folder

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
FILES = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def require():
    """Skips without the original files."""
    if not all((FOLDER / name).is_file() for name in FILES):
        requirements.skip("mnist", f"the four files of MNIST are not in {FOLDER}")


def stripes(size):
    """Images `[size, 28, 28, 1]` whose bar a classifier learns to tell digits by, and their labels."""
    labels = np.arange(size) % 10
    images = np.zeros((size, 28, 28, 1), np.float32)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 2 : 2 * label + 6, 4:24] = 1.0
    return images, labels


def prepare(tmp_path_factory):
    """The folder of tensorflow-datasets with MNIST prepared, once for all workers; skips without the original files."""
    require()
    folder = shared_folder(tmp_path_factory, "tfds")
    with filelock.FileLock(folder.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        if not list(folder.glob("mnist/*/dataset_info.json")):
            keep_in(folder, patch)
            import tensorflow_datasets as tfds

            config = tfds.download.DownloadConfig(manual_dir=FOLDER)
            tfds.builder("mnist").download_and_prepare(download_config=config)
    return folder


def keep_in(folder, patch):
    """Makes tensorflow-datasets keep what it prepares in a folder."""
    patch.setenv("TFDS_DATA_DIR", str(folder))
    import tensorflow_datasets as tfds

    patch.setattr(tfds.core.constants, "DATA_DIR", str(folder))  # read when the package was first imported
    tfds.disable_progress_bar()
