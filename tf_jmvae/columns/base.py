"""`Kind`, the base class of kinds of columns, and helpers on cells."""

import abc
import inspect
import os
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns

if TYPE_CHECKING:
    import pandas as pd
    import tensorflow as tf

Cells = dict[str, np.ndarray]

FIRST_ROW = "first_row"  # attribute of a part of a table: the number of its first row in the table
_SHOWN = 40  # number of characters of a cell in a message


class Kind(abc.ABC):
    """Base class of kinds of columns, of the columns of one modality.

    Args:
      columns: `Columns` of the modality.
    """

    names_files = False
    """Whether cells are names of files."""

    averages = True
    """Whether values can be averaged, as numbers and probabilities can, but not texts and pictures."""

    def __init__(self, columns: Columns):
        self.columns = columns

    @classmethod
    @abc.abstractmethod
    def adapt(
        cls, table: "pd.DataFrame", names: Sequence[str], folder: str | os.PathLike = ".", **options: Any
    ) -> Columns:
        """Learns the columns' properties from training rows.

        Args:
          table: DataFrame of the training rows.
          names: names of the columns.
          folder: folder of the files that cells name; by default the current one.
          **options: options of this kind in a description of a table.

        Returns:
          `Columns` of the modality.

        Raises:
          ValueError: if the columns are not of this kind, or there is nothing to learn from them.
        """

    @classmethod
    def options(cls) -> list[str]:
        """Returns the names of the options of this kind in a description of a table."""
        parameters = inspect.signature(cls.adapt).parameters.values()
        return [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings of a modality of these columns, as in a configuration."""

    @abc.abstractmethod
    def encode(self, table: "pd.DataFrame", folder: str | os.PathLike = ".") -> np.ndarray:
        """Converts the cells of a table's rows to values.

        Args:
          table: DataFrame with the columns.
          folder: folder of the files that cells name; by default the current one.

        Returns:
          Float32 array `[N, *shape]`, NaN for missing cells; or a uint8 array of images if none is missing.

        Raises:
          ValueError: if a cell is not of this kind; the message says which.
        """

    def requested(self, table: "pd.DataFrame", folder: str | os.PathLike = ".") -> np.ndarray:
        """Converts the cells of a table's rows to inputs of signatures that end in `_as_cells`.

        Args:
          table: DataFrame with the columns.
          folder: folder of files, as for `encode`.

        Returns:
          Array `[N, *shape]`, NaN for missing cells; or an object array `[N]` of texts or encoded pictures, b"" if
          missing.

        Raises:
          ValueError: as for `encode`.
        """
        return self.encode(table, folder)

    @abc.abstractmethod
    def decode(self, values: np.ndarray) -> Cells:
        """Converts values to cells.

        Args:
          values: array `[N, *shape]` in the units of `encode`, of values or of means of the likelihood.

        Returns:
          Dict of arrays `[N]` by column.
        """

    def sureness(self, values: np.ndarray) -> Cells:
        """Computes the probabilities of the cells of `decode` from means of the likelihood.

        Args:
          values: array `[N, *shape]`.

        Returns:
          Dict of arrays `[N]` of probabilities by column; empty for kinds without probabilities.
        """
        return {}

    def from_strings(self, strings: "tf.Tensor") -> "tf.Tensor":
        """Converts one column's cells to values within a graph, for kinds whose cells are texts.

        Args:
          strings: string tensor `[B]`; "" if missing.

        Returns:
          float32 tensor `[B, *shape]`, NaN in rows with missing or unknown cells.
        """
        raise NotImplementedError

    def to_strings(self, values: "tf.Tensor") -> "tf.Tensor":
        """Converts values to one column's cells within a graph, for kinds whose cells are texts.

        Args:
          values: float32 tensor `[B, *shape]`.

        Returns:
          string tensor `[B]`.
        """
        raise NotImplementedError

    @property
    def is_text(self) -> bool:
        """Whether cells are texts within a graph too, so that `from_strings` and `to_strings` are defined."""
        return type(self).to_strings is not Kind.to_strings


def kind_of(columns: Columns) -> Kind:
    """Returns the kind of `columns`; raises `UnknownNameError`, which lists the kinds, for unknown names."""
    return COLUMNS.get(columns.kind)(columns)


def one_column(kind: str, names: Sequence[str]) -> str:
    """Returns the only name; raises `ValueError` if there are several."""
    if len(names) != 1:
        raise ValueError(
            f"A modality of kind {kind!r} has one column; got {len(names)}: {', '.join(names)}. Make one modality for "
            "each."
        )
    return names[0]


def is_gap(cells: "pd.Series") -> np.ndarray:
    """Returns which cells are missing, Boolean `[N]`: according to pandas, or blank texts."""
    gaps = cells.isna().to_numpy(bool)
    if cells.dtype.kind in "OTU" or not isinstance(cells.dtype, np.dtype):
        texts = cells.to_numpy(object)
        gaps = gaps | np.fromiter((isinstance(text, str) and not text.strip() for text in texts), bool, len(texts))
    return gaps


def as_texts(cells: "pd.Series") -> np.ndarray:
    """Converts cells to stripped texts, objects `[N]`: "" if missing, and whole numbers without a point.

    Texts are normalised to NFC, in which letters with accents are one character.
    """
    gaps = is_gap(cells)
    return np.array([("" if gap else _text(cell)) for cell, gap in zip(cells, gaps, strict=True)], object)


def encoded_texts(cells: "pd.Series") -> np.ndarray:
    """Converts cells to texts as `as_texts`, encoded in UTF-8."""
    return np.array([text.encode() for text in as_texts(cells)], object)


def refuse(cells: "pd.Series", wrong: np.ndarray, problem: str, advice: str) -> None:
    """Raises `ValueError`, which names the first wrong cell, if any in the mask `wrong`, `[N]`, is set."""
    if wrong.any():
        row = int(np.argmax(wrong))
        number = int(wrong.sum())
        others = f" ({number:,} such cells)" if number > 1 else ""
        cell = str(cells.iloc[row])
        cell = cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]} ..."
        number = row + 1 + cells.attrs.get(FIRST_ROW, 0)
        raise ValueError(f"Column {cells.name!r}, row {number:,}: {cell!r} {problem}{others}. {advice}")


def _text(cell: Any) -> str:
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return unicodedata.normalize("NFC", str(cell).strip())
