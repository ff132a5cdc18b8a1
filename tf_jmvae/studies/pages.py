"""Common parts of studies' pages: Tables 1 and 2 with the paper's values, and figures over the steps of a chain."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from tf_jmvae.report.plots import image_grid, plain
from tf_jmvae.studies.collector import COMPARED

# Titles of the models and the columns in pages and figures.
TITLES = {
    "cvae": "CVAE, x completed by iterated sampling",
    "cvae-prior": "CVAE, z ~ p(z)",
    "cmma": "CMMA",
    "jmvae": "JMVAE",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-0.1": "JMVAE-kl, alpha 0.1",
    "jmvae-kl-flow": "JMVAE-kl, flows",
    "hierarchical-jmvae": "hierarchical JMVAE",
}
_COLUMN_TITLES = {
    "x-given-w": "log p(x \\| w)",
    "w-given-x": "log p(w \\| x)",
    "x-given-xw": "log p(x \\| w, x)",
    "w-given-xw": "log p(w \\| w, x)",
}
COLORS = ("#c0392b", "#1f5f99", "#1a7f5a")


@dataclass(frozen=True)
class Table:
    """Table of Suzuki and Matsuo, which `table.md` shows."""

    name: str  # prefix of its measurements
    paper: Mapping[str, Sequence[float]]  # the paper's values by row, in the order of the columns
    digits: tuple[int, int]  # decimal places of our values, for images and for labels or attributes
    channels: int = 1  # number of channels over which the paper's values of images are averaged

    def cells(self, measured: Mapping[str, Any], row: str) -> list[str]:
        """Formats our values of a row, with the value per channel, if the paper's is, and the paper's in brackets."""
        return [self._cell(measured.get(f"{self.name}/{row}/{column}"), row, column) for column in _COLUMN_TITLES]

    def _cell(self, ours: Mapping[str, Any] | None, row: str, column: str) -> str:
        if ours is None:
            return "as above"
        divisor = self._divisor(column)
        beside = [f"{ours['mean'] / divisor:.0f}"] if divisor > 1 else []
        if row in self.paper:
            beside.append(f"{'paper ' if self.channels > 1 else ''}{self._paper(column)[row]}")
        text = _value(ours, self.digits[column.startswith("w")])
        return f"{text} ({'; '.join(beside)})" if beside else text

    def paired(self, measured: Mapping[str, Any]) -> set[bool]:
        """Returns whether the errors of paired differences are known, as a set over all cells."""
        cells = itertools.product(self.paper, _COLUMN_TITLES)
        return {"paired_errors" in measured[f"{self.name}/{row}/{column}"] for row, column in cells}

    def below(self, measured: Mapping[str, Any], column: str) -> str:
        """Lists the models of a column that are below the paper's value, with the difference."""
        found, divisor = [], self._divisor(column)
        for row, theirs in self._paper(column).items():
            ours = measured[f"{self.name}/{row}/{column}"]
            distance = theirs - ours["mean"] / divisor
            if distance > 0:
                close = distance < 2 * ours["standard_error"] / divisor
                within = " (within two standard errors of ours)" if close else ""
                found.append(f"{_short(row)} by {distance:.4g}{within}")
        return ", ".join(found)

    def order(self, measured: Mapping[str, Any], column: str, *, cvae: str = "cvae") -> str:
        """Orders the models from best to worst, with signs of significance; `cvae` is the row of CVAE."""
        rows = (cvae if row == "cvae" else row for row in self.paper)
        found = {row: measured[f"{self.name}/{row}/{column}"] for row in rows}

        def sign(better: str, worse: str) -> str:
            a, b = found[better], found[worse]
            paired = a.get("paired_errors", {}).get(worse)
            error = math.hypot(a["standard_error"], b["standard_error"]) if paired is None else paired
            return ">" if a["mean"] - b["mean"] > 2 * error else "≥" if paired is None else "≈"

        return _chain({row: one["mean"] for row, one in found.items()}, sign)

    def order_of_paper(self, column: str) -> str:
        """Orders the models as in the paper, which has no errors."""
        paper = self._paper(column)
        return _chain(paper, lambda better, worse: "=" if paper[better] == paper[worse] else ">")

    def _paper(self, column: str) -> dict[str, float]:
        return {row: values[list(_COLUMN_TITLES).index(column)] for row, values in self.paper.items()}

    def _divisor(self, column: str) -> int:
        return self.channels if column.startswith("x") else 1


def render(study: str, record: Mapping[str, Any], findings: str | None = None, **values: Any) -> str:
    """Renders a study's page, the template `STUDY/page.md`, with its record and `values`.

    `findings` is the page that interprets the numbers, to link to.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tf_jmvae.studies", ""),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(f"{study}/page.md").render(
        record=record,
        scale=record["scale"],
        measured=record["measurements"],
        findings=findings,
        columns=_COLUMN_TITLES,
        value=_value,
        percent=_percent,
        by_steps=_by_steps,
        **values,
    )
    return "\n\n".join(section.strip("\n") for section in text.split("\n\n") if section.strip()) + "\n"


def images_over_steps(
    images: Mapping[str, Sequence[np.ndarray]],
    steps: Sequence[int],
    *,
    above: Mapping[str, np.ndarray] | None = None,
    titles: Sequence[str] = (),
) -> Figure:
    """Plots images from labels or attributes: a panel per model, a row per number of steps of iterated sampling.

    `images` has the rows of each of `COMPARED`, `[columns, H, W, C]`; those of JMVAE-kl are samples without steps.
    `above` are first rows by their labels, the same in each panel, and `titles` are the titles of the columns.
    """
    above = above or {}
    figure = Figure(figsize=(4.8 * len(images), 0.5 * (len(above) + len(steps)) + 0.9), layout="constrained", dpi=150)
    panels = figure.subfigures(1, len(images), wspace=0.04, squeeze=False)[0]
    for panel, (model, rows) in zip(panels, images.items(), strict=True):
        iterates = model != "jmvae-kl"
        panel.suptitle(TITLES[model], fontsize=12, fontweight="bold")
        panel.supylabel("steps of iterated sampling" if iterates else "no steps: new samples", fontsize=9)
        labels = [*above, *(f"{number}" if iterates else "" for number in steps)]
        image_grid(panel, [*above.values(), *rows], labels, titles)
    return figure


def bounds_over_steps(measured: Mapping[str, Any], figure_name: str, titles: Mapping[str, str]) -> Figure:
    """Plots the single conditional log-likelihood over the number of steps, or a dashed line for one measurement.

    Each direction of `titles` has a panel with the measurements `FIGURE/MODEL/DIRECTION/STEPS` of `COMPARED`.
    """
    figure = Figure(figsize=(5.6 * len(titles), 3.8), layout="constrained", dpi=150)
    for axis, (direction, title) in zip(figure.subplots(1, len(titles), squeeze=False)[0], titles.items(), strict=True):
        for color, model in zip(COLORS, COMPARED, strict=True):
            found = _by_steps(measured, f"{figure_name}/{model}/{direction}")
            steps = np.array(list(found))
            means, errors = (np.array([one[key] for one in found.values()]) for key in ("mean", "standard_error"))
            if len(means) == 1:
                axis.axhline(means[0], color=color, linestyle="--", label=f"{TITLES[model]} (no steps)")
                continue
            axis.plot(steps, means, color=color, marker="o", markersize=4, label=TITLES[model])
            axis.fill_between(steps, means - 2 * errors, means + 2 * errors, color=color, alpha=0.2, linewidth=0)
            axis.set_xscale("log", base=2)
            axis.xaxis.set(
                major_locator=FixedLocator(steps), minor_locator=NullLocator(), major_formatter=ScalarFormatter()
            )
        axis.set_title(title, fontsize=11)
        axis.set_xlabel("steps of iterated sampling", fontsize=9)
        axis.set_ylabel("nats per example", fontsize=9)
        plain(axis).grid(axis="y", alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    return figure


def _by_steps(measured: Mapping[str, Any], prefix: str) -> dict[int, Mapping[str, Any]]:
    """Returns the measurements `PREFIX/STEPS` by the number of steps, in increasing order."""
    found = {int(name.rpartition("/")[2]): one for name, one in measured.items() if name.startswith(f"{prefix}/")}
    return dict(sorted(found.items()))


def _value(measured: Mapping[str, Any] | None, digits: int) -> str:
    """Formats `mean ± standard error`; empty without a measurement."""
    return "" if measured is None else f"{measured['mean']:.{digits}f} ± {measured['standard_error']:.{digits}f}"


def _percent(measured: Mapping[str, Any] | None) -> str:
    return "" if measured is None else f"{measured['mean']:.2%} ± {measured['standard_error']:.2%}"


def _chain(values: Mapping[str, float], sign: Callable[[str, str], str]) -> str:
    rows = sorted(values, key=lambda row: -values[row])
    return _short(rows[0]) + "".join(f" {sign(a, b)} {_short(b)}" for a, b in itertools.pairwise(rows))


def _short(row: str) -> str:
    return TITLES[row].split(",")[0]
