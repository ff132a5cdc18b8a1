r"""Estimators of log-likelihoods, in nats per example: one function per quantity.

With z_i ~ q(z | O), where O are the observed modalities and t is the target,

    conditional bound         mean_i log p(t|z_i)                              Eq. (11) of [1]
    conditional Monte Carlo   log mean_i p(t|z_i)
    conditional importance    log mean_i [p(t|z_i) p(o|z_i) p(z_i) / q(z_i|t,o)] - log p^(o)
    joint importance          log mean_i [prod_m p(m|z_i) p(z_i) / q(z_i|all)]
    marginal importance       as joint importance, over some modalities only

Bounds lie below the true value. So does, in expectation, the log of a mean of N samples, with a bias that shrinks with
N; see the effective sample size.

References:
  [1] Suzuki and Matsuo, section 4.4 and appendix A.1: Tables 1 and 2 have the bound with N = 10.
  [2] arXiv 1611.01891: importance estimates with N = 1000, and 5000 prior samples for p^(w).
  [3] Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_jmvae._utils import checks
from tf_jmvae.evaluation.average import average
from tf_jmvae.evaluation.estimate import Estimate, whole_seed
from tf_jmvae.evaluation.samples import Proposal, importance_weights, posterior_terms, prior_terms
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import chains_of, iteration_of

_ESTIMATORS = {"bound": "bound", "monte_carlo": "Monte Carlo", "importance": "importance"}


def conditional_log_likelihood(
    model: MultimodalVAE,
    data: Any,
    *,
    target: str | Iterable[str],
    given: str | Iterable[str],
    estimator: str = "bound",
    num_samples: int = 10,
    iterated_sampling: IteratedSampling | int | None = None,
    normalizer: str = "encoder",
    normalizer_samples: int | None = None,
    seed: int = 0,
    max_rows: int | None = None,
    verbose: int = 1,
) -> Estimate:
    """Estimates log p(target | given), averaged over a dataset.

    In [1] "single" means that the target is not given, and "multiple" that it is: reconstruction.

    Args:
      model: `MultimodalVAE` with a posterior given `given`.
      data: dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts.
      target: name of the modality to score, or a list of names to score jointly.
      given: name of the observed modality, or a list of names.
      estimator: `"bound"`, the default, is Eq. (11), a lower bound; for the hierarchical model the nested bound of Eq.
        (A.2), with as many samples of the lower layers for each sample of z_L. `"monte_carlo"` is the log of the mean
        density. `"importance"` is that log under importance weights of the exact posterior: the model's own
        log p(target | given).
      num_samples: number of samples of z for each example, N; by default 10.
      iterated_sampling: an `IteratedSampling` or a number of steps; by default the model's own options.
      normalizer: estimator of log p^(given) in the importance estimate: `"encoder"`, the default, for importance
        weights under q(z | given), `"prior"` for samples of the prior. Conditional models need none.
      normalizer_samples: number of samples for the normalizer; by default N, or 5000 for `"prior"`.
      seed: seed of all samples: an integer, by default 0, a tensor `[2]`, or None for a new seed, which is recorded.
      max_rows: largest number of z to decode at once; by default as many as keep every tensor, including hidden layers,
        within 32 MiB.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.

    Returns:
      `Estimate` whose values are in nats, `[N]`.

    Raises:
      ValueError: if modalities or options are invalid, the model does not have this direction, or data are invalid.

    Examples:
      >>> print(conditional_log_likelihood(model, test, target="x", given=["w"]))
    """
    targets, given = _names(model, target), _names(model, given)
    checks.check_targets(model, targets)
    checks.check_conditions(model, given)
    checks.check_option("estimator", estimator, _ESTIMATORS)
    weighted = estimator == "importance"
    both = sorted(set(targets) & set(given))
    if weighted and both:
        raise ValueError(
            f"An importance estimate estimates the model's own log p(target | given), so {both[0]!r} cannot be on both "
            "sides; for reconstruction take estimator='bound' or 'monte_carlo'."
        )
    seed, num_samples = whole_seed(seed), checks.positive_integer("num_samples", num_samples)
    iteration = iteration_of(model, iterated_sampling)
    observed, settings = _importance_observed(model, _names(model, targets + given)) if weighted else (given, {})
    proposal, more = _proposal(model, observed, num_samples, iteration)
    settings |= more
    # Given modalities that the model generates too, whose log-likelihood must be subtracted.
    extra = [name for name in given if name in model.targets] if weighted else []
    if weighted:
        samplings = [(importance_weights(model, targets + extra, proposal), num_samples)]
    else:
        num_inner_samples = num_samples if estimator == "bound" and model.num_layers > 1 else 1
        samplings = [(posterior_terms(model, targets, proposal, num_inner_samples), num_samples)]
    if extra:
        sampling, more = _normalizer(model, extra, given, normalizer, normalizer_samples, num_samples, iteration)
        samplings.append(sampling)
        settings |= more
    options = {"held": [targets, given], "seed": seed, "max_rows": max_rows, "verbose": verbose}
    averages, *rest = average(model, data, samplings, **options)
    bound = estimator == "bound"
    values = (averages.mean if bound else averages.log_mean_exp) - (rest[0].log_mean_exp if rest else 0)
    ess = None if bound else float(np.mean(averages.effective_sample_size))
    quantity = f"log p({', '.join(targets)} | {', '.join(given)})"
    method = f"conditional {_ESTIMATORS[estimator]}"
    return Estimate(
        quantity, method, values, num_samples, seed, ess, {**settings, **averages.settings}, averages.examples
    )


def joint_log_likelihood(
    model: MultimodalVAE,
    data: Any,
    *,
    num_samples: int = 1000,
    seed: int = 0,
    max_rows: int | None = None,
    verbose: int = 1,
) -> Estimate:
    """Estimates log p(all modalities) by importance sampling with q(z | all modalities), [2].

    Args:
      model: `MultimodalVAE` of a joint distribution; not a CVAE or CMMA.
      data: dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts.
      num_samples: number of samples of z for each example; by default 1000.
      seed: seed of all samples, as for `conditional_log_likelihood`.
      max_rows: largest number of z to decode at once, as for `conditional_log_likelihood`.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.

    Returns:
      `Estimate` whose values are in nats, `[N]`.

    Raises:
      ValueError: if the model is conditional, or options or data are invalid.
    """
    options = {"num_samples": num_samples, "seed": seed, "max_rows": max_rows, "verbose": verbose}
    found = marginal_log_likelihood(model, data, modality=model.modalities, **options)
    return replace(found, estimator="joint importance")


def marginal_log_likelihood(
    model: MultimodalVAE,
    data: Any,
    *,
    modality: str | Iterable[str],
    proposal: str = "joint",
    num_samples: int = 1000,
    iterated_sampling: IteratedSampling | int | None = None,
    seed: int = 0,
    max_rows: int | None = None,
    verbose: int = 1,
) -> Estimate:
    """Estimates log p(modality) by importance sampling, [2].

    Args:
      model: `MultimodalVAE` of a joint distribution; not a CVAE or CMMA.
      data: dict of arrays `[N, *event_shape]`, or a `tf.data.Dataset` of batches of such dicts.
      modality: name of the modality to score, or a list of names to score jointly.
      proposal: proposal distribution of z: `"joint"`, the default, q(z | all modalities), or `"own"`, q(z | modality).
      num_samples: number of samples of z for each example; by default 1000.
      iterated_sampling: an `IteratedSampling` or a number of steps, for an `"own"` proposal; by default the model's
        own.
      seed: seed of all samples, as for `conditional_log_likelihood`.
      max_rows: largest number of z to decode at once, as for `conditional_log_likelihood`.
      verbose: 1, the default, shows a progress bar; 0 shows nothing.

    Returns:
      `Estimate` whose values are in nats, `[N]`.

    Raises:
      ValueError: if the model is conditional, or modalities, options or data are invalid.
    """
    checks.check_option("proposal", proposal, ("joint", "own"))
    scored = _names(model, modality)
    if model.conditions:
        raise ValueError(
            f"A {type(model).__name__} models {', '.join(model.targets)} given {', '.join(model.conditions)}, and no "
            f"log p({', '.join(scored)}). Use conditional_log_likelihood(..., estimator='importance')."
        )
    seed, num_samples = whole_seed(seed), checks.positive_integer("num_samples", num_samples)
    observed = list(model.modalities) if proposal == "joint" else scored
    iteration = replace(iteration_of(model, iterated_sampling), num_chains=None)
    given, *_ = keras.utils.unpack_x_y_sample_weight(data.element_spec if isinstance(data, tf.data.Dataset) else data)
    missing = [name for name in observed if isinstance(given, Mapping) and name not in given]
    if missing and not {*missing} & {*scored} and model.has_posterior(scored):
        raise ValueError(
            f"proposal='joint' draws z from q(z | {', '.join(observed)}), but the data lack {checks.listed(missing)}. "
            f"Pass every modality, or proposal='own' to draw it from q(z | {', '.join(scored)})."
        )
    source, settings = _proposal(model, observed, num_samples, iteration)
    sampling = (importance_weights(model, scored, source), num_samples)
    options = {"held": [scored, observed], "seed": seed, "max_rows": max_rows, "verbose": verbose}
    (averages,) = average(model, data, [sampling], **options)
    ess = float(np.mean(averages.effective_sample_size))
    settings = {"proposal": f"q(z | {', '.join(observed)})", **settings}
    quantity, values = f"log p({', '.join(scored)})", averages.log_mean_exp
    return Estimate(
        quantity,
        "marginal importance",
        values,
        num_samples,
        seed,
        ess,
        {**settings, **averages.settings},
        averages.examples,
    )


def _normalizer(model, extra, given, kind, samples, num_samples, iteration):
    """Returns the sampling of log p(extra), or log p(extra | conditions) if conditional, and its settings."""
    checks.check_option("normalizer", kind, ("encoder", "prior"))
    samples = (num_samples if kind == "encoder" else 5000) if samples is None else samples
    samples = checks.positive_integer("normalizer_samples", samples)
    settings = {"normalizer": kind, "normalizer_samples": samples}
    if kind == "prior":
        return (prior_terms(model, extra), samples), settings
    observed, _ = _importance_observed(model, given)
    proposal, more = _proposal(model, observed, samples, replace(iteration, num_chains=None))
    more.pop("num_chains", None)  # one chain for each sample
    return (importance_weights(model, extra, proposal), samples), {**settings, **more}


def _proposal(model, observed, num_samples, iteration):
    """Returns the proposal and the settings that describe it."""
    if not model.iterates(observed, iteration):
        return Proposal(observed, iteration), {}
    num_chains = chains_of(iteration, num_samples)
    settings = {**iteration.settings(), "num_chains": num_chains}
    return Proposal(observed, iteration, num_samples // num_chains), settings


def _importance_observed(model: MultimodalVAE, observed: list[str]) -> tuple[list[str], dict[str, str]]:
    """Returns the modalities that the proposal of importance weights reads, and a setting if they are not `observed`.

    Any proposal is valid: a model without a posterior given some of several targets uses p(z | conditions).
    """
    if model.has_posterior(observed):
        return observed, {}
    return model.conditions, {"proposal": f"p(z | {', '.join(model.conditions)})"}


def _names(model: MultimodalVAE, names: str | Iterable[str]) -> list[str]:
    names = checks.names_of(names)
    checks.check_names(model.modalities, dict.fromkeys(names))
    return [name for name in model.modalities if name in names]
