"""CVAE and CMMA against exact linear-Gaussian models, and their equations written out in numpy."""

import numpy as np
import pytest
import tensorflow as tf
from exact_models import ExactCMMA, ExactCVAE
from linear_gaussian import mean_bound
from scipy import special, stats
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distributions import diagonal_gaussian

SEED = tf.constant([3, 4])
EXACT = {
    "cvae": ExactCVAE,
    "cmma": ExactCMMA,
    "cmma, w first": lambda: ExactCMMA((("w", 2), ("x", 3))),
    "cmma of two targets": lambda: ExactCMMA((("x", 3), ("w", 2), ("v", 4)), target=["x", "v"]),
    "cmma given two": lambda: ExactCMMA((("v", 4), ("x", 3), ("w", 2)), target="x"),
}


@pytest.fixture(params=EXACT)
def case(request):
    return EXACT[request.param]()


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def test_bound_with_the_exact_posterior_is_the_conditional_log_likelihood(case):
    bound, error = mean_bound(case.model, case.batch)
    np.testing.assert_array_less(np.abs(bound - case.log_likelihood()), 5 * error + 1e-4)


def test_bound_with_another_encoder_falls_short_by_the_kl_to_the_exact_posterior(case):
    weights = case.model.encoder.get_weights()
    weights[1] = weights[1] + 0.5
    weights[3] = weights[3] + 0.7
    case.model.encoder.set_weights(weights)
    mean, covariance = case.posterior()
    posterior = diagonal_gaussian(tf.constant(mean, tf.float32), tf.constant(np.diag(covariance), tf.float32))
    gap = tj.distributions.kl_divergence(case.model.posterior(case.batch), posterior).numpy()
    assert (gap > 0.05).all()
    bound, error = mean_bound(case.model, case.batch)
    np.testing.assert_array_less(np.abs(bound - (case.log_likelihood() - gap)), 5 * error + 1e-4)


def test_every_importance_weight_of_the_exact_posterior_is_the_conditional_likelihood(case):
    """p(x|z,w) p(z|w) / q(z|x,w) = p(x|w) at any z, so nothing is left to chance."""
    q = case.model.posterior(case.batch)
    z = q.sample(5, seed=(5, 6))
    p = case.model.likelihoods(tf.transpose(z, (1, 0, 2)), conditions=_tensors(case.batch))
    log_p = sum(p[name].log_prob(case.batch[name][:, None]) for name in case.model.targets)
    log_ratio = case.model.prior(_tensors(case.batch)).log_prob(z) - q.log_prob(z)
    expected = np.repeat(case.log_likelihood()[:, None], 5, axis=1)
    np.testing.assert_allclose(log_p + tf.transpose(log_ratio), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("exact", [ExactCVAE, ExactCMMA])
def test_what_is_generated_has_the_mean_and_covariance_of_the_exact_conditional(exact):
    case = exact()
    options = {"targets": ["x"], "num_samples": 40_000, "output": "sample"}
    x = case.model.generate({"w": case.batch["w"]}, seed=1, **options)["x"].numpy()
    mean, covariance = case.conditional()
    np.testing.assert_allclose(x.mean(axis=1), mean, atol=0.05)
    for samples in x:
        np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.05)


def test_iterated_sampling_of_an_exact_cvae_reaches_the_prior():
    """The chain is a Gibbs sampler of p(z, x | w), whose z is N(0, I); its first step is far from that."""
    case = ExactCVAE()
    observed = {"w": np.repeat(case.batch["w"][:1], 20_000, axis=0)}
    first = case.model.posterior(observed, iterated_sampling=tj.IteratedSampling(1, "zeros"))
    assert np.abs(first.mean()[0]).max() > 0.5
    z = (
        case.model.posterior(observed, iterated_sampling=tj.IteratedSampling(80, "zeros"), seed=2)
        .sample(seed=3)
        .numpy()
    )
    np.testing.assert_allclose(z.mean(axis=0), np.zeros(2), atol=0.05)
    np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.05)


def _parameters_by_hand(decoder, z, given):
    """The raw parameters of p(m | z, w) or p(m | z): dense layers in numpy."""
    *tower, kernel, bias, head_kernel, head_bias = decoder.get_weights()
    if tower:
        z = np.concatenate([z, np.maximum(given @ tower[0] + tower[1], 0)], axis=-1)
    return np.maximum(z @ kernel + bias, 0) @ head_kernel + head_bias


def _prior_by_hand(model, given):
    if isinstance(model, tj.CVAE):
        return 0.0, 1.0
    kernel, bias, mean_kernel, mean_bias, variance_kernel, variance_bias = model.prior_encoder.get_weights()
    features = np.maximum(given @ kernel + bias, 0)
    return features @ mean_kernel + mean_bias, np.logaddexp(0, features @ variance_kernel + variance_bias)


@pytest.mark.parametrize("cls", [tj.CVAE, tj.CMMA])
def test_terms_equal_the_equation_written_out_in_numpy(cls):
    """The terms are these and no others: one KL, to p(z) or to p(z|w)."""
    model, batch = cls(small_modalities("xwc"), 3, target=["x", "c"]), small_batch("xwc")
    terms = model.objective(_tensors(batch), SEED)
    q = model.posterior(batch)
    z, mean, variance = q.sample(seed=SEED).numpy(), q.mean().numpy(), q.variance().numpy()
    x, w, c = batch["x"], batch["w"], batch["c"]
    prior_mean, prior_variance = _prior_by_hand(model, w)
    ratio = variance / prior_variance
    kl = 0.5 * (ratio + (mean - prior_mean) ** 2 / prior_variance - 1 - np.log(ratio)).sum(axis=-1)
    pixel = special.expit(_parameters_by_hand(model.decoders["x"], z, w)).reshape(x.shape)
    rate = np.exp(_parameters_by_hand(model.decoders["c"], z, w))
    expected = {
        "kl_prior": (-1.0, kl),
        "log_p_x": (1.0, stats.bernoulli(pixel).logpmf(x).sum(axis=(1, 2, 3))),
        "log_p_c": (1.0, stats.poisson(rate).logpmf(c).sum(axis=-1)),
    }
    assert list(terms) == list(expected)
    for name, (coefficient, value) in expected.items():
        assert terms[name].coefficient == coefficient
        assert terms[name].to_prior == (name == "kl_prior")
        np.testing.assert_allclose(terms[name].value, value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.elbo(batch, SEED), sum(c * v for c, v in expected.values()), rtol=1e-4)
