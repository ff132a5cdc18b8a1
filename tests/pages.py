"""Pages of the documentation as programs: their blocks of code, a run of all of a page's Python, and what they quote.

`python tests/pages.py docs/tutorial.md` runs a page as printed, in the folder where it is called: that makes its
pictures.
"""

import pathlib
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
_QUOTED = re.compile(
    r'(?:^```python title="Mistake"\n(?P<mistake>.*?)^```\n\s*)?^```text title="Message"\n(?P<message>.*?)^```$',
    re.DOTALL | re.MULTILINE,
)
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its text, and the line of the page that it begins on."""

    text: str
    line: int


def blocks(page: pathlib.Path, language: str) -> list[Block]:
    """A page's blocks in a language; those with a title, such as ```python title="MultiVae", are of other packages."""
    text = page.read_text()
    return [
        Block(match[3], text.count("\n", 0, match.start(3)) + 1)
        for match in _BLOCK.finditer(text)
        if match[1] == language and "title=" not in match[2]
    ]


def run(page: pathlib.Path, change: Callable[[str], str] = str) -> dict:
    """Runs all Python of a page, in order, in one namespace, which it returns; errors name the page's own lines."""
    namespace = {"__name__": page.stem.replace("-", "_")}  # the name of a module
    for block in blocks(page, "python"):
        source = "\n" * (block.line - 1) + change(block.text)
        exec(compile(source, str(page), "exec"), namespace)
    return namespace


def quoted(page: pathlib.Path) -> list[tuple[str | None, str]]:
    """The messages that a page quotes, each with the code of the mistake that it follows, or None."""
    return [(match["mistake"], match["message"].strip()) for match in _QUOTED.finditer(page.read_text())]


def pattern(message: str) -> re.Pattern:
    """What a quoted message stands for, whole: … for anything."""
    parts = map(re.escape, message.replace(" …", "…").replace("… ", "…").split("…"))
    return re.compile(rf"\A{'.+'.join(parts)}\Z", re.DOTALL)


if __name__ == "__main__":
    run(pathlib.Path(sys.argv[1]).resolve())
