"""Drawings of matplotlib as SVG inside the page, and a small chart for each term of the bound."""

import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tf_jmvae.report.facts import meaning, number, significant

__all__ = ["Chart", "axes", "charts", "svg"]

_PIXELS = 72  # an inch of an SVG


class Chart(NamedTuple):
    """A term over the epochs: its name, a sentence of what it says, its drawing, and its last values as text."""

    name: str
    meaning: str
    svg: str
    last: dict[str, str]


def charts(history: Mapping[str, Sequence[float | None]]) -> list[Chart]:
    """One for each term: the bound first, then in the equation's order."""
    names = [name for name in history if name != "seconds" and not name.startswith("val_")]
    order = sorted(names, key=lambda name: (name != "elbo", name == "loss"))
    made = (_chart(name, history[name], history.get(f"val_{name}", ())) for name in order)
    return [chart for chart in made if chart]


def _chart(name: str, train: Sequence[float | None], validation: Sequence[float | None]) -> Chart | None:
    lines = {}
    for label, values in (("training", train), ("test", validation)):
        points = [(epoch, v) for epoch, v in enumerate(values, start=1) if v is not None and math.isfinite(v)]
        if points:
            lines[label] = points
    if not lines:
        return None
    axis = axes(320, 190)
    for label, points in lines.items():
        marker = "o" if label == "test" and len(points) <= 40 else ""
        axis.plot(*zip(*points, strict=True), gid=label, marker=marker, markersize=5)
    last_epoch = max(len(train), len(validation), 2)
    axis.set_xlim(1, last_epoch)
    axis.set_xticks(np.unique(np.linspace(1, last_epoch, 5).astype(int)))
    low, high = axis.get_ylim()
    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= tick <= high]
    places = next((p for p in range(5) if np.allclose(ticks, np.round(ticks, p), rtol=0, atol=1e-9)), 4)
    axis.set_yticks(ticks, [number(tick, places) for tick in ticks])
    axis.grid(axis="y", gid="grid")
    last = {label: significant(points[-1][1]) for label, points in lines.items()}
    words = ", ".join(f"{label} {value}" for label, value in last.items())
    alt = f"{name} over {len(train)} epochs; at the end {words}."
    return Chart(name, meaning(name), svg(axis, alt), last)


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
