"""Datasets of several modalities: `Source`, and `load`, which loads one by name."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae._utils.gaps import rows_without
from tf_jmvae.data.incomplete import Missing, without
from tf_jmvae.data.pipeline import batching_of, from_arrays
from tf_jmvae.distribute.replicas import Shards
from tf_jmvae.registry import DATASETS
from tf_jmvae.specs import Columns, Preprocessing


@dataclass(frozen=True)
class Source:
    """Dataset with a training and a test split, in memory or memory-mapped.

    Attributes:
      train: dict of arrays `[N, ...]` by modality, memory-mapped for large image datasets; greyscale images in [0, 1],
        photographs raw uint8.
      test: dict of arrays of the test split; modalities in `binarize` are already binarised.
      binarize: names of the modalities to binarise anew in every training epoch.
      mirror: names of the images of which a random half is mirrored in every training epoch.
      redraw: dict of class numbers `[N]` of the training rows, by modality whose values each row takes from another row
        of its class, anew in every training epoch.
      preprocessing: dict of `Preprocessing` by image modality.
      columns: dict of `Columns` by modality, for tables.
      class_names: names of the entries of w.
      report: dict that records the data's preparation, such as rows left out.
      complete_rows: smallest fraction of complete rows in each training batch; see `from_arrays`.
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
        """Returns the dataset with only these modalities, in this order.

        Args:
          names: names of modalities that the dataset has.

        Returns:
          New `Source`, which shares the arrays.

        Raises:
          ValueError: if the dataset lacks one; the message lists its modalities.
        """
        names = list(names)
        if missing := [name for name in names if name not in self.train]:
            raise ValueError(f"The data has the modalities {list(self.train)}, but not {missing}.")

        def kept(part: Mapping[str, Any]) -> dict[str, Any]:
            return {name: part[name] for name in names if name in part}

        parts = {part: kept(getattr(self, part)) for part in ("train", "test", "redraw", "preprocessing", "columns")}
        binarize, mirror = (tuple(name for name in chosen if name in names) for chosen in (self.binarize, self.mirror))
        return replace(self, **parts, binarize=binarize, mirror=mirror)

    def only_rows(self, train: np.ndarray | None = None, test: np.ndarray | None = None) -> "Source":
        """Returns the dataset with only some rows.

        Args:
          train: Boolean array `[N]`, True for the training rows to keep; None, the default, keeps all.
          test: Boolean array of the same kind for the test rows; None, the default, keeps all.

        Returns:
          New `Source`, which shares the arrays of which all rows are kept.
        """

        def kept(arrays: Mapping[str, np.ndarray], rows: np.ndarray | None) -> Mapping[str, np.ndarray]:
            return arrays if rows is None else {name: array[rows] for name, array in arrays.items()}

        return replace(self, train=kept(self.train, train), test=kept(self.test, test), redraw=kept(self.redraw, train))

    def num_batches(self, batch_size: int) -> int:
        """Returns the number of training batches in one epoch.

        Args:
          batch_size: number of examples in a batch, B.

        Returns:
          The number of batches; the last one may be smaller than B.
        """
        return batching_of(self.train, batch_size, self.complete_rows).num_batches

    def train_batches(
        self, batch_size: int = 128, seed: int = 0, epochs: range | None = None, shards: Shards | None = None
    ) -> tf.data.Dataset:
        """Makes training batches, shuffled, binarised, mirrored and re-paired in every epoch; see `from_arrays`.

        Args:
          batch_size: number of examples in a batch, B; by default 128.
          seed: integer seed of order, binarisation, mirroring and pairing; by default 0.
          epochs: range of epochs, e.g. `range(3, 10)`; by default one epoch, a new one whenever it is iterated.
          shards: `Shards` of each batch for one of several workers; by default whole batches.

        Returns:
          `tf.data.Dataset` of dicts of float32 tensors, `{modality: [B, ...]}`.
        """
        afresh = {"shuffle": True, "binarize": self.binarize, "mirror": self.mirror, "seed": seed}
        afresh |= {"redraw": self.redraw, "complete_rows": self.complete_rows}
        return from_arrays(self.train, batch_size=batch_size, epochs=epochs, shards=shards, **afresh)

    def test_batches(self, batch_size: int = 1000, shards: Shards | None = None) -> tf.data.Dataset:
        """Makes test batches, which are the same in every epoch.

        Args:
          batch_size: number of examples in a batch, B; by default 1000.
          shards: `Shards` of each batch for one of several workers; by default whole batches.

        Returns:
          `tf.data.Dataset` of dicts of float32 tensors, `{modality: [B, ...]}`, of one epoch.
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
    """Loads a dataset of several modalities by name.

    Args:
      name: name of the dataset: `"digits"`, scikit-learn's 1,797 images of 8x8, without download; `"mnist"`, 70,000
        images of 28x28; `"celeba"`, 202,599 photographs of faces with 40 attributes in {-1, 1}; `"five-digits"`, five
        MNIST images of one class per row, on crops of five pictures; `"spoken-digits"`, MNIST images with 3,000
        recordings of the Free Spoken Digit Dataset; or another registered name.
      modalities: names of the modalities to use, in this order; by default all.
      train_size: number of training examples to use, from the first on, e.g. 50,000 of MNIST's 60,000; by default all.
      missing: dict by modality of a `data.Missing`, or just the fraction, of the training rows that are to lack it; by
        default none. Missing values are NaN.
      missing_seed: integer seed of the rows with missing modalities; by default 0.
      incomplete: `"keep"`, the default, keeps incomplete training rows; `"drop"` drops them.
      complete_rows: smallest fraction of complete rows in each training batch; by default 0.5; see `from_arrays`.
      **options: options of the dataset's function in `tf_jmvae.data`, such as `data_dir`, a folder with the original
        files of MNIST or CelebA, or with the recordings and with MNIST's files, in it or in its folder `mnist`; or
        `image_size` and `crop` of CelebA. None keeps an option's default.

    Returns:
      `Source` of `"x"`, `[N, H, W, C]`, and `"w"`: one-hot labels `[N, 10]`, or attributes `[N, 40]`. `"five-digits"`
      has five images by the names of the pictures, and `"w"`. `"spoken-digits"` has `"image"`, `"sound"`, log-mel
      spectrograms `[N, 32, 32, 1]`, and `"w"`: images and sounds are paired by label, anew in every training epoch, and
      so independent given the label.

    Raises:
      ValueError: if the name is unknown, the dataset does not have an option or a modality, `train_size` is too large,
        or rows cannot be missing.
      FileNotFoundError: if `data_dir` lacks files; the message lists them.
      OSError: if a file is damaged.
    """
    function = DATASETS.get(name)
    known = inspect.signature(function).parameters
    options = {key: value for key, value in options.items() if value is not None and (value or key in known)}
    if wrong := [key for key in options if key not in known]:
        raise ValueError(f"{', '.join(wrong)}: not an option of {name!r}, which has {', '.join(known) or 'none'}.")
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
    source = replace(source, train=train, redraw=redraw, complete_rows=complete_rows)
    return source.only_rows(~rows_without(train, train)) if incomplete == "drop" else source
