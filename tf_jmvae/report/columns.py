"""Evaluation of filling cells: each known cell of held-out rows is hidden in turn, and predicted."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tf_jmvae._utils import gaps
from tf_jmvae._utils.tables import with_spread
from tf_jmvae.data import Source
from tf_jmvae.report import drawings
from tf_jmvae.report.facts import percent
from tf_jmvae.serving import request
from tf_jmvae.tables import predictive

_ROWS, _SAMPLES, _EXAMPLES, _CHARTS = 200, 20, 5, 24
_BATCH, _BATCH_OF_IMAGES = 200, 10
_OF_ENTRIES = ("numbers", "counts", "attributes")


class Column(NamedTuple):
    """Column of a table with texts of its kind, its missing cells, and the accuracy of the model and of a baseline."""

    name: str
    kind: str
    gaps: str
    model: str
    usual: str
    better: bool | None  # than the baseline; None if not measured


class Filled(NamedTuple):
    """Results for the page: columns, examples of hidden cells by column, and charts of numbers."""

    columns: list[Column]
    examples: dict[str, list[tuple[str, str]]]  # prediction and true value
    charts: list[drawings.Chart]
    rows: int


def filled(model: Any, source: Source, *, seed: int) -> Filled | None:
    """Predicts hidden cells of the first held-out rows; None if the model is not of a table or needs complete rows."""
    modalities = model.modalities
    if not all(modality.columns for modality in modalities.values()) or not model.incomplete_rows or model.conditions:
        return None
    test = {name: np.asarray(source.test[name][:_ROWS], np.float32) for name in modalities}
    say, size = predictive.of(model, _SAMPLES), len(next(iter(test.values())))
    shown = np.argsort(np.sum([gaps.missing_rows(v) for v in test.values()], axis=0), kind="stable")[:_EXAMPLES]
    columns, examples, charts = [], {}, []
    for name, modality in modalities.items():
        kind = modality.columns.kind
        for number, column in enumerate(modality.columns.names):
            if kind in ("image", "array"):
                columns.append(Column(column, kind, _gaps(source.train[name]), "", "", None))
                continue
            place = (..., number) if kind in _OF_ENTRIES else ...
            known = ~np.isnan(test[name][place].reshape(size, -1)).all(axis=1)
            known &= modality.optional is not False
            hidden = {one: values[known] for one, values in test.items()}
            hidden[name] = hidden[name].copy()
            hidden[name][place] = np.nan
            of_images = any(modality.spec.is_image for modality in modalities.values())
            said = _in_batches(say, hidden, request.row_seeds(seed, int(known.sum())), of_images)
            truth = modality.cells.decode(test[name][known])[column]
            usual = _usual(modality, source.train[name], number, column)
            columns.append(_measured(column, modality, _gaps(source.train[name][place]), said, truth, usual))
            places = np.cumsum(known) - 1
            examples[column] = [
                _example(column, kind, said, truth, places[row]) if known[row] else ("", "") for row in shown
            ]
            if kind in ("numbers", "counts") and known.any() and len(charts) < _CHARTS:
                charts.append(drawings.scatter(column, truth, said[column]))
    return Filled(columns, examples, charts, size)


def _in_batches(say: Any, hidden: Mapping[str, np.ndarray], row_seeds: np.ndarray, of_images: bool) -> dict:
    step = _BATCH_OF_IMAGES if of_images else _BATCH
    parts = [
        say({name: values[start : start + step] for name, values in hidden.items()}, row_seeds[start : start + step])
        for start in range(0, len(row_seeds), step)
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}


def _gaps(values: np.ndarray) -> str:
    missing = int(gaps.missing_rows(values).sum())
    return f"{missing:,} of {len(values):,}" if missing else "none"


def _usual(modality: Any, train: np.ndarray, number: int, column: str) -> Any:
    """Returns the baseline of a column: the mean of numbers, or the most frequent value, in the training rows."""
    kind = modality.columns.kind
    if kind in ("numbers", "counts"):
        return np.nanmean(train[:, number], dtype=np.float64)
    rows = train[~np.isnan(train[..., number] if kind == "attributes" else train[..., 0])]
    words, counts = np.unique(modality.cells.decode(rows)[column].astype(str), return_counts=True)
    return words[counts.argmax()]


def _measured(column: str, modality: Any, missing: str, said: Mapping, truth: np.ndarray, usual: Any) -> Column:
    kind = modality.columns.kind
    if not len(truth):
        return Column(column, kind, missing, "", "", None)
    if kind in ("numbers", "counts"):
        errors = [float(np.sqrt(np.mean(np.square(found - truth)))) for found in (said[column], usual)]
        texts = [f"{error:.3g}" for error in errors]
        return Column(column, kind, missing, *texts, errors[0] < errors[1])
    right = [float(np.mean(found == truth)) for found in (said[column], usual)]
    return Column(column, kind, missing, *map(percent, right), right[0] > right[1])


def _example(column: str, kind: str, said: Mapping, truth: np.ndarray, row: int) -> tuple[str, str]:
    if kind in ("numbers", "counts"):
        value, spread = (float(said[key][row]) for key in (column, (column, predictive.SPREAD)))
        return with_spread(value, spread), f"{truth[row]:.6g}"
    return f"{said[column][row]} ({said[column, predictive.PROBABILITY][row]:.0%})", str(truth[row])
