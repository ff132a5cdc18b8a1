"""The page's pictures: how cost grows, and the bound over the minutes of training."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from report_names import side

_COLORS = {
    "tf_jmvae, float32": "#1f5f99",
    "tf_jmvae, mixed_bfloat16": "#1a7f5a",
    "pytorch": "#c0392b",
    "pytorch, compiled": "#d68910",
    "pytorch, bfloat16": "#8e44ad",
    "pytorch, bfloat16, compiled": "#7f8c8d",
}
_OTHERS = ("#1f5f99", "#1a7f5a", "#c0392b", "#8e44ad", "#d68910", "#7f8c8d")

Points = Mapping[str, Mapping[str, Any]]


def curves(found: Mapping[str, Any], folder: pathlib.Path) -> list[str]:
    """Draws what `curves.py` measured; the names of the files."""
    contestants = list(next(iter(found["batch_size"].values())))
    drawn = {
        "batch-size": (
            {name: {size: at[name] for size, at in found["batch_size"].items()} for name in contestants},
            "examples in a batch",
            "examples / s",
        ),
        "latent-dim": ({"tf_jmvae, float32": found["latent_dim"]}, "size of z", "examples / s"),
        "samples": ({"tf_jmvae": found["samples"]}, "importance samples", "seconds / example"),
    }
    names = []
    for name, (series, x, y) in drawn.items():
        figure, axis = _figure()
        lines(axis, series, x, y)
        names.append(_save(figure, folder, name))
    figure = Figure(figsize=(8.4, 3.3), layout="constrained", dpi=130)
    left, right = figure.subplots(1, 2)
    modes = {f'subsets="{mode}"': points for mode, points in found["modalities"].items()}
    lines(left, modes, "modalities", "examples / s", log_x=False)
    parameters = {
        mode: {k: {"median": at["parameters"] / 1e6} for k, at in points.items()} for mode, points in modes.items()
    }
    lines(right, parameters, "modalities", "million parameters", log_x=False)
    return [*names, _save(figure, folder, "modalities")]


def workers(series: Mapping[str, Points], folder: pathlib.Path) -> str:
    """Draws throughput by the number of worker processes."""
    figure, axis = _figure()
    lines(axis, series, "worker processes", "examples / s", log_x=False)
    return _save(figure, folder, "workers")


def quality(runs: Mapping[str, Any], goals: Sequence[float], folder: pathlib.Path) -> str:
    """Draws the joint bound over the minutes of training."""
    figure, axis = _figure()
    for number, (name, run) in enumerate(runs.items()):
        minutes = [sum(run["epoch_seconds"][: point["epoch"]]) / 60 for point in run["points"]]
        bounds = [point["mean"] for point in run["points"]]
        color = _COLORS.get(name, _OTHERS[number % len(_OTHERS)])
        axis.plot(minutes, bounds, label=side(name), color=color, marker=".", linewidth=1.4)
    for goal in goals:
        axis.axhline(goal, color="#b8c4cc", linewidth=0.8, zorder=0)
    axis.set_xlim(left=0)
    _finish(axis, "minutes of training", "joint bound, nats")
    return _save(figure, folder, "quality")


def lines(axis: Axes, series: Mapping[str, Points], x: str, y: str, *, log_x: bool = True) -> None:
    """A line of medians per series, with bars from the smallest to the largest round, on logarithmic axes."""
    for number, (name, points) in enumerate(series.items()):
        at = [float(value) for value in points]
        medians = [point["median"] for point in points.values()]
        low = [point["median"] - point.get("low", point["median"]) for point in points.values()]
        high = [point.get("high", point["median"]) - point["median"] for point in points.values()]
        style = {"color": _COLORS.get(name, _OTHERS[number % len(_OTHERS)]), "label": side(name)}
        axis.errorbar(at, medians, (low, high), marker="o", markersize=3.5, linewidth=1.4, capsize=2.5, **style)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())
    ticks = sorted({float(value) for points in series.values() for value in points})
    if log_x:
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    _finish(axis, x, y)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.2, 3.5), layout="constrained", dpi=130)
    return figure, figure.subplots()


def _finish(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", color="#e5e8ea", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if len(axis.get_legend_handles_labels()[1]) > 1:
        axis.legend(fontsize=8, frameon=False)


def _save(figure: Figure, folder: pathlib.Path, name: str) -> str:
    file = f"performance-{name}.png"
    figure.savefig(folder / file, format="png")
    return file
