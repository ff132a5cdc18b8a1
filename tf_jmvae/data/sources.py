"""Known datasets by name: handwritten digits (embedded), MNIST."""

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tf_jmvae.data import mnist
from tf_jmvae.data.pipeline import from_arrays

__all__ = ["NAMES", "Source", "load"]

_BINARIZE_SEED = 0
_DIGITS_SPLIT_SEED = 0
_DIGITS_TRAIN = 1437  # four fifths of scikit-learn's 1,797 images
_DIGIT_NAMES = tuple("0123456789")
NAMES = ("digits", "mnist")


@dataclass(frozen=True)
class Source:
    """A dataset in memory.

    Attributes:
      train: arrays `[N, ...]` by modality; images are grey, in [0, 1].
      test: the same; what training binarises is binarised here once and for all.
      binarize: the modalities to binarise afresh on every training pass.
      class_names: what the categorical modality's entries mean.
    """

    train: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    binarize: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def only(self, names: Iterable[str]) -> "Source":
        """The same with these modalities only, in this order.

        Raises:
          ValueError: if the dataset lacks one; the message lists what it has.
        """
        names = list(names)
        missing = [name for name in names if name not in self.train]
        if missing:
            raise ValueError(f"The data has the modalities {list(self.train)}, but not {missing}.")
        train, test = ({name: split[name] for name in names} for split in (self.train, self.test))
        return replace(self, train=train, test=test, binarize=tuple(name for name in self.binarize if name in names))

    def num_batches(self, batch_size: int) -> int:
        """Training batches in one pass."""
        return -(-len(next(iter(self.train.values()))) // batch_size)

    def train_batches(self, batch_size: int = 128, seed: int = 0, passes: range | None = None) -> tf.data.Dataset:
        """Training batches, shuffled and binarised afresh on every pass; see `from_arrays`."""
        return from_arrays(
            self.train, batch_size=batch_size, shuffle=True, binarize=self.binarize, seed=seed, passes=passes
        )

    def test_batches(self, batch_size: int = 1000) -> tf.data.Dataset:
        """Test batches, always the same."""
        return from_arrays(self.test, batch_size=batch_size, passes=range(1))


def load(name: str, *, data_dir: str | pathlib.Path | None = None, train_size: int | None = None) -> Source:
    """A dataset of images x and one-hot labels w.

    Args:
      name: `"digits"`, scikit-learn's 1,797 images of 8x8, which need no download; or
        `"mnist"`, 70,000 of 28x28, by tensorflow-datasets.
      data_dir: for MNIST, a folder with its four original `.gz` files; without
        it tensorflow-datasets downloads them, once.
      train_size: use the first so many training images, e.g. 50,000 of MNIST's 60,000.

    Raises:
      ValueError: unknown name, or a `train_size` that the dataset does not have.
      FileNotFoundError: `data_dir` lacks a file; the message lists which.
      OSError: a file is damaged.
    """
    if name == "digits":
        source = _digits()
    elif name == "mnist":
        source = _mnist(data_dir)
    else:
        raise ValueError(f"Unknown dataset {name!r}. Expected one of {', '.join(map(repr, NAMES))}.")
    available = len(source.train["x"])
    if train_size is None:
        return source
    if not 1 <= train_size <= available:
        raise ValueError(f"train_size must lie between 1 and {available} for {name!r}; got {train_size}.")
    train = {modality: array[:train_size] for modality, array in source.train.items()}
    return replace(source, train=train)


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
