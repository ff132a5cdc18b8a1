"""Drawings of matplotlib as SVG inside the page, whose style sheet has their colours, letters and widths."""

import html
import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["axes", "svg"]

_PIXELS = 72  # an inch of an SVG


def axes(width: int, height: int) -> Axes:
    """The axes of a new drawing of so many pixels, with numbers on the left and below, and without a frame."""
    axis = Figure(figsize=(width / _PIXELS, height / _PIXELS), layout="constrained", facecolor="none").subplots()
    axis.figure.patch.set_visible(False)
    axis.set_frame_on(False)
    axis.tick_params(length=0, labelsize=11)
    return axis


def svg(axis: Axes, alt: str) -> str:
    """The drawing as an element of the page, whose groups have the `gid` of what they show as their class.

    `alt` says what it shows, and tells its markers from those of the page's other drawings.
    """
    for artist in axis.findobj():
        artist.set_clip_on(False)  # a clip would be one more thing with an id
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt, "path.simplify": False}):
        axis.figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    before, _, body = buffer.getvalue().partition('version="1.1">')
    for pattern, text in (
        (r"<(metadata|style).*?</\1>", ""),
        (r'<g id="[\w.]+_\d+"', "<g"),  # matplotlib's own names
        (r'<g id="(\w+)"', r'<g class="\1"'),
        (r' style="[^"]*(text-anchor): (\w+)[^"]*"', r' \1="\2"'),
        (r' (style|transform)="[^"]*"', ""),
        (r"(?<=\.\d\d)\d+(?=[^<>]*>)", ""),  # hundredths of a pixel, and not of a number on an axis
        (r"\s*<g/>|(?<=[>\d])\s+(?=[<LCz\"])", ""),
    ):
        body = re.sub(pattern, text, body, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', before)[0]
    return f'<svg {box} role="img" aria-label="{html.escape(alt)}">{body}'
