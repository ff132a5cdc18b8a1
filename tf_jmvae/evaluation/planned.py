"""Plan of the estimates that apply to a model, which `tf-jmvae evaluate` computes, writes and shows.

A module of this package adds estimates by registering a function that plans them:

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
    """Planned estimate: a call of `function(model, data, seed=..., verbose=..., **options)`."""

    target: list[str]  # names of the scored modalities
    given: list[str]  # names of the observed modalities; empty for joint and marginal quantities
    function: Callable[..., Estimate]
    options: Mapping[str, Any]

    @property
    def quantity(self) -> str:
        """Name of the estimated quantity."""
        condition = f" | {', '.join(self.given)}" if self.given else ""
        return f"log p({', '.join(self.target)}{condition})"


def planned(model: MultimodalVAE, **samples: int) -> list[tuple[str, Planned]]:
    """Returns all estimates that apply to the model, each with the registered name of its estimator.

    Bounds use `num_samples` samples of z for each example, importance estimates `importance_samples`.
    """
    return [(name, one) for name in ESTIMATORS.names() for one in ESTIMATORS.get(name)(model, **samples)]


def scored_directions(model: MultimodalVAE) -> list[tuple[str, tuple[str, ...]]]:
    """Returns pairs of a target and the modalities given for it, in the model's order.

    First come targets given every one of the model's `subsets` without them, then reconstructions given all modalities.
    """
    given = subsets(model)
    found = [(target, subset) for target in model.targets for subset in given if target not in subset]
    return found + [(target, tuple(model.modalities)) for target in model.targets]


@ESTIMATORS.register("bound")
def _bounds(model: MultimodalVAE, *, num_samples: int, **_: int) -> list[Planned]:
    """Plans Eq. (11) in every direction, with one chain of iterated sampling per example, as in the studies."""
    options = {"num_samples": num_samples, "iterated_sampling": replace(model.iterated_sampling, num_chains=1)}
    return [_conditional(*direction, **options) for direction in scored_directions(model)]


@ESTIMATORS.register("importance")
def _importance(model: MultimodalVAE, *, importance_samples: int, **_: int) -> list[Planned]:
    """Plans log p(all) and log p(m) for a joint model, and log p(target | given) for a conditional model."""
    samples = {"num_samples": importance_samples}
    if model.conditions:
        return [
            _conditional(target, given, estimator="importance", **samples)
            for target, given in scored_directions(model)
            if target not in given and set(given) == set(model.conditions)
        ]
    every = list(model.modalities)
    plans = [Planned(every, [], joint_log_likelihood, samples)]
    for name in every if len(every) > 1 else ():
        # The modality's own encoder if there is one, because q(z | all) is far narrower than p(z | label).
        proposal = "own" if model.has_posterior([name]) and not model.iterates([name]) else "joint"
        plans.append(Planned([name], [], marginal_log_likelihood, {"modality": name, "proposal": proposal, **samples}))
    return plans


def _conditional(target: str, given: tuple[str, ...], **options: Any) -> Planned:
    options |= {"target": target, "given": list(given)}
    return Planned([target], list(given), conditional_log_likelihood, options)
