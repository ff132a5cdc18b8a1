"""Page of the study of tables: errors of every method on each table, and on average."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_jmvae.studies.pages import render
from tf_jmvae.studies.tables.measurements import MEASURES, METHODS, OURS

TITLES = {
    OURS: "JMVAE-kl",
    "iterative": "IterativeImputer",
    "iterative-one": "IterativeImputer, class as one number",
    "neighbours": "KNNImputer",
    "neighbours-10": "KNNImputer, 10 neighbours",
}
_BETTER = {"rmse": min, "accuracy": max}


def page(record: Mapping[str, Any], findings: str | None = None) -> str:
    """Renders the page of a record such as `results/tables.json`."""
    found = {name.removeprefix("filled/"): one for name, one in record["measurements"].items()}
    order = [name for name in record["scale"]["tables"] if name in found]
    rows = {measure: {name: found[name][measure] for name in order} for measure in MEASURES}
    for of_tables in rows.values():
        of_tables["mean"] = average(list(of_tables.values()))
    best = {measure: best_other(of_tables["mean"], measure) for measure, of_tables in rows.items()}
    shown = {"rows": rows, "best": best, "found": {name: found[name] for name in order}, "titles": TITLES, "ours": OURS}
    return render("tables", record, findings, **shown)


def average(tables: list[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Computes the mean over tables, which are independent, by method, with standard errors."""
    told: dict[str, dict[str, float]] = {}
    for method in METHODS:
        own = [table[method] for table in tables]
        told[method] = {
            key: float(np.mean([one[key] for one in own])) for key in ("mean", "difference") if key in own[0]
        }
        for key in ("standard_error", "difference_error"):
            if key in own[0]:
                told[method][key] = math.sqrt(sum(one[key] ** 2 for one in own)) / len(own)
    return told


def best_other(means: Mapping[str, Mapping[str, float]], measure: str) -> str:
    """Returns the best of scikit-learn's methods by a measure."""
    others = {method: one["mean"] for method, one in means.items() if method != OURS}
    return _BETTER[measure](others, key=others.__getitem__)
