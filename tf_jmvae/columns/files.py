"""Reports of files that cells name but that cannot be read, which count as missing."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_jmvae.columns.base import FIRST_ROW

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 3


def reported(cells: "pd.Series", what: str, problems: Mapping[int, str], wanted: np.ndarray) -> np.ndarray:
    """Warns once of all files that could not be read, which count as missing.

    Args:
      cells: column of N cells.
      what: content of the files, a singular noun such as `"picture"`.
      problems: dict of error messages by row.
      wanted: Boolean array `[N]`, which rows name a file.

    Returns:
      Boolean array `[N]`, which rows have problems.

    Raises:
      ValueError: if none of several files could be read, in a table or its first part.
    """
    rows = np.zeros(len(wanted), bool)
    rows[list(problems)] = True
    if not problems:
        return rows
    column, start = cells.name, 1 + cells.attrs.get(FIRST_ROW, 0)
    first = "; ".join(f"row {row + start:,}: {problems[row]}" for row in sorted(problems)[:_LISTED])
    more = f"; and {len(problems) - _LISTED:,} more" if len(problems) > _LISTED else ""
    if len(problems) == wanted.sum() > 1 and start == 1:  # a later part of a table may have only unreadable files
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
