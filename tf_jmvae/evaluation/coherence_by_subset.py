"""Coherence of each target by how many other modalities are given."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_jmvae._utils import checks, gaps
from tf_jmvae._utils.extras import extra
from tf_jmvae.evaluation.coherence import Classifier, conditional_coherence, known_labels
from tf_jmvae.evaluation.estimate import Estimate, table
from tf_jmvae.models import MultimodalVAE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class SubsetCoherence:
    """Coherences of targets given subsets of the others; `print` shows the means by their number.

    Attributes:
      estimates: an `Estimate` by target and names of what is given.
    """

    estimates: Mapping[tuple[str, tuple[str, ...]], Estimate]

    @property
    def targets(self) -> list[str]:
        """The targets, in the model's order."""
        return list(dict.fromkeys(target for target, _ in self.estimates))

    @property
    def counts(self) -> list[int]:
        """How many modalities are given, from 1."""
        return sorted({len(given) for _, given in self.estimates})

    def given(self, count: int, target: str | None = None) -> Estimate:
        """The mean over all subsets of a number of modalities.

        Args:
          count: How many modalities are given.
          target: Name of the target; None, the default, is the mean over all, each of the same weight.

        Returns:
          An `Estimate` of the same examples, so that its standard error is of rows, and differences are paired.

        Raises:
          ValueError: there is no such estimate.
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
        """Means `[targets, counts]`; NaN where there is none."""
        there = {(target, len(given)) for target, given in self.estimates}
        return np.array(
            [
                [self.given(count, target).mean if (target, count) in there else np.nan for count in self.counts]
                for target in self.targets
            ]
        )

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draws the matrix, a row for each target, a column for each number of modalities given.

        Args:
          axes: Matplotlib axes to draw on; by default of a new figure.

        Returns:
          The axes.

        Raises:
          ImportError: matplotlib is missing, which comes with the extra `report`.
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
    """Coherence of every target given every subset of the other modalities: see `conditional_coherence`.

    Args:
      model: Any model; directions that it does not have are left out.
      data: Arrays `[N, *event_shape]` by name, of every modality; rows that lack one are left out.
      classifiers: Classifiers by target, as for `conditional_coherence`. Categorical targets need none; others without
        one are no targets.
      labels: Class numbers `[N]`; by default those of the one categorical modality in `data`.
      verbose: 1, the default, says how far it is, 0 does not.
      **options: of `conditional_coherence`: `num_samples`, `latent`, `iterated_sampling`, `seed`.

    Returns:
      A `SubsetCoherence`.

    Raises:
      ValueError: no target can be classified, or as for `conditional_coherence`.
    """
    classifiers = dict(classifiers or {})
    checks.check_names(model.modalities, dict.fromkeys(classifiers) or model.modalities)
    checks.check_names(model.modalities, data, required=model.modalities)
    targets = [m for m in model.targets if m in classifiers or model.modalities[m].spec.kind == "label"]
    if not targets:
        raise ValueError("No target can be classified: pass classifiers={name: function, ...}.")
    names = list(model.modalities)
    labels, kept = known_labels(model, data, names, labels)
    complete = np.all([gaps.rows_with_any([np.asarray(data[name])]) for name in names], axis=0) & kept
    whole = {name: np.asarray(data[name])[complete] for name in names}
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
