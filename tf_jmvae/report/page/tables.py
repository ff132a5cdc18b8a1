"""Tables of numbers: likelihoods with their errors, and the metrics of the test set."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_jmvae.report.page.curves import meaning
from tf_jmvae.report.page.numbers import aligned, decimals, number, percent

__all__ = ["likelihoods", "metrics"]

_ESTIMATORS = {
    "bound": "lower bound, Eq. (11)",
    "conditional bound": "lower bound, Eq. (11)",
    "monte_carlo": "Monte Carlo",
    "conditional Monte Carlo": "Monte Carlo",
    "importance": "importance sampling",
    "conditional importance": "importance sampling",
    "joint importance": "importance sampling",
    "marginal importance": "importance sampling",
}


def likelihoods(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Rows of an evaluation as texts: quantity, estimator, mean, error, ess and samples.

    The mean is rounded to the place of the second digit of its standard error.
    """
    places = [decimals(row.get("standard_error")) for row in rows]
    means = aligned([number(row.get("mean"), p) for row, p in zip(rows, places, strict=True)])
    errors = aligned([number(row.get("standard_error"), p) for row, p in zip(rows, places, strict=True)])
    return [
        {
            "quantity": row["quantity"],
            "estimator": _ESTIMATORS.get(row["estimator"], str(row["estimator"]).replace("_", " ")),
            "mean": mean,
            "error": error,
            "ess": "" if row.get("effective_sample_size") is None else number(row["effective_sample_size"], 1),
            "samples": f"{row['num_samples']:,}",
        }
        for row, mean, error in zip(rows, means, errors, strict=True)
    ]


def metrics(values: Mapping[str, float]) -> list[dict[str, str]]:
    """Rows of name, value and meaning: the bound first, shares in per cent."""
    order = sorted(values, key=lambda name: (name != "elbo", not name.startswith("accuracy"), name == "loss"))
    texts = aligned(
        [percent(values[name]) if name.startswith("accuracy") else number(values[name], 2) for name in order]
    )
    return [{"name": name, "value": text, "meaning": meaning(name)} for name, text in zip(order, texts, strict=True)]
