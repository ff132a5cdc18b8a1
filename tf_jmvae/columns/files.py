"""Files that cells name and that cannot be read: gaps, of which one warning tells."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_jmvae.columns.base import FIRST_ROW

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 3


def reported(cells: "pd.Series", what: str, problems: Mapping[int, str], wanted: np.ndarray) -> np.ndarray:
    """Warns of files that could not be read, which count as missing.

    Args:
      cells: Column of N cells.
      what: What a file holds, in a word.
      problems: What is wrong, by row.
      wanted: Which rows name a file, Boolean `[N]`.

    Returns:
      The rows with problems, Boolean `[N]`.

    Raises:
      ValueError: no file of several could be read, in a table or the first part of one.
    """
    rows = np.zeros(len(wanted), bool)
    rows[list(problems)] = True
    if not problems:
        return rows
    column, start = cells.name, 1 + cells.attrs.get(FIRST_ROW, 0)
    first = "; ".join(f"row {row + start:,}: {problems[row]}" for row in sorted(problems)[:_LISTED])
    more = f"; and {len(problems) - _LISTED:,} more" if len(problems) > _LISTED else ""
    if len(problems) == wanted.sum() > 1 and start == 1:  # in a later part of a table there may be no other
        raise ValueError(
            f"Column {column!r}: none of the {len(problems):,} {what}s can be read ({first}{more}). Say where the "
            "files are with folder = '...' under [data], or --folder."
        )
    warnings.warn(
        f"Column {column!r}: {len(problems):,} of {int(wanted.sum()):,} {what}s cannot be read, and count as missing "
        f"({first}{more}).",
        stacklevel=2,
    )
    return rows
