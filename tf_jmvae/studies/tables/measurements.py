"""Measurements of the study of tables: errors of filled cells.

Each table has one measurement. Its standard errors are by the bootstrap over rows, because cells of a row are
dependent; a resample takes the same rows for all removals and methods, so that differences are paired.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae import tables
from tf_jmvae.columns import read_table
from tf_jmvae.studies.collector import Models
from tf_jmvae.studies.study import Measurement
from tf_jmvae.studies.tables import peers
from tf_jmvae.studies.tables.plan import Scale, name_of, removed, whole

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

OURS = "jmvae-kl"
METHODS = (OURS, *peers.PEERS)
MEASURES = ("rmse", "accuracy")


def measurements(scale: Scale, models: Models, folder: "Path", seed: int) -> dict[str, Measurement]:
    """Returns one measurement of each table."""
    of_table = functools.partial(_measured, scale, models, folder, seed)
    return {
        f"filled/{name}": Measurement(functools.partial(of_table, name), whole(name)[0].size) for name in scale.tables
    }


def sums(table: "pd.DataFrame", category: str, filled: "pd.DataFrame", cells: np.ndarray) -> dict[str, np.ndarray]:
    """Computes by measure the sums over the selected cells of each row and their number, `[2, N]`.

    `cells` is a Boolean mask `[N, columns]`. Sums are squared errors in units of a column's variance, or right classes.
    """
    numbers = table.drop(columns=category)
    errors = (filled[numbers.columns].astype(float) - numbers) / numbers.std(ddof=0)
    of_category = table.columns == category
    of_numbers, of_category = cells[:, ~of_category], cells[:, of_category]
    right = (filled[category] == table[category]).to_numpy()[:, None]
    return {
        "rmse": np.stack([(errors.to_numpy() ** 2 * of_numbers).sum(axis=1), of_numbers.sum(axis=1)]),
        "accuracy": np.stack([(right * of_category).sum(axis=1), of_category.sum(axis=1)]),
    }


def compared(found: Mapping[str, np.ndarray], measure: str, resamples: int, seed: int) -> dict[str, dict[str, Any]]:
    """Compares methods: means over removals of a measure, with standard errors, and differences from ours.

    Args:
      found: dict by method of sums and numbers of cells, `[removals, 2, N]`, from `sums`.
      measure: one of `MEASURES`.
      resamples: number of bootstrap resamples of the rows.
      seed: integer seed of the resampling.

    Returns:
      Dict by method of `mean`, `standard_error` and `by_removal`; for other methods also of `difference`, ours minus
      theirs, and `difference_error`.
    """
    random = np.random.default_rng(seed)
    rows = next(iter(found.values())).shape[-1]
    weights = random.multinomial(rows, np.full(rows, 1 / rows), size=resamples).T
    plain, drawn = (
        {method: _means(sums @ w, measure) for method, sums in found.items()} for w in (np.ones((rows, 1)), weights)
    )
    told = {}
    for method in found:
        told[method] = {
            "mean": float(plain[method].mean()),
            "standard_error": float(drawn[method].mean(axis=0).std(ddof=1)),
            "by_removal": plain[method][:, 0].tolist(),
        }
        if method != OURS:
            difference = drawn[OURS].mean(axis=0) - drawn[method].mean(axis=0)
            told[method]["difference"] = told[OURS]["mean"] - told[method]["mean"]
            told[method]["difference_error"] = float(difference.std(ddof=1))
    return told


def _means(found: np.ndarray, measure: str) -> np.ndarray:
    """Computes a measure, `[removals, resamples]`, from sums `[removals, 2, resamples]`."""
    means = found[:, 0] / np.maximum(found[:, 1], 1)
    return np.sqrt(means) if measure == "rmse" else means


def _measured(scale: Scale, models: Models, folder: "Path", seed: int, name: str) -> dict[str, Any]:
    table, category = whole(name)
    found: dict[str, list[dict[str, np.ndarray]]] = {method: [] for method in METHODS}
    for removal in range(scale.removals):
        training = name_of(name, removal)
        given = read_table(folder / "tables" / f"{training}.csv")
        options = {"num_samples": scale.num_samples, "seed": seed, "verbose": 0}
        answers = {OURS: tables.fill(models(training), given, **options)}
        answers |= {peer: peers.filled(given, category, peer, seed) for peer in peers.PEERS}
        cells = removed(table.shape, removal, seed)
        for method, filled in answers.items():
            found[method].append(sums(table, category, filled, cells))
    told = {
        measure: compared(
            {method: np.stack([one[measure] for one in parts]) for method, parts in found.items()},
            measure, scale.resamples, seed,
        )
        for measure in MEASURES
    }  # fmt: skip
    counts = {measure: int(sum(one[measure][1].sum() for one in found[OURS])) for measure in MEASURES}
    return {**told, "cells": counts, "rows": len(table), "columns": table.shape[1]}
