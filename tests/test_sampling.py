"""Samples by row: right in distribution, independent of the batch, and TensorFlow's own where it has such a sampler."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats
from small_models import small_modalities

import tf_jmvae as tj
from tf_jmvae.random import sampling, seeds

tfd = tfp.distributions
ROWS = 3
MANY = 4000


def _seeds(rows, offset=0):
    return tf.constant([[row + offset, 11] for row in range(rows)], tf.int32)


def _normal():
    loc = tf.constant([[0.0, 3.0], [1.0, -2.0], [5.0, 0.5]])
    return tfd.Independent(tfd.Normal(loc, 0.5), 1), lambda x, row, i: stats.kstest(x, "norm", (loc[row, i], 0.5))


def _laplace():
    loc = tf.constant([[0.0, 3.0], [1.0, -2.0], [5.0, 0.5]])
    return tfd.Independent(tfd.Laplace(loc, 0.75), 1), lambda x, row, i: stats.kstest(x, "laplace", (loc[row, i], 0.75))


def _fit(x, law):
    """A chi-square test of counts."""
    edges = np.unique(law.ppf([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]).clip(-1, 1e6))
    expected = np.diff(law.cdf(edges)) * len(x)
    observed = np.histogram(x, edges + 0.5)[0]
    keep = expected > 5
    return stats.chisquare(observed[keep] * expected[keep].sum() / observed[keep].sum(), expected[keep])


def _poisson():
    rate = np.array([[0.1, 3.0], [1.0, 20.0], [9000.0, 20000.0]], np.float32)

    return tfd.Independent(tfd.Poisson(log_rate=np.log(rate)), 1), lambda x, row, i: _fit(
        x, stats.poisson(rate[row, i])
    )


def _negative_binomial():
    log_mean = np.array([[-2.0, 1.0], [3.0, 3.0], [7.0, 9.5]], np.float32)
    log_r = np.array([[0.0, -2.0], [5.0, 0.0], [9.0, 1.0]], np.float32)
    mean, r = np.exp(log_mean), np.exp(log_r) + 1e-3
    laws = [[stats.nbinom(b, b / (a + b)) for a, b in zip(*row, strict=True)] for row in zip(mean, r, strict=True)]
    return tj.heads.NegativeBinomial(event_shape=(2,)).distribution(log_mean, log_r), lambda x, row, i: _fit(
        x, laws[row][i]
    )


def _beta():
    c1, c0 = np.array([[[0.3, 0.3], [1.0, 5.0], [90.0, 4000.0]], [[0.2, 2.0], [1.0, 2.0], [900.0, 4000.0]]], np.float32)
    p = tj.heads.Beta(event_shape=(2,)).distribution(*(np.log(c - 0.01) for c in (c1, c0)))
    return p, lambda x, row, i: stats.kstest(x, "beta", (c1[row, i], c0[row, i]))


def _bernoulli():
    probs = np.array([[0.1, 0.9], [0.5, 0.3], [0.0, 1.0]], np.float32)
    return tfd.Independent(tfd.Bernoulli(probs=probs, dtype=tf.float32), 1), lambda x, row, i: stats.binomtest(
        int(x.sum()), len(x), float(probs[row, i])
    )


def _gamma():
    """No head's: sampled one row after another."""
    rate = np.array([[1.0, 2.0], [0.5, 3.0], [1.0, 1.0]], np.float32)
    return tfd.Independent(tfd.Gamma(2.0, rate), 1), lambda x, row, i: stats.kstest(
        x, "gamma", (2, 0, 1 / rate[row, i])
    )


OF_UNIFORM = [_negative_binomial, _beta]
ALL = [_normal, _laplace, _poisson, _bernoulli, _gamma, *OF_UNIFORM]


@pytest.mark.parametrize("make", ALL)
def test_samples_have_the_distribution(make):
    distribution, test = make()
    samples = sampling.draw(distribution, _seeds(ROWS), MANY).numpy()
    assert samples.shape == (ROWS, MANY, 2)
    for row in range(ROWS):
        for i in range(2):
            assert test(samples[row, :, i], row, i).pvalue > 1e-4


@pytest.mark.parametrize("make", OF_UNIFORM)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_samples_by_one_seed_have_the_distribution_also_under_xla(make, jit_compile):
    distribution, test = make()
    draw = tf.function(lambda: sampling.draw(distribution, tf.constant([1, 2]), MANY), jit_compile=jit_compile)
    samples = draw().numpy()
    for row in range(ROWS):
        for i in range(2):
            assert test(samples[row, :, i], row, i).pvalue > 1e-4


def test_categorical_samples_have_the_probabilities():
    probs = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], np.float32)
    distribution = tfd.OneHotCategorical(probs=probs, dtype=tf.float32)
    samples = sampling.draw(distribution, _seeds(2), MANY).numpy()
    np.testing.assert_array_equal(samples.sum(-1), 1)
    np.testing.assert_allclose(samples.mean(axis=1), probs, atol=4 * 0.5 / np.sqrt(MANY))


@pytest.mark.parametrize("make", ALL)
def test_a_row_does_not_depend_on_its_batch(make):
    distribution, _ = make()
    together = sampling.draw(distribution, _seeds(ROWS), 5).numpy()
    for row in range(ROWS):
        alone = sampling.draw(distribution[row : row + 1], _seeds(1, offset=row), 5)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)


@pytest.mark.parametrize("make", [_normal, _bernoulli])
def test_one_row_equals_the_sample_under_its_seed_alone(make):
    distribution = make()[0][:1]
    seed = tf.constant([4, 5])
    np.testing.assert_allclose(sampling.draw(distribution, seed[None]), sampling.draw(distribution, seed), atol=1e-6)


def test_axes_are_batch_then_samples_then_the_rest():
    distribution = tfd.Independent(tfd.Normal(tf.zeros((2, 4, 5)), 1.0), 1)
    assert sampling.draw(distribution, _seeds(2), 3).shape == (2, 3, 4, 5)
    assert sampling.draw(distribution, _seeds(2)).shape == (2, 4, 5)
    assert sampling.draw(distribution, tf.constant([1, 2]), 3).shape == (2, 3, 4, 5)


def test_seeds_by_row_split_and_fold_as_single_ones():
    rows = tf.constant([[1, 2], [-3, 4]])
    for row, seed in enumerate(rows):
        for by_row, single in zip(seeds.split(rows, 3), seeds.split(seed, 3), strict=True):
            np.testing.assert_array_equal(by_row[row], single)
        np.testing.assert_array_equal(seeds.fold_in(rows, 9)[row], seeds.fold_in(seed, 9))


def test_enormous_rates_end_and_keep_their_mean_and_deviation():
    rates = np.array([[1e5], [1e7], [2.7e8]], np.float32)
    counts = sampling.draw(tfd.Independent(tfd.Poisson(rate=rates), 1), _seeds(3), MANY).numpy()[..., 0]
    np.testing.assert_allclose(counts.mean(axis=1), rates[:, 0], rtol=5 / np.sqrt(MANY) / np.sqrt(rates[:, 0].min()))
    np.testing.assert_allclose(counts.std(axis=1), np.sqrt(rates[:, 0]), rtol=0.06)


def test_parameters_without_a_batch_axis_belong_to_the_dimensions():
    distribution = tfd.Independent(tfd.Normal(tf.zeros((2, 3)), [0.1, 1.0, 10.0]), 1)
    samples = sampling.draw(distribution, _seeds(2), MANY).numpy()
    assert samples.shape == (2, MANY, 3)
    np.testing.assert_allclose(samples.std(axis=1), [[0.1, 1.0, 10.0]] * 2, rtol=0.06)
    assert sampling.draw(distribution, _seeds(2)).shape == (2, 3)


@pytest.mark.parametrize("num_chains", [None, 1, 2])
def test_samples_of_a_row_are_its_own_and_those_that_it_has_alone(num_chains):
    model = tj.JMVAE(small_modalities(), 2)
    for weight in model.weights:  # far from each other, so that rows and samples cannot be mistaken
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))
    x = np.stack([np.full((4, 4, 1), value, np.float32) for value in (0.0, 0.5, 1.0)])
    row_seeds = tf.constant([[1, 2], [3, 4], [5, 6]])
    options = {"num_samples": 4, "iterated_sampling": tj.IteratedSampling(2, num_chains=num_chains)}
    together = model.generate({"x": x}, seed=row_seeds, **options)["w"].numpy()
    assert together.shape == (3, 4, 3)
    for row in range(3):
        alone = model.generate({"x": x[row : row + 1]}, seed=row_seeds[row : row + 1], **options)["w"].numpy()
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)
    assert len(np.unique(together.reshape(12, 3).round(4), axis=0)) == 12
