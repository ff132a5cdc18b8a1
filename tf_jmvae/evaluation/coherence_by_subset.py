"""Coherence of each target given subsets of the other modalities, by the size of the subset."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.extras import extra
from tf_jmvae.evaluation.coherence import Classifier, conditional_coherence, known_labels
from tf_jmvae.evaluation.estimate import Estimate, table
from tf_jmvae.evaluation.scored_rows import scored
from tf_jmvae.models import MultimodalVAE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class SubsetCoherence:
    """Coherence of targets given subsets of the other modalities; `print` shows means by subset size.

    Attributes:
      estimates: dict of `Estimate` objects by target and tuple of given modalities.
    """

    estimates: Mapping[tuple[str, tuple[str, ...]], Estimate]

    @property
    def targets(self) -> list[str]:
        """Names of the targets, in the model's order."""
        return list(dict.fromkeys(target for target, _ in self.estimates))

    @property
    def counts(self) -> list[int]:
        """Sizes of the subsets, from 1."""
        return sorted({len(given) for _, given in self.estimates})

    def given(self, count: int, target: str | None = None) -> Estimate:
        """Returns the mean over all subsets of one size.

        Args:
          count: number of given modalities, a positive integer.
          target: name of the target; None, the default, averages over all targets with equal weights.

        Returns:
          `Estimate` over the same examples, so that its standard error is over rows and differences are paired.

        Raises:
          ValueError: if there is no estimate of that target and size.
        """
        targets = self.targets if target is None else [target]
        by_target = [
            [one for (t, given), one in self.estimates.items() if t == name and len(given) == count] for name in targets
        ]
        by_target = [found for found in by_target if found]
        if not by_target:
            raise ValueError(f"There is no estimate of {target or 'any target'} given {count} modalities.")
        values = np.mean([np.mean([one.values for one in found], axis=0) for found in by_target], axis=0)
        what = f"{target or 'a target'} from {count} other{'s' if count > 1 else ''} is of its class"
        first = by_target[0][0]
        options = {"settings": {"subsets": sum(map(len, by_target))}, "examples": first.examples}
        return Estimate(what, "conditional coherence", values, first.num_samples, first.seed, **options)

    def matrix(self) -> np.ndarray:
        """Returns means `[targets, counts]`; NaN where there is no estimate."""
        there = {(target, len(given)) for target, given in self.estimates}
        return np.array(
            [
                [self.given(count, target).mean if (target, count) in there else np.nan for count in self.counts]
                for target in self.targets
            ]
        )

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Plots the matrix, with a row for each target and a column for each number of given modalities.

        Args:
          axes: Matplotlib axes to draw on; by default those of a new figure.

        Returns:
          The Matplotlib axes.

        Raises:
          ImportError: if matplotlib is missing, which comes with the extra `report`.
        """
        with extra("report", "A plot"):
            import matplotlib.pyplot as plt
        values = self.matrix()
        if axes is None:
            size = (1.2 + 0.9 * values.shape[1], 1.0 + 0.5 * values.shape[0])
            _, axes = plt.subplots(figsize=size, layout="constrained")
        axes.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_xticks(range(len(self.counts)), self.counts)
        axes.set_yticks(range(len(self.targets)), self.targets)
        axes.set_xlabel("modalities given")
        axes.set_ylabel("target")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for (row, column), value in np.ndenumerate(values):
            text = "" if np.isnan(value) else f"{value:.0%}"
            axes.text(column, row, text, ha="center", va="center", color="white" if value > 0.6 else "black")
        return axes

    def __str__(self) -> str:
        return table([self.given(count) for count in self.counts])


def subset_coherence(
    model: MultimodalVAE,
    data: Mapping[str, Any],
    *,
    classifiers: Mapping[str, Classifier] | None = None,
    labels: Any = None,
    verbose: int = 1,
    **options: Any,
) -> SubsetCoherence:
    """Estimates the coherence of every target given every subset of other modalities.

    Args:
      model: `MultimodalVAE`; directions that it does not have are left out.
      data: dict of arrays `[N, *event_shape]` of every modality by name; rows that lack one are left out.
      classifiers: dict of classifiers by target, as for `conditional_coherence`. Categorical targets need none; other
        targets without one are left out.
      labels: class numbers `[N]`; by default those of the one categorical modality in `data`.
      verbose: 1, the default, prints each estimate; 0 prints nothing.
      **options: `num_samples`, `latent`, `iterated_sampling` and `seed` of `conditional_coherence`.

    Returns:
      `SubsetCoherence` with an estimate for each direction.

    Raises:
      ValueError: if no target can be classified, or as for `conditional_coherence`.
    """
    classifiers = dict(classifiers or {})
    checks.check_names(model.modalities, dict.fromkeys(classifiers) or model.modalities)
    targets = [m for m in model.targets if m in classifiers or model.modalities[m].spec.kind == "label"]
    if not targets:
        raise ValueError("No target can be classified: pass classifiers={name: function, ...}.")
    names = list(model.modalities)
    labels, known = known_labels(model, data, names, labels)
    whole, complete, _ = scored(model, data, [[name] for name in names], known)
    found = {}
    for target in targets:
        others = [name for name in names if name != target]
        for given in itertools.chain.from_iterable(
            itertools.combinations(others, count) for count in range(1, len(others) + 1)
        ):
            if model.has_posterior(given):
                own = {"classifier": classifiers.get(target), "labels": labels[complete], "verbose": 0}
                found[target, given] = conditional_coherence(model, whole, target=target, given=given, **own, **options)
                if verbose:
                    print(f"{found[target, given].quantity}: {found[target, given].mean:.4f}", flush=True)
    return SubsetCoherence(found)
