"""Tables 1 and 2 beside the paper's: which cells are below it, and in what order the models come."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tf_jmvae._utils.tables import markdown
from tf_jmvae.studies.rendering import value

__all__ = ["COLUMN_TITLES", "TITLES", "Table", "by_steps", "over_steps"]

# What reports and figures call the models and the columns.
TITLES = {
    "cvae": "CVAE, x completed by iterated sampling",
    "cvae-prior": "CVAE, z ~ p(z)",
    "cmma": "CMMA",
    "jmvae": "JMVAE",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-0.1": "JMVAE-kl, alpha 0.1",
    "hierarchical-jmvae": "hierarchical JMVAE",
}
COLUMN_TITLES = {
    "x-given-w": "log p(x \\| w)",
    "w-given-x": "log p(w \\| x)",
    "x-given-xw": "log p(x \\| w, x)",
    "w-given-xw": "log p(w \\| w, x)",
}

_PAIRED = (
    "> stands between neighbours that differ by more than two standard errors of their difference over the same "
    "examples, ≈ between those that differ by less."
)
_UNPAIRED = (
    "Where the values of single examples were not recorded, the error of a difference is that of independent samples, "
    "the root of the sum of both squares: an upper bound if the scores of the same examples are positively correlated. "
    "By it > stands between neighbours that differ by more than two such errors, and ≥ where it is left open whether "
    "they differ."
)


@dataclass(frozen=True)
class Table:
    """A table of Suzuki and Matsuo.

    Attributes:
      name: of its measurements.
      paper: its values by row, in the order of `COLUMN_TITLES`.
      digits: of ours, for images and for labels or attributes.
      channels: over how many the paper's values of images are averaged.
    """

    name: str
    paper: Mapping[str, Sequence[float]]
    digits: tuple[int, int]
    channels: int = 1

    def values(self, measured: Mapping[str, Any]) -> str:
        """Our values, and in brackets, for each channel where the paper's is, and the paper's."""
        rows = []
        for row, title in TITLES.items():
            if f"{self.name}/{row}/x-given-w" in measured:
                rows.append([title, *(self._cell(measured, row, column) for column in COLUMN_TITLES)])
        return markdown(["", *COLUMN_TITLES.values()], rows)

    def compared(self, measured: Mapping[str, Any]) -> str:
        """For each column the cells below the paper's, and the orders of the models in both."""
        cells = itertools.product(self.paper, COLUMN_TITLES)
        kinds = {"paired_errors" in measured[f"{self.name}/{row}/{column}"] for row, column in cells}
        signs = [text for text, kind in ((_PAIRED, True), (_UNPAIRED, False)) if kind in kinds]
        lines = [self._line(measured, column) for column in COLUMN_TITLES]
        usual = [row if row != "cvae" else "cvae-prior" for row in self.paper]
        order = _order({row: measured[f"{self.name}/{row}/x-given-w"] for row in usual})
        lines.append(f"- {COLUMN_TITLES['x-given-w']}, with z ~ p(z) in the CVAE: order {order}.")
        by = f", images by 1/{self.channels} of the sum" if self.channels > 1 else ""
        return "\n\n".join([f"Compared with the paper{by}. {' '.join(signs)}", "\n".join(lines)])

    def _divisor(self, column: str) -> int:
        return self.channels if column.startswith("x") else 1

    def _paper(self, row: str, column: str) -> float:
        return self.paper[row][list(COLUMN_TITLES).index(column)]

    def _cell(self, measured: Mapping[str, Any], row: str, column: str) -> str:
        ours, divisor = measured.get(f"{self.name}/{row}/{column}"), self._divisor(column)
        if ours is None:
            return "as above"
        beside = [f"{ours['mean'] / divisor:.0f}"] if divisor > 1 else []
        if row in self.paper:
            beside.append(f"{'paper ' if self.channels > 1 else ''}{self._paper(row, column)}")
        text = value(ours, self.digits[column.startswith("w")])
        return f"{text} ({'; '.join(beside)})" if beside else text

    def _line(self, measured: Mapping[str, Any], column: str) -> str:
        divisor, below = self._divisor(column), []
        for row in self.paper:
            ours = measured[f"{self.name}/{row}/{column}"]
            distance = self._paper(row, column) - ours["mean"] / divisor
            if distance > 0:
                close = distance < 2 * ours["standard_error"] / divisor
                within = " (within two standard errors of ours)" if close else ""
                below.append(f"{_short(row)} by {distance:.4g}{within}")
        order = _order({row: measured[f"{self.name}/{row}/{column}"] for row in self.paper})
        rows = sorted(self.paper, key=lambda row: -self._paper(row, column))
        theirs = _chain(rows, lambda a, b: "=" if self._paper(a, column) == self._paper(b, column) else ">")
        fallen = f"below the paper: {', '.join(below)}" if below else "none is below the paper"
        beside = "as in the paper" if order == theirs else f"in the paper {theirs}"
        return f"- {COLUMN_TITLES[column]}: {fallen}. Order {order}; {beside}."


def by_steps(measured: Mapping[str, Any], prefix: str) -> dict[int, Mapping[str, Any]]:
    """The measurements `PREFIX/STEPS`, by the number of steps from the fewest on."""
    found = {int(name.rpartition("/")[2]): one for name, one in measured.items() if name.startswith(f"{prefix}/")}
    return dict(sorted(found.items()))


def over_steps(measured: Mapping[str, Any], figure: str, digits: int) -> str:
    """Says log p(x | w) after the fewest steps of iterated sampling and after the most, by model."""

    def ends(model: str) -> str:
        found = by_steps(measured, f"{figure}/{model}/x-given-w")
        first, last = min(found), max(found)
        before, after = (value(found[steps], digits) for steps in (first, last))
        return f"{before} after {first} step to {after} after {last}"

    (kl,) = by_steps(measured, f"{figure}/jmvae-kl/x-given-w").values()
    return (
        f"log p(x | w) goes from {ends('jmvae')} for JMVAE, and from {ends('hierarchical-jmvae')} for the hierarchical "
        f"model; JMVAE-kl has {value(kl, digits)} at once."
    )


def _order(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The models from best to worst, with what is known of the difference between neighbours."""

    def sign(better: str, worse: str) -> str:
        a, b = found[better], found[worse]
        paired = a.get("paired_errors", {}).get(worse)
        error = math.hypot(a["standard_error"], b["standard_error"]) if paired is None else paired
        return ">" if a["mean"] - b["mean"] > 2 * error else "≥" if paired is None else "≈"

    return _chain(sorted(found, key=lambda row: -found[row]["mean"]), sign)


def _chain(rows: Sequence[str], sign: Callable[[str, str], str]) -> str:
    return _short(rows[0]) + "".join(f" {sign(a, b)} {_short(b)}" for a, b in itertools.pairwise(rows))


def _short(row: str) -> str:
    return TITLES[row].split(",")[0]
