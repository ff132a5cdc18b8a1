"""Results of evaluation: `Estimate`, a mean over examples, `Statistic`, and `table`, which prints them."""

import base64
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import tables
from tf_jmvae.random import seeds


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Mean of a quantity over a dataset; `print` shows it as a table.

    Attributes:
      quantity: name of the estimated quantity, e.g. `"log p(x | w)"`.
      estimator: name of the method, e.g. `"conditional bound"`.
      values: float array `[N]`, one value for each example: nats for a log-likelihood, fractions for an accuracy.
      num_samples: number of samples of z for each example.
      seed: integer seed of the samples.
      effective_sample_size: mean over the examples of `(sum w)^2 / sum w^2` for importance weights w; None without.
      settings: dict of all other options that the result depends on.
      examples: dict of a fingerprint of the examples by modality; empty if the values do not belong to examples.
    """

    quantity: str
    estimator: str
    values: np.ndarray = dataclasses.field(repr=False)
    num_samples: int
    seed: int
    effective_sample_size: float | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    examples: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def mean(self) -> float:
        """Mean over the examples."""
        return float(np.mean(self.values, dtype=np.float64))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean over the examples; NaN for a single example."""
        size = len(self.values)
        return float(np.std(self.values, ddof=1, dtype=np.float64) / math.sqrt(size)) if size > 1 else math.nan

    @property
    def num_examples(self) -> int:
        """Number of examples, N."""
        return len(self.values)

    def difference(self, other: "Estimate") -> "Estimate":
        """Subtracts another estimate of the same examples, with the paired standard error.

        Examples that are hard for one model are hard for others, so the standard error of the paired differences is
        usually far smaller than that of independent examples.

        Args:
          other: `Estimate` of another model, or by another estimator.

        Returns:
          `Estimate` whose values are the differences for each example, `[N]`.

        Raises:
          ValueError: if the examples are not known to be the same in the same order.
        """
        shared = self.examples.keys() & other.examples.keys()
        if self.num_examples != other.num_examples:
            found = f"{self.num_examples} here and {other.num_examples} there"
        elif not shared:
            found = "no modality in common, by which to tell"
        elif unlike := sorted(name for name in shared if self.examples[name] != other.examples[name]):
            found = f"others of {', '.join(unlike)}"
        else:
            quantity = " - ".join(dict.fromkeys([self.quantity, other.quantity]))
            values = np.subtract(self.values, other.values, dtype=np.float64)
            return Estimate(quantity, "paired difference", values, self.num_samples, self.seed, examples=self.examples)
        raise ValueError(
            f"A paired difference needs estimates of the same examples in the same order; got {found}. Estimate both "
            "on the same data."
        )

    def as_dict(self, *, values: bool = False) -> dict[str, Any]:
        """Converts all fields to JSON types.

        Args:
          values: whether to include the values of all examples, as base64 of float32, for `from_dict`; by default
            False.

        Returns:
          Dict of JSON types, with None for numbers that are not finite.
        """
        plain = ("quantity", "estimator", "num_samples", "num_examples", "seed")
        numbers = {name: getattr(self, name) for name in ("mean", "standard_error", "effective_sample_size")}
        numbers = {name: n if n is not None and math.isfinite(n) else None for name, n in numbers.items()}
        recorded = {name: getattr(self, name) for name in plain} | numbers
        recorded |= {"settings": dict(self.settings), "examples": dict(self.examples)}
        if values:
            recorded["values"] = base64.b64encode(np.asarray(self.values, "<f4").tobytes()).decode()
        return recorded

    @classmethod
    def from_dict(cls, recorded: Mapping[str, Any]) -> Self:
        """Makes an estimate from a recorded dict.

        Args:
          recorded: dict as returned by `as_dict(values=True)`.

        Returns:
          `Estimate` whose values have float32 precision.
        """
        names = [field.name for field in dataclasses.fields(cls) if field.name != "values"]
        values = np.frombuffer(base64.b64decode(recorded["values"]), "<f4")
        return cls(values=values, **{name: recorded[name] for name in names})

    def __str__(self) -> str:
        return table([self])


@dataclasses.dataclass(frozen=True)
class Statistic:
    """Statistic of a dataset that is not a mean, with a bootstrap standard error; `print` shows it as a table.

    Attributes:
      quantity: name of the quantity, e.g. `"Frechet distance"`.
      estimator: name of the method.
      mean: value of the statistic.
      standard_error: bootstrap standard error, the stddev over resampled examples.
      num_samples: number of bootstrap resamples.
      num_examples: number of examples, N.
      seed: integer seed of all randomness.
      settings: dict of all other options that the result depends on.
    """

    quantity: str
    estimator: str
    mean: float
    standard_error: float
    num_samples: int
    num_examples: int
    seed: int
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    effective_sample_size: None = dataclasses.field(default=None, init=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Converts all fields to JSON types."""
        return {**dataclasses.asdict(self), "settings": dict(self.settings)}

    def __str__(self) -> str:
        return table([self])


def bootstrapped(number: Callable[[np.ndarray], float], size: int, resamples: int, seed: int) -> tuple[float, float]:
    """Computes a statistic of `size` examples, and its stddev over `resamples` draws of as many with replacement.

    `number` computes the statistic from the indices of the examples.
    """
    random = np.random.default_rng(seed)
    drawn = [number(random.integers(0, size, size)) for _ in range(resamples)]
    return number(np.arange(size)), float(np.std(drawn, ddof=1)) if resamples > 1 else math.nan


class Fingerprint:
    """Fingerprint of the examples of a dataset, independent of the batch size."""

    def __init__(self, examples: Mapping[str, Any] | None = None):
        self._digests: dict[str, Any] = {}
        self.add(examples or {})

    def add(self, batch: Mapping[str, Any]) -> None:
        """Adds the next examples, `[B, ...]` by modality."""
        for name, values in batch.items():
            digest = self._digests.setdefault(name, hashlib.blake2b(digest_size=8))
            digest.update(np.ascontiguousarray(values, np.float32))

    def hexdigests(self) -> dict[str, str]:
        """Returns the fingerprints of all examples so far, by modality."""
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


def whole_seed(seed: int | tf.Tensor | None) -> int:
    """Converts a seed to an integer that gives the same samples and can be recorded; None draws a new seed."""
    seed = seeds.to_tensor(seed)
    if seeds.are_by_row(seed):
        raise ValueError(
            f"Here a seed must serve all examples: one integer, or two; got seeds of shape {list(seed.shape)}."
        )
    low, high = map(int, seed)
    if min(low, high) < 0:
        raise ValueError(f"The entries of a seed tensor must be 0 or more; got [{low}, {high}].")
    return low + high * 2**31


def table(estimates: Iterable[Estimate | Statistic]) -> str:
    """Formats estimates as a text table.

    Args:
      estimates: `Estimate` and `Statistic` objects, one for each row.

    Returns:
      String of lines with a header: mean, standard error, effective sample size, samples, examples, seed, settings.
    """
    header = ["quantity", "estimator", "mean", "std. error", "ESS", "samples", "examples", "seed", "settings"]
    rows = []
    for one in estimates:
        means = f"{one.mean:.4f}", f"{one.standard_error:.4f}"
        ess = "" if one.effective_sample_size is None else f"{one.effective_sample_size:.1f}"
        counts = map(str, (one.num_samples, one.num_examples, one.seed))
        settings = ", ".join(f"{name}={value}" for name, value in one.settings.items())
        rows.append([one.quantity, one.estimator, *means, ess, *counts, settings])
    return tables.lines(header, rows, left=(0, 1, 8), indent="")
