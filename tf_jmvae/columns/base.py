"""What every kind of column can do: learn from training rows, give a modality's values, and write cells again."""

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

FIRST_ROW = "first_row"  # an attribute of a table that is a part of another: the number of its first row there
_SHOWN = 40  # characters of a cell in a message


class Kind(abc.ABC):
    """One kind of column, of the columns of one modality.

    Args:
      columns: their `Columns`.
    """

    names_files = False
    """Whether cells are names of files."""

    averages = True
    """Whether a mean of several answers is one, as of numbers and probabilities, and not of texts and pictures."""

    def __init__(self, columns: Columns):
        self.columns = columns

    @classmethod
    @abc.abstractmethod
    def adapt(
        cls, table: "pd.DataFrame", names: Sequence[str], folder: str | os.PathLike = ".", **options: Any
    ) -> Columns:
        """Learns what the columns hold from training rows.

        Args:
          table: DataFrame of the training rows.
          names: Names of the columns.
          folder: Folder of the files that cells name; by default the current one.
          **options: What a description of a table may set for this kind.

        Returns:
          Their `Columns`.

        Raises:
          ValueError: they are not of this kind, or there is nothing to learn of them.
        """

    @classmethod
    def options(cls) -> list[str]:
        """Names of what a description of a table may set for this kind."""
        parameters = inspect.signature(cls.adapt).parameters.values()
        return [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings of a modality of these columns, as a configuration has them."""

    @abc.abstractmethod
    def encode(self, table: "pd.DataFrame", folder: str | os.PathLike = ".") -> np.ndarray:
        """Gives the values of a table's rows.

        Args:
          table: DataFrame with the columns.
          folder: Folder that files are in of which the cells say the names; by default the current one.

        Returns:
          Array `[N, *shape]` with NaN in the gaps, float32; or uint8 of images without gaps.

        Raises:
          ValueError: a cell is not of this kind; the message says which.
        """

    def requested(self, table: "pd.DataFrame", folder: str | os.PathLike = ".") -> np.ndarray:
        """Gives the cells of a table's rows as signatures that end in `_as_cells` read them.

        Args:
          table: DataFrame with the columns.
          folder: Folder of files, as for `encode`.

        Returns:
          Array `[N, *shape]` with NaN in the gaps; or of texts and encoded pictures objects `[N]`, b"" in the gaps.

        Raises:
          ValueError: as `encode`.
        """
        return self.encode(table, folder)

    @abc.abstractmethod
    def decode(self, values: np.ndarray) -> Cells:
        """Gives the cells that values say.

        Args:
          values: Array `[N, *shape]`, in the units of `encode`; of likelihoods' means, too.

        Returns:
          Arrays `[N]` by column.
        """

    def sureness(self, values: np.ndarray) -> Cells:
        """Gives how probable what `decode` says is, from means of the likelihood.

        Args:
          values: Array `[N, *shape]`.

        Returns:
          Arrays `[N]` of probabilities by column; none of a kind that has no probability.
        """
        return {}

    def from_strings(self, strings: "tf.Tensor") -> "tf.Tensor":
        """Gives the values of one column's cells within a graph; of kinds whose cells are texts.

        Args:
          strings: string tensor `[B]`; "" for a gap.

        Returns:
          float32 tensor `[B, *shape]`, NaN in the rows of gaps and of what is unknown.
        """
        raise NotImplementedError

    def to_strings(self, values: "tf.Tensor") -> "tf.Tensor":
        """Gives one column's cells within a graph; of kinds whose cells are texts.

        Args:
          values: float32 tensor `[B, *shape]`.

        Returns:
          string tensor `[B]`.
        """
        raise NotImplementedError

    @property
    def is_text(self) -> bool:
        """Whether cells are texts in a graph, too: whether there are `from_strings` and `to_strings`."""
        return type(self).to_strings is not Kind.to_strings


def kind_of(columns: Columns) -> Kind:
    """The kind of some columns; raises `UnknownNameError`, which lists the kinds, if there is none of that name."""
    return COLUMNS.get(columns.kind)(columns)


def one_column(kind: str, names: Sequence[str]) -> str:
    """The only name; raises `ValueError` if there are several."""
    if len(names) != 1:
        raise ValueError(f"A {kind} is one column; got {len(names)}: {', '.join(names)}. Make a modality of each.")
    return names[0]


def is_gap(cells: "pd.Series") -> np.ndarray:
    """Which cells say nothing, Boolean `[N]`: missing by pandas, or a text of blanks."""
    gaps = cells.isna().to_numpy(bool)
    if cells.dtype.kind in "OTU" or not isinstance(cells.dtype, np.dtype):
        texts = cells.to_numpy(object)
        gaps = gaps | np.fromiter((isinstance(text, str) and not text.strip() for text in texts), bool, len(texts))
    return gaps


def as_texts(cells: "pd.Series") -> np.ndarray:
    """Cells as texts, objects `[N]`: without blanks about them, "" in the gaps, and whole numbers without a point.

    Letters with accents are one character each (NFC), however they were typed.
    """
    gaps = is_gap(cells)
    return np.array([("" if gap else _text(cell)) for cell, gap in zip(cells, gaps, strict=True)], object)


def encoded_texts(cells: "pd.Series") -> np.ndarray:
    """Cells as `as_texts` gives them, in UTF-8."""
    return np.array([text.encode() for text in as_texts(cells)], object)


def refuse(cells: "pd.Series", wrong: np.ndarray, problem: str, advice: str) -> None:
    """Raises `ValueError` if a cell is wrong, Boolean `[N]`, which names the first one."""
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
