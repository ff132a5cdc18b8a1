"""Files that cells name and that cannot be read: gaps, of which one warning tells."""

import warnings
from collections.abc import Mapping

import numpy as np

_LISTED = 3


def reported(column: str, what: str, problems: Mapping[int, str], wanted: np.ndarray) -> np.ndarray:
    """Warns of files that could not be read, which count as missing.

    Args:
      column: Name of the column.
      what: What a file holds, in a word.
      problems: What is wrong, by row.
      wanted: Which rows name a file, Boolean `[N]`.

    Returns:
      The rows with problems, Boolean `[N]`.

    Raises:
      ValueError: no file could be read.
    """
    rows = np.zeros(len(wanted), bool)
    rows[list(problems)] = True
    if not problems:
        return rows
    first = "; ".join(f"row {row + 1:,}: {problems[row]}" for row in sorted(problems)[:_LISTED])
    more = f"; and {len(problems) - _LISTED:,} more" if len(problems) > _LISTED else ""
    if len(problems) == wanted.sum():
        raise ValueError(
            f"Column {column!r}: none of the {len(problems):,} {what}s can be read ({first}{more}). Say where the "
            "files are with folder = '...' under [data]."
        )
    warnings.warn(
        f"Column {column!r}: {len(problems):,} of {int(wanted.sum()):,} {what}s cannot be read, and count as missing "
        f"({first}{more}).",
        stacklevel=2,
    )
    return rows
