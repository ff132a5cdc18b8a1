"""Formatting of text tables for the terminal and in Markdown, of truncated lists and of numbers."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any


def aligned(rows: Mapping[str, Any], *, indent: str = "") -> str:
    """Formats lines of names and values, with the values aligned."""
    width = max(map(len, rows))
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in rows.items())


def lines(
    header: Iterable[str], rows: Iterable[Iterable[str]], *, left: Collection[int] = (0,), indent: str = "  "
) -> str:
    """Formats columns under a header and a rule; those in `left` are left-aligned, others right-aligned."""
    cells = [[*header], *([*row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    template = "  ".join(f"{{:{'<' if column in left else '>'}{width}}}" for column, width in enumerate(widths))
    first, *others = (template.format(*row).rstrip() for row in cells)
    return "\n".join(f"{indent}{line}" for line in (first, "-" * max(map(len, [first, *others])), *others))


def first_of(items: Sequence[Any], *, most: int, separator: str = ", ") -> str:
    """Lists the first items, and the number of further ones."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*map(str, items[:most]), *more])


def with_spread(value: float, spread: float) -> str:
    """Formats a number and its stddev, rounded to the stddev's second digit, such as `"13.02 ± 0.81"`."""
    if not math.isfinite(spread) or spread <= 0:
        return f"{value:.6g} ± {spread:g}"
    places = 1 - math.floor(math.log10(spread))
    if not -9 < places < 9:
        return f"{value:.3g} ± {spread:.2g}"
    rounded = (round(number, places) + 0.0 for number in (value, spread))
    return " ± ".join(f"{number:,.{max(places, 0)}f}" for number in rounded)


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Formats columns under a header as a Markdown table."""
    header = [*header]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))
