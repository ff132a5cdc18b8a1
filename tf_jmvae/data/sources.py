"""Datasets of several modalities, known by name."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae._utils.gaps import missing_rows
from tf_jmvae.data.incomplete import Missing, without
from tf_jmvae.data.pipeline import batching_of, from_arrays
from tf_jmvae.distribute.replicas import Shards
from tf_jmvae.registry import DATASETS
from tf_jmvae.specs import Columns, Preprocessing


@dataclass(frozen=True)
class Source:
    """A dataset, in memory or on the disk.

    Attributes:
      train: arrays `[N, ...]` by modality, of many pictures memory-mapped ones; grey images are in [0, 1], photographs
        raw, uint8.
      test: the same of the test split; what training binarises is binarised here once and for all.
      binarize: modalities to binarise afresh in every training epoch.
      mirror: images of which a random half is mirrored in every training epoch.
      redraw: class numbers `[N]` of the training rows, by modality that a row takes from another row of its class, anew
        in every training epoch.
      preprocessing: crop, kernel and range of the images, by modality.
      columns: of a table, by the modality that they form.
      class_names: names of the entries of w.
      report: record of the data's preparation, such as what was left out.
      complete_rows: smallest fraction of each training batch that are rows which lack nothing; see `from_arrays`.
    """

    train: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    binarize: tuple[str, ...] = ()
    mirror: tuple[str, ...] = ()
    redraw: Mapping[str, np.ndarray] = field(default_factory=dict)
    preprocessing: Mapping[str, Preprocessing] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)
    complete_rows: float = 0.5

    def only(self, names: Iterable[str]) -> "Source":
        """The same with these modalities only, in this order.

        Args:
          names: Names of modalities that the dataset has.

        Returns:
          A new `Source`; arrays are shared, not copied.

        Raises:
          ValueError: if the dataset lacks one; the message lists what it has.
        """
        names = list(names)
        if missing := [name for name in names if name not in self.train]:
            raise ValueError(f"The data has the modalities {list(self.train)}, but not {missing}.")

        def kept(part: Mapping[str, Any]) -> dict[str, Any]:
            return {name: part[name] for name in names if name in part}

        parts = {part: kept(getattr(self, part)) for part in ("train", "test", "redraw", "preprocessing", "columns")}
        binarize, mirror = (tuple(name for name in chosen if name in names) for chosen in (self.binarize, self.mirror))
        return replace(self, **parts, binarize=binarize, mirror=mirror)

    def num_batches(self, batch_size: int) -> int:
        """Number of training batches in one epoch.

        Args:
          batch_size: Number of examples in a batch, B.

        Returns:
          The number of batches; the last one may be smaller than B.
        """
        return batching_of(self.train, batch_size, self.complete_rows).num_batches

    def train_batches(
        self, batch_size: int = 128, seed: int = 0, epochs: range | None = None, shards: Shards | None = None
    ) -> tf.data.Dataset:
        """Training batches, shuffled, binarised, mirrored and redrawn afresh in every epoch; see `from_arrays`.

        Args:
          batch_size: Number of examples in a batch, B; by default 128.
          seed: Integer seed of order, binarisation, mirroring and what is redrawn; by default 0.
          epochs: Range of epochs, e.g. `range(3, 10)`; by default one, and the next one whenever it is iterated.
          shards: Shards of each batch for one of several workers; by default the whole of each batch.

        Returns:
          A dataset of dicts of float32, `{modality: [B, ...]}`.
        """
        afresh = {"shuffle": True, "binarize": self.binarize, "mirror": self.mirror, "seed": seed}
        afresh |= {"redraw": self.redraw, "complete_rows": self.complete_rows}
        return from_arrays(self.train, batch_size=batch_size, epochs=epochs, shards=shards, **afresh)

    def test_batches(self, batch_size: int = 1000, shards: Shards | None = None) -> tf.data.Dataset:
        """Test batches, always the same.

        Args:
          batch_size: Number of examples in a batch, B; by default 1000.
          shards: Shards of each batch for one of several workers; by default the whole of each batch.

        Returns:
          A dataset of dicts of float32, `{modality: [B, ...]}`, of one epoch.
        """
        return from_arrays(self.test, batch_size=batch_size, epochs=range(1), shards=shards)


def load(
    name: str,
    *,
    modalities: Iterable[str] | None = None,
    train_size: int | None = None,
    missing: Mapping[str, Missing | float] | None = None,
    missing_seed: int = 0,
    incomplete: str = "keep",
    complete_rows: float = 0.5,
    **options: Any,
) -> Source:
    """Loads a dataset of images x with labels or attributes w.

    Args:
      name: Name of the dataset: `"digits"`, scikit-learn's 1,797 images of 8x8, which need no download; `"mnist"`,
        70,000 of 28x28; `"celeba"`, 202,599 photographs of faces with 40 attributes in {-1, 1}; `"five-digits"`, five
        MNIST images of one class for each row, on crops of five pictures; `"spoken-digits"`, MNIST images with 3,000
        recordings of the Free Spoken Digit Dataset; or another that is registered.
      modalities: Names of the modalities to use, in this order; by default all.
      train_size: Number of training examples to use, the first ones, e.g. 50,000 of MNIST's 60,000; by default all.
      missing: By modality which training rows are to lack it, a `data.Missing` or just the fraction of them; by default
        none. What is missing is NaN.
      missing_seed: Integer seed of the rows that lack something; by default 0.
      incomplete: `"keep"`, the default, or `"drop"` to train on the complete rows alone.
      complete_rows: Smallest fraction of each training batch that are complete rows, by default a half; see
        `from_arrays`.
      **options: Options of the dataset's function in `tf_jmvae.data`, such as `data_dir`, a folder with the original
        files of MNIST or CelebA, or with the recordings and MNIST's files, in it or in its folder `mnist`; or
        `image_size` and `crop` of CelebA. None leaves an option as it is.

    Returns:
      A `Source` of `"x"`, `[N, H, W, C]`, and `"w"`: one-hot labels `[N, 10]`, or attributes `[N, 40]`. Of
      `"five-digits"` of five images by the names of the pictures, and `"w"`. Of `"spoken-digits"` of `"image"`,
      `"sound"`, log-mel spectrograms `[N, 32, 32, 1]`, and `"w"`: as these are paired by their label, anew in every
      training epoch, images and sounds are independent given the label.

    Raises:
      ValueError: unknown name, an option or a modality that the dataset does not have, a `train_size` too large, or
        rows that cannot be missing.
      FileNotFoundError: `data_dir` lacks a file; the message lists which.
      OSError: a file is damaged.
    """
    function = DATASETS.get(name)
    known = inspect.signature(function).parameters
    options = {key: value for key, value in options.items() if value is not None and (value or key in known)}
    if wrong := [key for key in options if key not in known]:
        raise ValueError(f"{', '.join(wrong)}: no option of {name!r}, which has {', '.join(known) or 'none'}.")
    source = function(**options)
    train, available = source.train, len(next(iter(source.train.values())))
    if train_size is not None and checks.positive_integer("train_size", train_size) > available:
        raise ValueError(f"train_size must lie between 1 and {available} for {name!r}; got {train_size}.")
    entries = train["w"][:train_size] if "w" in train else None
    source = source if modalities is None else source.only(modalities)
    train, redraw = (
        {modality: array[:train_size] for modality, array in arrays.items()} for arrays in (source.train, source.redraw)
    )
    checks.check_option("incomplete", incomplete, ("keep", "drop"))
    if missing:
        train = without(train, missing, entries=entries, seed=missing_seed, class_names=source.class_names)
    if incomplete == "drop":
        kept = ~np.any([missing_rows(array) for array in train.values()], axis=0)
        train, redraw = ({modality: array[kept] for modality, array in part.items()} for part in (train, redraw))
    return replace(source, train=train, redraw=redraw, complete_rows=complete_rows)
