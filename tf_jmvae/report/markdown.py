"""Pieces of Markdown that reports share."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["table", "trainings", "value"]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def value(measured: Mapping[str, Any] | None, digits: int) -> str:
    """`mean ± standard error`; nothing where nothing was measured."""
    return "" if measured is None else f"{measured['mean']:.{digits}f} ± {measured['standard_error']:.{digits}f}"


def trainings(found: Mapping[str, Any]) -> str:
    """A row for each training: epochs, time, seed and commit."""
    rows = [
        [
            name,
            str(training["training"]["epochs"]),
            f"{training['seconds'] / 60:.1f} min",
            str(training["seed"]),
            (training["commit"] or "")[:10],
        ]
        for name, training in found.items()
    ]
    return table(["training", "epochs", "time", "seed", "commit"], rows)
