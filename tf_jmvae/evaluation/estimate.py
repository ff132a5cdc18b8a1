"""What an estimator returns, and how it prints."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae import seeds

__all__ = ["Estimate", "table", "whole_seed"]


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """The mean of a quantity over a dataset; `print` shows it as a table.

    Attributes:
      quantity: what is estimated, e.g. `"log p(x | w)"`.
      estimator: by which method, e.g. `"conditional bound"`.
      values: `[N]`, one for each example: nats for a log-likelihood, shares for an accuracy.
      num_samples: samples of z for each example.
      seed: of the samples; it repeats them.
      effective_sample_size: mean over the examples of `(sum w)^2 / sum w^2`, where there are importance weights w.
      settings: whatever else the number depends on.
    """

    quantity: str
    estimator: str
    values: np.ndarray = dataclasses.field(repr=False)
    num_samples: int
    seed: int
    effective_sample_size: float | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over the examples."""
        return float(np.mean(self.values, dtype=np.float64))

    @property
    def standard_error(self) -> float:
        """The standard error of that mean over the examples; NaN for a single one."""
        if len(self.values) < 2:
            return math.nan
        return float(np.std(self.values, ddof=1, dtype=np.float64) / math.sqrt(len(self.values)))

    @property
    def num_examples(self) -> int:
        """N."""
        return len(self.values)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the single values, as JSON takes it: a number that is not finite becomes None."""
        return {
            "quantity": self.quantity,
            "estimator": self.estimator,
            "mean": _finite(self.mean),
            "standard_error": _finite(self.standard_error),
            "effective_sample_size": _finite(self.effective_sample_size),
            "num_samples": self.num_samples,
            "num_examples": self.num_examples,
            "seed": self.seed,
            "settings": dict(self.settings),
        }

    def __str__(self) -> str:
        return table([self])


def whole_seed(seed: int | tf.Tensor | None) -> int:
    """The seed as an integer, which gives the same samples and can be recorded; None draws one.

    Raises:
      ValueError: an integer out of range, or a tensor with a negative entry.
      TypeError: neither an integer nor a tensor.
    """
    low, high = (int(part) for part in seeds.to_tensor(seed))
    if min(low, high) < 0:
        raise ValueError(f"A seed that is a tensor must have entries of 0 or more; got [{low}, {high}].")
    return low + high * 2**31


def table(estimates: Iterable[Estimate]) -> str:
    """Estimates as the lines of a text table.

    Args:
      estimates: in the order of the rows.

    Returns:
      Lines with a header: mean, standard error, effective sample size, samples, examples, seed and settings.
    """
    header = ["quantity", "estimator", "mean", "std. error", "ESS", "samples", "examples", "seed", "settings"]
    rows = [header]
    for estimate in estimates:
        ess = estimate.effective_sample_size
        rows.append(
            [
                estimate.quantity,
                estimate.estimator,
                f"{estimate.mean:.4f}",
                f"{estimate.standard_error:.4f}",
                "" if ess is None else f"{ess:.1f}",
                str(estimate.num_samples),
                str(estimate.num_examples),
                str(estimate.seed),
                ", ".join(f"{name}={value}" for name, value in estimate.settings.items()),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    left = {0, 1, 8}
    lines = [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else number
