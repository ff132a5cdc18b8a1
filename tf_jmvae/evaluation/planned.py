"""Plan of the estimates that a model has: `tf-jmvae evaluate` computes, writes and shows them.

A file of this package adds its own by registering a function that plans them:

    @ESTIMATORS.register("name")
    def plan(model, *, num_samples, importance_samples): return [Planned(...), ...]
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from tf_jmvae.evaluation.estimate import Estimate
from tf_jmvae.evaluation.log_likelihood import conditional_log_likelihood, joint_log_likelihood, marginal_log_likelihood
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.models.directions import subsets
from tf_jmvae.registry import ESTIMATORS


class Planned(NamedTuple):
    """An estimate that a model has: `function(model, data, seed=..., verbose=..., **options)`."""

    target: list[str]  # the modalities that are scored
    given: list[str]  # those that they are scored from; none of a joint or marginal quantity
    function: Callable[..., Estimate]
    options: Mapping[str, Any]

    @property
    def quantity(self) -> str:
        """What is estimated."""
        condition = f" | {', '.join(self.given)}" if self.given else ""
        return f"log p({', '.join(self.target)}{condition})"


def planned(model: MultimodalVAE, **samples: int) -> list[tuple[str, Planned]]:
    """All that the model has, with the names that the estimators are registered by.

    Each bound takes `num_samples` of z for each example, each importance estimate `importance_samples`.
    """
    return [(name, one) for name in ESTIMATORS.names() for one in ESTIMATORS.get(name)(model, **samples)]


def directions(model: MultimodalVAE) -> list[tuple[str, tuple[str, ...]]]:
    """Each target with the modalities that are given for it, in the model's order.

    First those without the target, from every one of the model's `subsets`; then reconstruction, with everything given.
    """
    given = subsets(model)
    found = [(target, subset) for target in model.targets for subset in given if target not in subset]
    return found + [(target, tuple(model.modalities)) for target in model.targets]


@ESTIMATORS.register("bound")
def _bounds(model: MultimodalVAE, *, num_samples: int, **_: int) -> list[Planned]:
    """Eq. (11) in every direction; one chain of iterated sampling for each example, as in the studies."""
    options = {"num_samples": num_samples, "iterated_sampling": replace(model.iterated_sampling, num_chains=1)}
    return [_conditional(*direction, **options) for direction in directions(model)]


@ESTIMATORS.register("importance")
def _importance(model: MultimodalVAE, *, importance_samples: int, **_: int) -> list[Planned]:
    """Log p(all) and log p(m) of a joint model, log p(target | given) of a one-way model."""
    samples = {"num_samples": importance_samples}
    if model.conditions:
        return [
            _conditional(target, given, estimator="importance", **samples)
            for target, given in directions(model)
            if target not in given and set(given) == set(model.conditions)
        ]
    every = list(model.modalities)
    plans = [Planned(every, [], joint_log_likelihood, samples)]
    for name in every if len(every) > 1 else ():
        # The modality's own encoder where there is one: q(z | all) is far narrower than p(z | label).
        proposal = "own" if model.has_posterior([name]) and not model.iterates([name]) else "joint"
        plans.append(Planned([name], [], marginal_log_likelihood, {"modality": name, "proposal": proposal, **samples}))
    return plans


def _conditional(target: str, given: tuple[str, ...], **options: Any) -> Planned:
    options |= {"target": target, "given": list(given)}
    return Planned([target], list(given), conditional_log_likelihood, options)
