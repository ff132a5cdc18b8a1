"""Known datasets by name: handwritten digits (embedded), MNIST, CelebA."""

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae.data import celeba, mnist
from tf_jmvae.data.pipeline import Shares, from_arrays
from tf_jmvae.data.statistics import Statistics
from tf_jmvae.dataset_names import NAMES

__all__ = ["NAMES", "Source", "load"]

_BINARIZE_SEED = 0
_DIGITS_SPLIT_SEED = 0
_DIGITS_TRAIN = 1437  # four fifths of scikit-learn's 1,797 images
_DIGIT_NAMES = tuple("0123456789")


@dataclass(frozen=True)
class Source:
    """A dataset in memory.

    Attributes:
      train: arrays `[N, ...]` by modality; grey images are in [0, 1], photographs raw, uint8.
      test: the same, ready for the model: what training binarises is binarised here once and for all, what it
        standardises is standardised.
      binarize: the modalities to binarise afresh on every training pass.
      mirror: the images of which a random half is mirrored on every training pass.
      statistics: of the training split, by the modalities that are standardised with them.
      class_names: what the entries of w mean.
      report: how the data were prepared.
    """

    train: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    binarize: tuple[str, ...] = ()
    mirror: tuple[str, ...] = ()
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)

    def only(self, names: Iterable[str]) -> "Source":
        """The same with these modalities only, in this order.

        Args:
          names: modalities that the dataset has.

        Returns:
          A new `Source`; arrays are shared, not copied.

        Raises:
          ValueError: if the dataset lacks one; the message lists what it has.
        """
        names = list(names)
        missing = [name for name in names if name not in self.train]
        if missing:
            raise ValueError(f"The data has the modalities {list(self.train)}, but not {missing}.")
        train, test = ({name: split[name] for name in names} for split in (self.train, self.test))
        return replace(
            self,
            train=train,
            test=test,
            binarize=tuple(name for name in self.binarize if name in names),
            mirror=tuple(name for name in self.mirror if name in names),
            statistics={name: self.statistics[name] for name in names if name in self.statistics},
        )

    def num_batches(self, batch_size: int) -> int:
        """Training batches in one pass.

        Args:
          batch_size: B.

        Returns:
          The number of batches; the last one may be smaller than B.
        """
        return -(-len(next(iter(self.train.values()))) // batch_size)

    def train_batches(
        self, batch_size: int = 128, seed: int = 0, passes: range | None = None, shares: Shares | None = None
    ) -> tf.data.Dataset:
        """Training batches, shuffled, binarised and mirrored afresh on every pass; see `from_arrays`.

        Args:
          batch_size: B.
          seed: of order, binarisation and mirroring.
          passes: which passes, e.g. `range(3, 10)`; by default one, and the next one each time it is iterated.
          shares: of one of several workers; by default the whole of each batch.

        Returns:
          A dataset of dicts of float32, `{modality: [B, ...]}`.
        """
        return from_arrays(
            self.train,
            batch_size=batch_size,
            shuffle=True,
            binarize=self.binarize,
            mirror=self.mirror,
            standardize=self.statistics,
            seed=seed,
            passes=passes,
            shares=shares,
        )

    def test_batches(self, batch_size: int = 1000, shares: Shares | None = None) -> tf.data.Dataset:
        """Test batches, always the same.

        Args:
          batch_size: B.
          shares: of one of several workers; by default the whole of each batch.

        Returns:
          A dataset of dicts of float32, `{modality: [B, ...]}`, of one pass.
        """
        return from_arrays(self.test, batch_size=batch_size, passes=range(1), shares=shares)


def load(
    name: str,
    *,
    data_dir: str | pathlib.Path | None = None,
    train_size: int | None = None,
    image_size: int | None = None,
    crop: str | None = None,
    mirror: bool = False,
    strict: bool = False,
) -> Source:
    """A dataset of images x with labels or attributes w.

    Args:
      name: `"digits"`, scikit-learn's 1,797 images of 8x8, which need no download; `"mnist"`, 70,000 of
        28x28; or `"celeba"`, 202,599 photographs of faces with 40 attributes in {-1, 1}.
      data_dir: a folder with the original files: MNIST's four `.gz` files, or CelebA's two lists and its
        images unpacked; without it tensorflow-datasets downloads them, once.
      train_size: use the first so many training examples, e.g. 50,000 of MNIST's 60,000.
      image_size: CelebA: height and width; 64 by default.
      crop: CelebA: `"center"`, the default, or `"face"`, which OpenCV finds (extra `faces`).
      mirror: CelebA: show a random half of the images mirrored, on every pass.
      strict: CelebA: a broken image is an error; by default it is named, counted and left out.

    Returns:
      A `Source` of `"x"`, `[N, H, W, C]`, and `"w"`: one-hot labels `[N, 10]`, or attributes `[N, 40]`.

    Raises:
      ValueError: unknown name, an option that the dataset does not have, or a `train_size` too large.
      FileNotFoundError: `data_dir` lacks a file; the message lists which.
      OSError: a file is damaged.
    """
    if name not in NAMES:
        raise ValueError(f"Unknown dataset {name!r}. Expected one of {', '.join(map(repr, NAMES))}.")
    if name == "celeba":
        source = _celeba(data_dir, image_size or 64, crop or "center", mirror, strict)
    elif image_size or crop or mirror or strict:
        raise ValueError(f"image_size, crop, mirror and strict are options of 'celeba', not of {name!r}.")
    else:
        source = _digits() if name == "digits" else _mnist(data_dir)
    available = len(source.train["x"])
    if train_size is None:
        return source
    if not 1 <= train_size <= available:
        raise ValueError(f"train_size must lie between 1 and {available} for {name!r}; got {train_size}.")
    return replace(source, train={modality: array[:train_size] for modality, array in source.train.items()})


def _digits() -> Source:
    """Grey throughout: an 8x8 image loses its digit when binarised."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(_DIGITS_SPLIT_SEED).permutation(len(digits.target))
    examples = _examples(digits.images[order, :, :, None] / 16.0, digits.target[order])
    train, test = np.split(np.arange(len(order)), [_DIGITS_TRAIN])
    return Source(
        train={name: array[train] for name, array in examples.items()},
        test={name: array[test] for name, array in examples.items()},
        class_names=_DIGIT_NAMES,
    )


def _mnist(data_dir: str | pathlib.Path | None) -> Source:
    train, test = (_examples(*split) for split in mnist.read(data_dir))
    noise = np.random.default_rng(_BINARIZE_SEED).random(test["x"].shape, dtype=np.float32)
    test["x"] = (noise < test["x"]).astype(np.float32)
    return Source(train, test, binarize=("x",), class_names=_DIGIT_NAMES)


def _examples(images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": images.astype(np.float32), "w": np.eye(len(_DIGIT_NAMES), dtype=np.float32)[labels]}


def _celeba(data_dir: str | pathlib.Path | None, image_size: int, crop: str, mirror: bool, strict: bool) -> Source:
    """Photographs stay uint8; the test split is CelebA's own where it is there, else its validation split."""
    prepared = celeba.read(data_dir, image_size=image_size, crop=crop, strict=strict)
    held_out = 2 if (prepared.partition == 2).any() else 1
    train, test = (_rows(prepared.partition == part) for part in (0, held_out))
    images, attributes = prepared.images[train], prepared.attributes[train]
    if not len(images) or not len(prepared.partition[test]):
        raise ValueError(
            "CelebA: the list of partitions must name training images (0) and validation (1) or test images (2) that "
            f"are there; found {len(images)} and {len(prepared.partition[test])}."
        )
    statistics = Statistics.of(images)
    return Source(
        train={"x": images, "w": attributes},
        test={
            "x": statistics.standardize(prepared.images[test]),
            "w": prepared.attributes[test].astype(np.float32),
        },
        mirror=("x",) if mirror else (),
        statistics={"x": statistics},
        class_names=celeba.ATTRIBUTES,
        report=prepared.report,
    )


def _rows(chosen: np.ndarray) -> slice | np.ndarray:
    """The chosen rows; a slice if they follow one another, which leaves a memory-mapped array on the disk."""
    rows = np.flatnonzero(chosen)
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
