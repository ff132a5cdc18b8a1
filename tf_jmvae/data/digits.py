"""Handwritten digits: scikit-learn's, which need no download, and what they share with MNIST."""

import numpy as np

from tf_jmvae._utils.extras import extra
from tf_jmvae.data.sources import Source
from tf_jmvae.registry import DATASETS

__all__ = ["NAMES", "digits", "examples"]

NAMES = tuple("0123456789")

_SPLIT_SEED = 0
_TRAIN = 1437  # four fifths of scikit-learn's 1,797 images


@DATASETS.register("digits")
def digits() -> Source:
    """Grey images x `[N, 8, 8, 1]` throughout, as a digit of 8x8 is lost when binarised, and labels w."""
    with extra("data", "The dataset digits"):
        from sklearn.datasets import load_digits

    loaded = load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(loaded.target))
    images, labels = loaded.images[order, :, :, None] / 16.0, loaded.target[order]
    train, test = (examples(images[rows], labels[rows]) for rows in (slice(_TRAIN), slice(_TRAIN, None)))
    return Source(train, test, class_names=NAMES)


def examples(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Images `[N, H, W, 1]` in [0, 1] and class numbers `[N]` as modalities x and w."""
    return {"x": images.astype(np.float32), "w": np.eye(len(NAMES), dtype=np.float32)[labels]}
