"""KL and products of Gaussians against Monte Carlo and closed forms."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from linear_gaussian import LinearGaussian

from tf_jmvae.distributions import conditional_product, diagonal_gaussian, kl_divergence, standard_gaussian


def _random_gaussian(seed, shape=(5, 4)):
    random = np.random.default_rng(seed)
    mean, variance = random.normal(size=shape), random.uniform(0.2, 2.0, shape)
    return diagonal_gaussian(tf.constant(mean, tf.float32), tf.constant(variance, tf.float32))


def test_kl_equals_its_monte_carlo_estimate():
    q, p = _random_gaussian(0), _random_gaussian(1)
    z = q.sample(200_000, seed=(1, 2))
    log_ratio = (q.log_prob(z) - p.log_prob(z)).numpy()
    error = log_ratio.std(axis=0) / np.sqrt(len(log_ratio))
    np.testing.assert_array_less(np.abs(kl_divergence(q, p).numpy() - log_ratio.mean(axis=0)), 4 * error)


def test_kl_to_the_prior_equals_the_textbook_formula():
    q = _random_gaussian(0)
    mean, variance = q.mean().numpy(), q.variance().numpy()
    expected = 0.5 * (variance + mean**2 - 1 - np.log(variance)).sum(axis=-1)
    np.testing.assert_allclose(kl_divergence(q, standard_gaussian(4)), expected, rtol=1e-5)


def test_kl_of_a_distribution_to_itself_is_zero():
    q = _random_gaussian(0)
    np.testing.assert_allclose(kl_divergence(q, q), np.zeros(5), atol=1e-6)


def test_kl_refuses_what_it_cannot_compute_exactly():
    with pytest.raises(TypeError, match="expects diagonal Gaussians; p is"):
        kl_divergence(_random_gaussian(0), tfp.distributions.Normal(tf.zeros(4), 1.0))


def test_gaussian_is_built_from_its_variance():
    q = diagonal_gaussian(tf.zeros((1, 3)), tf.constant([[4.0, 9.0, 0.25]]))
    np.testing.assert_allclose(q.stddev(), [[2.0, 3.0, 0.5]])


@pytest.fixture
def exact():
    exact = LinearGaussian((("x", 3), ("w", 2), ("v", 4)))
    exact.make_every_posterior_diagonal()
    return exact


def _diagonal_posterior(exact, batch, names):
    mean, covariance = exact.posterior(batch, names)
    variance = np.broadcast_to(np.diag(covariance), mean.shape)
    return diagonal_gaussian(tf.constant(mean, tf.float32), tf.constant(variance, tf.float32))


@pytest.mark.parametrize("names", [("x",), ("x", "w"), ("x", "v"), ("x", "w", "v")])
def test_conditional_product_is_the_exact_posterior_of_a_linear_gaussian_model(exact, names):
    batch = exact.sample(6)
    combined = conditional_product([_diagonal_posterior(exact, batch, [name]) for name in names])
    mean, covariance = exact.posterior(batch, names)
    np.testing.assert_allclose(combined.mean(), mean, atol=1e-5)
    np.testing.assert_allclose(combined.variance(), np.broadcast_to(np.diag(covariance), mean.shape), rtol=1e-5)


def test_leaving_the_prior_in_every_expert_would_be_overconfident(exact):
    batch = exact.sample(6)
    experts = [_diagonal_posterior(exact, batch, [name]) for name in exact.sizes]
    naive_variance = 1.0 / sum(1.0 / expert.variance().numpy() for expert in experts)
    np.testing.assert_array_less(naive_variance, conditional_product(experts).variance().numpy())


def test_conditional_product_is_never_less_certain_than_the_prior():
    vague = diagonal_gaussian(tf.ones((1, 2)), tf.fill((1, 2), 5.0))
    combined = conditional_product([vague, vague])
    np.testing.assert_allclose(combined.variance(), [[1.0, 1.0]])
