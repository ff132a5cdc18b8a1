"""Every estimator against a linear-Gaussian model, whose log-likelihoods have closed forms."""

import numpy as np
import pytest
from exact_models import THREE, conditional_log_prob, exact_jmvae_kl, expected_log_prob, make_wrong

from tf_jmvae.evaluation import conditional_log_likelihood, joint_log_likelihood, marginal_log_likelihood

QUIET = {"verbose": 0}


def _conditional(model, batch, target, given, **options):
    return conditional_log_likelihood(model, batch, target=target, given=given, **QUIET, **options)


def _wrong_jmvae_kl():
    exact, model = exact_jmvae_kl()
    for encoder in (model.encoder, *model.subset_encoders.values()):
        make_wrong(encoder)
    return exact, model


# The conditional bound, Eq. (11).


@pytest.mark.parametrize(("target", "given"), [("x", "w"), ("w", "x"), ("x", "xw"), ("w", "wx"), ("x", "x")])
@pytest.mark.parametrize("make", [exact_jmvae_kl, _wrong_jmvae_kl], ids=["exact", "wrong"])
def test_the_conditional_bound_is_the_expected_log_density_in_closed_form(make, target, given):
    exact, model = make()
    batch = exact.sample(40)
    q = model.posterior({name: batch[name] for name in given})
    expected = expected_log_prob(exact, batch, target, q.mean().numpy(), np.diag(q.variance().numpy()[0]))
    few = _conditional(model, batch, target, [*given], num_samples=10).values
    estimate = _conditional(model, batch, target, [*given], num_samples=4000)
    assert estimate.estimator == "conditional bound"
    assert estimate.effective_sample_size is None
    # The error of few samples, known from many, is what is left of it: sqrt(10 / 4000).
    error = np.std(few - expected) * np.sqrt(10 / 4000)
    np.testing.assert_array_less(np.abs(estimate.values - expected), 7 * error)
    assert abs(estimate.mean - expected.mean()) < 4 * error / np.sqrt(40)


@pytest.mark.parametrize(("target", "given"), [("x", "w"), ("w", "x")])
def test_the_conditional_bound_lies_below_the_conditional_log_likelihood(target, given):
    exact, model = exact_jmvae_kl()
    batch = exact.sample(200)
    bound = _conditional(model, batch, target, given, num_samples=500)
    truth = conditional_log_prob(exact, batch, [target], [given])
    assert bound.mean < truth.mean() - 0.3
    assert (bound.values < truth + 0.3).all()


def test_reconstruction_scores_higher_than_prediction():
    exact, model = exact_jmvae_kl()
    batch = exact.sample(200)
    assert _conditional(model, batch, "x", ["x", "w"]).mean > _conditional(model, batch, "x", "w").mean + 1


def test_the_bound_of_two_targets_is_the_sum_of_their_bounds():
    exact, model = exact_jmvae_kl(THREE)
    batch = exact.sample(20)
    mean, covariance = exact.posterior(batch, ["w"])
    expected = sum(expected_log_prob(exact, batch, target, mean, covariance) for target in "xc")
    both = _conditional(model, batch, ["x", "c"], ["w"], num_samples=4000)
    assert both.quantity == "log p(x, c | w)"
    np.testing.assert_allclose(both.values, expected, rtol=0.05)
    assert both.mean == pytest.approx(expected.mean(), abs=0.1)


# Conditional Monte Carlo.


@pytest.mark.parametrize(("targets", "given"), [("x", "w"), ("w", "x"), ("x", "wc"), ("xc", "w")])
def test_monte_carlo_with_the_exact_posterior_is_the_conditional_log_likelihood(targets, given):
    exact, model = exact_jmvae_kl(THREE)
    batch = exact.sample(40)
    estimate = _conditional(model, batch, [*targets], [*given], estimator="monte_carlo", num_samples=10_000)
    truth = conditional_log_prob(exact, batch, [*targets], [*given])
    np.testing.assert_allclose(estimate.values, truth, atol=0.4)
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.05)
    assert 1 < estimate.effective_sample_size < 10_000


# Importance sampling.


@pytest.mark.parametrize("num_samples", [1, 2, 25])
def test_with_the_exact_posterior_every_number_of_samples_gives_the_log_likelihood(num_samples):
    exact, model = exact_jmvae_kl()
    batch = exact.sample(50)
    joint = joint_log_likelihood(model, batch, num_samples=num_samples, **QUIET)
    np.testing.assert_allclose(joint.values, exact.log_prob(batch), atol=1e-4)
    assert joint.effective_sample_size == pytest.approx(num_samples, rel=1e-4)
    for name in "xw":
        own = marginal_log_likelihood(model, batch, modality=name, proposal="own", num_samples=num_samples, **QUIET)
        np.testing.assert_allclose(own.values, exact.log_prob(batch, [name]), atol=1e-4)
        assert own.effective_sample_size == pytest.approx(num_samples, rel=1e-4)
        assert own.settings["proposal"] == f"q(z | {name})"
    target = _conditional(model, batch, "x", "w", estimator="importance", num_samples=num_samples)
    np.testing.assert_allclose(target.values, conditional_log_prob(exact, batch, ["x"], ["w"]), atol=2e-4)


def test_importance_weights_correct_wrong_encoders():
    exact, model = _wrong_jmvae_kl()
    batch = exact.sample(100)
    joint = joint_log_likelihood(model, batch, num_samples=5000, **QUIET)
    np.testing.assert_allclose(joint.values, exact.log_prob(batch), atol=0.2)
    assert joint.mean == pytest.approx(exact.log_prob(batch).mean(), abs=0.02)
    assert 500 < joint.effective_sample_size < 4900


@pytest.mark.parametrize("proposal", ["joint", "own"])
@pytest.mark.parametrize("name", ["x", "w"])
def test_marginal_importance_is_the_marginal_log_likelihood_with_either_proposal(name, proposal):
    exact, model = _wrong_jmvae_kl()
    batch = exact.sample(100)
    truth = exact.log_prob(batch, [name])
    estimate = marginal_log_likelihood(model, batch, modality=name, proposal=proposal, num_samples=4000, **QUIET)
    assert estimate.quantity == f"log p({name})"
    # q(z | x, w) is narrower than p(z | x), so some of its weights are large.
    np.testing.assert_allclose(estimate.values, truth, atol=0.2 if proposal == "own" else 1.5)
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.02 if proposal == "own" else 0.1)


@pytest.mark.parametrize("normalizer", ["encoder", "prior"])
@pytest.mark.parametrize(("targets", "given"), [("x", "w"), ("w", "x"), ("x", "wc"), ("xc", "w")])
def test_conditional_importance_is_the_conditional_log_likelihood_with_either_normalizer(targets, given, normalizer):
    exact, model = exact_jmvae_kl(THREE)
    for encoder in (model.encoder, *model.subset_encoders.values()):
        make_wrong(encoder, shift=0.1)
    batch = exact.sample(50)
    truth = conditional_log_prob(exact, batch, [*targets], [*given])
    options = {"estimator": "importance", "normalizer": normalizer, "normalizer_samples": 8000}
    estimate = _conditional(model, batch, [*targets], [*given], num_samples=2000, **options)
    np.testing.assert_allclose(estimate.values, truth, atol=0.5)
    assert estimate.mean == pytest.approx(truth.mean(), abs=0.05)
    assert estimate.settings == {"normalizer": normalizer, "normalizer_samples": 8000}


@pytest.mark.parametrize(("normalizer", "samples"), [("encoder", 3), ("prior", 5000)])
def test_the_normalizer_takes_as_many_samples_as_documented(normalizer, samples):
    exact, model = exact_jmvae_kl()
    options = {"estimator": "importance", "normalizer": normalizer, "num_samples": 3}
    assert _conditional(model, exact.sample(2), "x", "w", **options).settings["normalizer_samples"] == samples


def test_the_importance_estimate_of_the_joint_is_at_least_the_bound():
    exact, model = _wrong_jmvae_kl()
    batch = exact.sample(2000)
    terms = model.objective(batch, np.array([1, 2], np.int32))
    elbo = sum(terms[name].coefficient * terms[name].value for name in ("kl_prior", "log_p_x", "log_p_w")).numpy()
    single, many = (joint_log_likelihood(model, batch, num_samples=n, **QUIET) for n in (1, 20))
    error = np.std(single.values - elbo) / np.sqrt(2000)
    assert abs(single.mean - elbo.mean()) < 4 * error  # one sample makes the bound
    assert many.mean > elbo.mean() + 0.1


@pytest.mark.parametrize("kind", ["joint", "marginal", "monte_carlo"])
def test_estimates_grow_with_the_number_of_samples_and_stay_below_the_truth(kind):
    exact, model = _wrong_jmvae_kl()
    if kind == "monte_carlo":
        exact, model = exact_jmvae_kl()
    batch = exact.sample(2000)

    def estimate(num_samples):
        if kind == "joint":
            return joint_log_likelihood(model, batch, num_samples=num_samples, **QUIET)
        if kind == "marginal":
            return marginal_log_likelihood(model, batch, modality="x", num_samples=num_samples, **QUIET)
        return _conditional(model, batch, "x", "w", estimator=kind, num_samples=num_samples)

    truth = {
        "joint": exact.log_prob(batch),
        "marginal": exact.log_prob(batch, ["x"]),
        "monte_carlo": conditional_log_prob(exact, batch, ["x"], ["w"]),
    }[kind]
    one, ten, hundred = (estimate(num_samples) for num_samples in (1, 10, 100))
    assert one.mean + 0.02 < ten.mean < hundred.mean
    for result in (one, ten, hundred):
        error = np.std(result.values - truth) / np.sqrt(2000)
        assert result.mean < truth.mean() + 3 * error
    assert hundred.mean == pytest.approx(truth.mean(), abs=0.1)
