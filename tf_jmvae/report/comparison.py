"""Table 1 beside the paper's: where our numbers are below, in what order the models come, and why.

Reasons are given with the numbers that they rest on; what was not tested is called likely.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tf_jmvae.report.titles import COLUMN_TITLES, TITLES

__all__ = ["PAPER", "compared"]

# Table 1 of Suzuki and Matsuo.
PAPER = {
    "cvae": (-448.8, -5.293, -70.42, -5.304),
    "cmma": (-451.1, -0.2971, -69.89, -0.002574),
    "jmvae": (-747.1, -0.2286, -69.57, -0.2026),
    "jmvae-kl": (-422.35, -0.2628, -76.94, -0.1874),
    "hierarchical-jmvae": (-475.5, -2.640, -196.9, -0.4456),
}
_PAPER_EPOCHS = 2000


def compared(record: Mapping[str, Any]) -> str:
    """The cells below the paper's, the reasons by model, and the orders of the models by column.

    Args:
      record: what the study wrote to `results/mnist.json`.
    """
    measured = record["measurements"]
    below = {row: _below(measured, row) for row in PAPER}
    cells = [line for lines in below.values() for line in lines.values()]
    reasons = [
        f"- {TITLES[row]}: {_REASONS[row](record, sorted({column[0] for column in lines}))}"
        for row, lines in below.items()
        if lines
    ]
    parts = []
    if cells:
        parts += ["Cells that are below the paper's; every other one reaches its value:", "\n".join(cells)]
        parts += ["Why, as far as is known:", "\n".join(reasons)]
    else:
        parts += ["Every cell reaches the paper's value."]
    parts += [
        "The order of the models; ≈ stands between neighbours that differ by less than two standard errors of their "
        "difference, the root of the sum of both squares:",
        "\n".join(_order_line(measured, index, column) for index, column in enumerate(COLUMN_TITLES)),
    ]
    return "\n\n".join(parts)


def ordered(found: Mapping[str, Mapping[str, float]]) -> str:
    """The models from best to worst, with ≈ between those that cannot be told apart."""
    rows = sorted(found, key=lambda row: -found[row]["mean"])
    text = _name(rows[0])
    for better, worse in itertools.pairwise(rows):
        text += f" {'>' if _differ(found[better], found[worse]) else '≈'} {_name(worse)}"
    return text


def _below(measured: Mapping[str, Any], row: str) -> dict[str, str]:
    """A sentence for each column whose value is below the paper's."""
    lines = {}
    for value, (column, title) in zip(PAPER[row], COLUMN_TITLES.items(), strict=True):
        ours = measured[f"table-1/{row}/{column}"]
        distance = value - ours["mean"]
        if distance > 0:
            close = ", which is within two standard errors of ours" if distance < 2 * ours["standard_error"] else ""
            lines[column] = f"- {TITLES[row]}, {title}: {distance:.4g} nats below the paper's {value}{close}."
    return lines


def _order_line(measured: Mapping[str, Any], index: int, column: str) -> str:
    ours = {row: measured[f"table-1/{row}/{column}"] for row in PAPER}
    theirs = sorted(PAPER, key=lambda row: -PAPER[row][index])
    contradicted = any(
        ours[worse]["mean"] > ours[better]["mean"] and _differ(ours[worse], ours[better])
        for position, better in enumerate(theirs)
        for worse in theirs[position + 1 :]
    )
    same = f"in the paper: {' > '.join(map(_name, theirs))}" if contradicted else "as in the paper"
    return f"- {COLUMN_TITLES[column]}: {ordered(ours)}; {same}."


def _differ(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return abs(a["mean"] - b["mean"]) >= 2 * math.hypot(a["standard_error"], b["standard_error"])


def _name(row: str) -> str:
    return TITLES[row].split(",")[0]


def _epochs(record: Mapping[str, Any], names: Iterable[str]) -> str:
    counts = sorted({record["trainings"][name]["training"]["epochs"] for name in names})
    return f"{' and '.join(map(str, counts))} epochs against the paper's {_PAPER_EPOCHS}"


def _mean(record: Mapping[str, Any], name: str, digits: int = 2) -> str:
    return f"{record['measurements'][name]['mean']:.{digits}f}"


# The reasons: `(record, targets)`, the targets "x" and "w" for which a cell is below the paper's.


def _cvae(record: Mapping[str, Any], targets: Iterable[str]) -> str:
    return (
        "likely the chain of iterated sampling, which starts from an image of zeros here: with z ~ p(z) the same model "
        f"has {_mean(record, 'table-1/cvae-prior/x-given-w')} in {COLUMN_TITLES['x-given-w']}; likely also "
        f"{_epochs(record, [f'cvae-{target}' for target in targets])}."
    )


def _cmma(record: Mapping[str, Any], targets: Iterable[str]) -> str:
    carried = record["trainings"]["cmma-w"]["metrics"]["kl_prior"]
    return (
        f"likely {_epochs(record, [f'cmma-{target}' for target in targets])}; from images to labels z carries "
        f"{carried:.2g} nats of the label that it is shown."
    )


def _jmvae(record: Mapping[str, Any], targets: Iterable[str]) -> str:
    column, theirs = "x-given-xw", PAPER["jmvae"][2]
    text = (
        f"in {COLUMN_TITLES['x-given-w']} the collapse that the paper describes, which iterated sampling does not mend"
    )
    if record["measurements"][f"table-1/jmvae/{column}"]["mean"] > theirs:
        text += (
            "; likely the more a model reconstructs, the further from the truth its collapsed chain is, and this one "
            f"has {_mean(record, f'table-1/jmvae/{column}')} in {COLUMN_TITLES[column]} against the paper's {theirs}"
        )
    return f"{text}; likely also {_epochs(record, ('jmvae',))}."


def _jmvae_kl(record: Mapping[str, Any], targets: Iterable[str]) -> str:
    return (
        "alpha weighs answers from a single modality against reconstruction: with alpha = 0.1, trained for "
        f"{record['trainings']['jmvae-kl-0.1']['training']['epochs']} epochs, {COLUMN_TITLES['x-given-xw']} is "
        f"{_mean(record, 'table-1/jmvae-kl-0.1/x-given-xw')} and {COLUMN_TITLES['x-given-w']} "
        f"{_mean(record, 'table-1/jmvae-kl-0.1/x-given-w')}; likely also {_epochs(record, ('jmvae-kl',))}."
    )


def _hierarchical(record: Mapping[str, Any], targets: Iterable[str]) -> str:
    named = record["measurements"]["coherence/hierarchical-jmvae/w-from-x"]["mean"]
    return (
        f"likely {_epochs(record, ('hierarchical-jmvae',))}, and that the top layer, from which it answers, carries "
        f"little of the label: w is named from x in {named:.1%} of the test images."
    )


_REASONS: dict[str, Callable[[Mapping[str, Any], Iterable[str]], str]] = {
    "cvae": _cvae,
    "cmma": _cmma,
    "jmvae": _jmvae,
    "jmvae-kl": _jmvae_kl,
    "hierarchical-jmvae": _hierarchical,
}
