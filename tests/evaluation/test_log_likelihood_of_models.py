"""The estimators of log-likelihoods on one-way, hierarchical and iterating models."""

import numpy as np
import pytest
import tensorflow as tf
from exact_models import THREE, ExactCMMA, ExactCVAE, conditional_log_prob, exact_jmvae, expected_log_prob
from linear_gaussian import LinearGaussian
from scipy import stats
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.evaluation import conditional_log_likelihood, joint_log_likelihood

QUIET = {"verbose": 0}


def _conditional(model, batch, target, given, **options):
    return conditional_log_likelihood(model, batch, target=target, given=given, **QUIET, **options)


# One-way models.


@pytest.fixture(params=[ExactCMMA, ExactCVAE])
def case(request):
    return request.param(count=30)


@pytest.mark.parametrize("num_samples", [1, 20])
def test_importance_with_exact_parts_is_the_conditional_log_likelihood_and_needs_no_normalizer(case, num_samples):
    model, batch, truth = case.model, case.batch, case.log_likelihood()
    estimate = _conditional(model, batch, "x", "w", estimator="importance", num_samples=num_samples)
    np.testing.assert_allclose(estimate.values, truth, atol=2e-4)
    assert estimate.effective_sample_size == pytest.approx(num_samples, rel=1e-3)
    assert estimate.settings == {}


def test_monte_carlo_over_the_prior_is_the_conditional_log_likelihood(case):
    model, batch, truth = case.model, case.batch, case.log_likelihood()
    estimate = _conditional(model, batch, "x", "w", estimator="monte_carlo", num_samples=20_000)
    np.testing.assert_allclose(estimate.values, truth, atol=0.5)
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.05)
    assert estimate.settings == {}


def test_the_bound_draws_z_from_the_prior_and_lies_below(case):
    model, batch, truth = case.model, case.batch, case.log_likelihood()
    bound = _conditional(model, batch, "x", "w", num_samples=2000)
    assert bound.mean < truth.mean() - 0.3
    assert _conditional(model, batch, "x", ["x", "w"], num_samples=2000).mean > bound.mean


def test_a_cvae_iterates_when_it_is_asked_to_and_says_so():
    case = ExactCVAE(count=30)
    model, batch = case.model, case.batch
    prior = _conditional(model, batch, "x", "w", num_samples=4)
    iterated = _conditional(model, batch, "x", "w", num_samples=4, iterated_sampling=tj.IteratedSampling(3, "zeros"))
    assert prior.settings == {}
    assert iterated.settings == {"num_steps": 3, "initial": "zeros", "num_chains": 4}
    assert prior.mean != iterated.mean
    noise = _conditional(model, batch, "x", "w", num_samples=4, iterated_sampling=tj.IteratedSampling(1, "noise", 2))
    assert noise.settings == {"num_steps": 1, "initial": "noise", "num_chains": 2}


def test_a_cvae_that_iterates_long_enough_forgets_where_it_began():
    """Its chain has p(x, z | w) as the stationary distribution, so z ends as it begins without one: from p(z)."""
    case = ExactCVAE(count=30)
    model, batch = case.model, case.batch
    batch = {name: np.tile(value, (20, 1)) for name, value in batch.items()}
    prior = _conditional(model, batch, "x", "w", num_samples=10)
    iterated = _conditional(model, batch, "x", "w", num_samples=10, iterated_sampling=tj.IteratedSampling(60, "zeros"))
    error = np.hypot(*(np.std(result.values) for result in (prior, iterated))) / np.sqrt(len(prior.values))
    assert abs(prior.mean - iterated.mean) < 4 * error


# Iterated sampling, Eq. (6).


@pytest.mark.parametrize(("num_samples", "num_chains"), [(10, None), (10, 1), (10, 5)])
def test_the_bound_after_many_steps_is_that_of_the_exact_conditional_however_many_chains(num_samples, num_chains):
    exact, model = exact_jmvae()
    batch = exact.sample(1500)
    expected = expected_log_prob(exact, batch, "x", *exact.posterior(batch, ["w"]))
    iteration = tj.IteratedSampling(40, num_chains=num_chains)
    estimate = _conditional(model, batch, "x", "w", num_samples=num_samples, iterated_sampling=iteration, seed=3)
    error = np.std(estimate.values - expected) / np.sqrt(1500)
    assert error < 0.2
    assert abs(estimate.mean - expected.mean()) < 4 * error
    assert estimate.settings == {"num_steps": 40, "initial": "zeros", "num_chains": num_chains or num_samples}


def test_one_step_takes_zeros_for_what_is_missing():
    exact, model = exact_jmvae()
    batch = exact.sample(100)
    q = model.posterior({**batch, "x": np.zeros_like(batch["x"])})
    expected = expected_log_prob(exact, batch, "x", q.mean().numpy(), np.diag(q.variance().numpy()[0]))
    estimate = _conditional(model, batch, "x", "w", num_samples=1000)
    assert estimate.settings == {"num_steps": 1, "initial": "zeros", "num_chains": 1000}
    assert estimate.mean == pytest.approx(expected.mean(), rel=0.01)
    np.testing.assert_allclose(estimate.values, expected, rtol=0.1)


def test_nothing_iterates_where_everything_is_given():
    exact, model = exact_jmvae()
    estimate = _conditional(model, exact.sample(5), "x", ["x", "w"], iterated_sampling=50)
    assert estimate.settings == {}


@pytest.mark.parametrize("normalizer", ["encoder", "prior"])
def test_importance_of_an_iterating_model_is_the_conditional_log_likelihood(normalizer):
    exact, model = exact_jmvae()
    batch = exact.sample(50)
    truth = conditional_log_prob(exact, batch, ["x"], ["w"])
    options = {"estimator": "importance", "normalizer": normalizer, "normalizer_samples": 5000, "iterated_sampling": 5}
    estimate = _conditional(model, batch, "x", "w", num_samples=10, **options)
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.1)


# The hierarchical model.


def _linear_hierarchy():
    """A linear-Gaussian hierarchy with z_2 ~ N(0, I), z_1 = z_2 T + o + noise, and q the exact margins of z_1, z_2.

    Returns the exact model of the data given z_1, the hierarchy, T, o, the noise's variance, and log p.
    """
    exact = LinearGaussian()
    linear = tj.networks.mlp([])
    model = tj.HierarchicalJMVAE(exact.modalities(), 2, num_layers=2, layer_encoder=linear, layer_prior=linear)
    exact.set_decoders(model)
    random = np.random.default_rng(4)
    transition, offset, variance = random.normal(size=(2, 2)), random.normal(size=2), np.array([0.4, 0.9])
    model.layer_priors[0].set_weights([transition, offset, np.zeros((2, 2)), np.log(np.expm1(variance))])

    stacked, biases = (np.concatenate(list(samplings.values())) for samplings in (exact.weights, exact.biases))
    prior = transition.T @ transition + np.diag(variance)  # of z_1
    mean, covariance = stacked @ offset + biases, stacked @ prior @ stacked.T + 0.3 * np.eye(5)
    for head, cross, own, centre in zip(
        model.layer_heads, (prior @ stacked.T, transition @ stacked.T), (prior, np.eye(2)), (offset, 0), strict=True
    ):
        kernel = cross @ np.linalg.inv(covariance)
        posterior = np.diag(own - kernel @ cross.T)
        head.set_weights([kernel.T, centre - kernel @ mean, np.zeros((5, 2)), np.log(np.expm1(posterior))])

    def log_prob(batch, names="xw"):
        index = np.concatenate([np.arange(5)[{"x": slice(0, 3), "w": slice(3, 5)}[name]] for name in names])
        values = np.concatenate([batch[name] for name in names], axis=-1)
        return stats.multivariate_normal(mean[index], covariance[np.ix_(index, index)]).logpdf(values)

    return exact, model, (transition, offset, variance), log_prob


@pytest.mark.parametrize(("target", "given"), [("x", "w"), ("w", "x"), ("x", "xw")])
def test_the_nested_bound_of_the_hierarchy_is_its_closed_form(target, given):
    exact, model, (transition, offset, variance), _ = _linear_hierarchy()
    batch = exact.sample(60)
    q = model.posterior({name: batch[name] for name in given})
    mean, q_variance = (model.layers_of(value)[1].numpy() for value in (q.mean(), q.variance()))
    covariance = transition.T @ np.diag(q_variance[0]) @ transition + np.diag(variance)
    expected = expected_log_prob(exact, batch, target, mean @ transition + offset, covariance)
    estimate = _conditional(model, batch, target, [*given], num_samples=100)
    assert estimate.num_samples == 100
    np.testing.assert_allclose(estimate.values, expected, rtol=0.3)
    assert estimate.mean == pytest.approx(expected.mean(), rel=0.02)


def test_the_nested_bound_takes_n_ways_down_from_each_of_n_samples():
    _, model, *_ = _linear_hierarchy()
    seen = []
    draw_latents = model.draw_latents

    def spy(*arguments, **options):
        z = draw_latents(*arguments, **options)
        seen.append(model.layers_of(z))
        return z

    model.draw_latents = spy
    batch = LinearGaussian().sample(1)
    tf.config.run_functions_eagerly(True)
    try:
        _conditional(model, batch, "x", ["x", "w"], num_samples=6)
        _conditional(model, batch, "x", ["x", "w"], num_samples=6, estimator="monte_carlo")
    finally:
        tf.config.run_functions_eagerly(False)
    (lower, upper), (lower_once, _) = ([np.reshape(layer, (-1, 2)) for layer in layers] for layers in seen)
    assert len(np.unique(upper, axis=0)) == 6
    assert len(np.unique(lower, axis=0)) == 36
    assert lower_once.shape == (6, 2)


def test_the_joint_importance_estimate_of_the_hierarchy_is_its_log_likelihood():
    exact, model, _, log_prob = _linear_hierarchy()
    batch = exact.sample(20)
    estimate = joint_log_likelihood(model, batch, num_samples=20_000, **QUIET)
    np.testing.assert_allclose(estimate.values, log_prob(batch), atol=0.15)
    assert estimate.mean == pytest.approx(log_prob(batch).mean(), abs=0.03)


def test_the_conditional_importance_estimate_of_the_hierarchy_is_its_conditional_log_likelihood():
    exact, model, _, log_prob = _linear_hierarchy()
    batch = exact.sample(20)
    options = {"estimator": "importance", "normalizer": "prior", "normalizer_samples": 20_000}
    estimate = _conditional(model, batch, "x", "w", num_samples=5000, **options)
    truth = log_prob(batch) - log_prob(batch, "w")
    np.testing.assert_allclose(estimate.values, truth, atol=0.4)
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.05)


# CMMA with several targets: no q(z | some of them), so importance weights propose from p(z | w).


@pytest.mark.parametrize("normalizer", ["prior", "encoder"])
@pytest.mark.parametrize(("target", "given"), [("x", "w"), ("c", "w"), ("xc", "w"), ("x", "wc")])
def test_importance_estimates_of_a_cmma_with_two_targets_are_its_log_likelihoods(target, given, normalizer):
    case = ExactCMMA(THREE, target=["x", "c"], count=40)
    options = {"estimator": "importance", "num_samples": 3000, "normalizer": normalizer, "normalizer_samples": 3000}
    estimate = _conditional(case.model, case.batch, [*target], [*given], **options)
    truth = conditional_log_prob(case.exact, case.batch, [*target], [*given])
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.03)
    np.testing.assert_allclose(estimate.values, truth, atol=0.4)
    assert estimate.settings.get("proposal") == ("p(z | w)" if len(target + given) == 2 else None)


def test_a_cmma_says_how_a_target_given_another_can_be_scored():
    case = ExactCMMA(THREE, target=["x", "c"])
    with pytest.raises(ValueError, match="take estimator='importance', normalizer='prior'"):
        _conditional(case.model, case.batch, "x", ["w", "c"])


def test_options_of_chains_are_ignored_by_models_without_chains():
    options = tj.IteratedSampling(1, num_chains=3)
    model, plain = (tj.JMVAEKL(small_modalities(), 2, **more) for more in ({"iterated_sampling": options}, {}))
    model.set_weights(plain.get_weights())
    asked = {"target": "x", "given": "w", "num_samples": 10, "verbose": 0}
    found, expected = (conditional_log_likelihood(one, small_batch(), **asked) for one in (model, plain))
    np.testing.assert_array_equal(found.values, expected.values)


def test_the_nested_bound_is_traced_once():
    layers = {"layer_encoder": tj.networks.mlp([4]), "layer_prior": tj.networks.mlp([4])}
    model = tj.HierarchicalJMVAE(small_modalities(), 2, **layers)
    sizes = []
    for _ in range(3):
        conditional_log_likelihood(model, small_batch(), target="x", given="w", num_samples=3, verbose=0)
        sizes.append(len(model._compiled_calls._values))
    assert sizes[0] == sizes[1] == sizes[2]
