"""Tables of texts: as lines for a terminal, and in Markdown."""

from collections.abc import Collection, Iterable

__all__ = ["lines", "markdown"]


def lines(
    header: Iterable[str], rows: Iterable[Iterable[str]], *, left: Collection[int] = (0,), indent: str = "  "
) -> str:
    """Columns under a header and a rule; those with the numbers `left` are aligned to the left, others to the right."""
    cells = [[*header], *([*row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    template = "  ".join(f"{{:{'<' if column in left else '>'}{width}}}" for column, width in enumerate(widths))
    first, *others = (template.format(*row).rstrip() for row in cells)
    return "\n".join(f"{indent}{line}" for line in (first, "-" * max(map(len, [first, *others])), *others))


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """The same in Markdown."""
    header = [*header]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))
