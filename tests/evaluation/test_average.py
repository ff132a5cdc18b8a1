"""How the estimators go over data: chunks, datasets, seeds, effective sample sizes, and the errors they state."""

import numpy as np
import pytest
import tensorflow as tf
from exact_models import exact_jmvae, exact_jmvae_kl, make_wrong
from linear_gaussian import NOISE_VARIANCE
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae._utils import checks
from tf_jmvae.evaluation import Estimate, conditional_log_likelihood, joint_log_likelihood, marginal_log_likelihood

QUIET = {"verbose": 0}

ESTIMATES = {
    "bound": lambda model, data, **options: conditional_log_likelihood(
        model, data, target="x", given="w", **QUIET, **options
    ),
    "conditional importance": lambda model, data, **options: conditional_log_likelihood(
        model, data, target="x", given="w", estimator="importance", **QUIET, **options
    ),
    "prior normalizer": lambda model, data, **options: conditional_log_likelihood(
        model,
        data,
        target="x",
        given="w",
        estimator="importance",
        normalizer="prior",
        normalizer_samples=9,
        **QUIET,
        **options,
    ),
    "joint": lambda model, data, **options: joint_log_likelihood(model, data, **QUIET, **options),
    "marginal": lambda model, data, **options: marginal_log_likelihood(
        model, data, modality="w", proposal="own", **QUIET, **options
    ),
}


def _wrong_jmvae_kl():
    exact, model = exact_jmvae_kl()
    for encoder in (model.encoder, *model.subset_encoders.values()):
        make_wrong(encoder)
    return exact, model


# Chunks.


@pytest.mark.parametrize("max_rows", [1, 23])
@pytest.mark.parametrize("name", ["bound", "joint", "prior normalizer"])
def test_no_more_z_are_decoded_at_once_than_allowed_and_none_is_left_out(name, max_rows):
    exact, model = exact_jmvae_kl()
    likelihoods, decoded = model.likelihoods, []

    def spy(z, **options):
        with tf.control_dependencies([tf.py_function(lambda shape: decoded.append(shape.numpy()), [tf.shape(z)], [])]):
            return likelihoods(tf.identity(z), **options)

    model.likelihoods = spy
    ESTIMATES[name](model, exact.sample(11), num_samples=20, max_rows=max_rows)
    rows = [int(np.prod(shape[:-1])) for shape in decoded]
    assert max(rows) <= max_rows
    assert max(rows) > max_rows / 2
    assert sum(rows) == 11 * (20 + 9 if name == "prior normalizer" else 20)


@pytest.mark.parametrize("max_rows", [7, None])
def test_chunks_change_nothing_where_samples_do_not_matter(max_rows):
    exact, model = exact_jmvae_kl()
    batch = exact.sample(23)
    estimate = joint_log_likelihood(model, batch, num_samples=17, max_rows=max_rows, **QUIET)
    np.testing.assert_allclose(estimate.values, exact.log_prob(batch), atol=1e-4)
    assert estimate.effective_sample_size == pytest.approx(17, rel=1e-4)


@pytest.mark.parametrize("name", ["bound", "conditional importance", "marginal"])
def test_chunks_change_an_estimate_by_its_sampling_error_only(name):
    exact, model = _wrong_jmvae_kl()
    batch = exact.sample(60)
    whole, other = (ESTIMATES[name](model, batch, num_samples=100, seed=seed) for seed in (0, 1))
    chunks = ESTIMATES[name](model, batch, num_samples=100, max_rows=7)
    scale = np.std(whole.values - other.values)
    assert 0 < np.std(whole.values - chunks.values) < 2 * scale
    assert abs(whole.mean - chunks.mean) < 5 * scale / np.sqrt(60)


@pytest.mark.parametrize(("max_rows", "num_chains"), [(3, 1), (40, 2)])
def test_no_more_ways_down_a_hierarchy_are_walked_at_once_than_allowed_and_none_is_left_out(max_rows, num_chains):
    model = tj.HierarchicalJMVAE(small_modalities(), 3)
    likelihoods, decoded = model.likelihoods, []

    def spy(z, **options):
        if z.shape.rank == 2:  # in the chain
            return likelihoods(z, **options)
        with tf.control_dependencies([tf.py_function(lambda shape: decoded.append(shape.numpy()), [tf.shape(z)], [])]):
            return likelihoods(tf.identity(z), **options)

    model.likelihoods = spy
    options = {"num_samples": 10, "iterated_sampling": tj.IteratedSampling(2, num_chains=num_chains)}
    ESTIMATES["bound"](model, small_batch(size=2), max_rows=max_rows, **options)
    rows = [int(np.prod(shape[:-1])) for shape in decoded]
    assert max_rows / 2 < max(rows) <= max_rows
    assert sum(rows) == 2 * 10 * 10


def test_all_samples_of_a_chain_come_from_its_one_end_in_whatever_chunks():
    """Of one example and one chain from noise, the samples scatter by q(z | x~, w) only, not by its mean."""
    exact, model = exact_jmvae()
    draws, draw_latents = [], model.draw_latents

    def latents(q, noise):
        z = draw_latents(q, noise)
        if z.shape.rank == 2:
            return z
        record = tf.py_function(lambda mean: draws.append(mean.numpy()), [q.mean()], [])
        with tf.control_dependencies([record]):
            return tf.identity(z)

    model.draw_latents = latents
    options = {"num_samples": 12, "iterated_sampling": tj.IteratedSampling(3, "noise", 1)}
    ESTIMATES["bound"](model, exact.sample(1), max_rows=5, **options)
    assert len(draws) == 3  # of 5, 5 and 2 samples
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[0], draws[2])


@pytest.mark.parametrize("num_chains", [1, 4])
def test_chunks_hold_whole_chains_of_iterated_sampling(num_chains):
    exact, model = exact_jmvae()
    options = {"num_samples": 12, "iterated_sampling": tj.IteratedSampling(3, num_chains=num_chains)}
    whole, chunks = (
        ESTIMATES["bound"](model, exact.sample(200), max_rows=max_rows, **options) for max_rows in (None, 13)
    )
    error = np.std(whole.values - chunks.values) / np.sqrt(200)
    assert abs(whole.mean - chunks.mean) < 4 * error


# Data.


@pytest.mark.parametrize("name", ESTIMATES)
def test_a_dataset_of_any_batch_size_gives_what_arrays_give(name):
    exact, model = _wrong_jmvae_kl()
    batch = exact.sample(53)
    options = {"num_samples": 5, "max_rows": 60}
    expected = ESTIMATES[name](model, batch, **options).values
    assert expected.shape == (53,)
    dataset = tf.data.Dataset.from_tensor_slices(batch)
    pairs = tf.data.Dataset.from_tensor_slices((batch, np.zeros(53)))
    other = pairs.batch(100) if name == "joint" else dataset.batch(7)  # targets beside them are left aside
    np.testing.assert_allclose(ESTIMATES[name](model, other, **options).values, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["bound", "joint", "marginal"])
def test_a_dataset_of_single_examples_is_refused(name):
    exact, model = exact_jmvae_kl()
    dataset = tf.data.Dataset.from_tensor_slices(exact.sample(5))
    with pytest.raises(
        ValueError, match=r"must yield batches, with '[xw]' of shape \[batch, \d\].*Pass dataset\.batch"
    ):
        ESTIMATES[name](model, dataset)


@pytest.mark.parametrize("name", ESTIMATES)
def test_a_dataset_that_never_ends_is_refused(name):
    exact, model = exact_jmvae_kl()
    dataset = tf.data.Dataset.from_tensors(exact.sample(5)).repeat()
    with pytest.raises(ValueError, match=r"The dataset never ends: pass dataset\.take\(n\)"):
        ESTIMATES[name](model, dataset)


def test_values_keep_the_order_of_the_examples():
    exact, model = exact_jmvae_kl()
    batch = exact.sample(50)
    backwards = {name: value[::-1] for name, value in batch.items()}
    values = joint_log_likelihood(model, backwards, num_samples=1, max_rows=3, **QUIET).values
    np.testing.assert_allclose(values, exact.log_prob(batch)[::-1], atol=1e-4)


def test_modalities_that_play_no_part_may_be_absent():
    exact, model = exact_jmvae_kl()
    batch = exact.sample(5)
    alone = marginal_log_likelihood(model, {"w": batch["w"]}, modality="w", proposal="own", **QUIET)
    assert alone.num_examples == 5
    bound = conditional_log_likelihood(model, {"x": batch["x"]}, target="x", given="x", **QUIET)
    assert bound.num_examples == 5


# Seeds.


@pytest.mark.parametrize("name", ESTIMATES)
def test_equal_seeds_give_equal_values_and_others_differ(name):
    exact, model = _wrong_jmvae_kl()
    batch = exact.sample(9)
    first, again, other = (ESTIMATES[name](model, batch, num_samples=3, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.values, again.values)
    assert (first.values != other.values).all()
    assert (first.seed, other.seed) == (5, 6)


def test_every_example_and_every_chunk_has_noise_of_its_own():
    exact, model = _wrong_jmvae_kl()
    batch = {name: np.repeat(value, 12, axis=0) for name, value in exact.sample(1).items()}
    for max_rows in (3, 1000):
        assert (
            len(np.unique(joint_log_likelihood(model, batch, num_samples=6, max_rows=max_rows, **QUIET).values)) == 12
        )


# Effective sample sizes.


def test_the_effective_sample_size_is_that_of_the_weights():
    model, batch = tj.JMVAEKL(small_modalities(), 3), small_batch(size=4)
    drawn = []
    own_prior = model.prior

    def prior(*arguments, **options):
        distribution = own_prior(*arguments, **options)
        return _Recorder(distribution, drawn)

    model.prior = prior
    estimate = joint_log_likelihood(model, batch, num_samples=50, **QUIET)
    z = np.concatenate(drawn, axis=1).transpose(1, 0, 2)  # [S, B, D]
    assert z.shape == (50, 4, 3)
    q, p = model.posterior(batch), model.likelihoods(z)
    log_weights = sum(p[name].log_prob(batch[name]) for name in batch) + own_prior().log_prob(z) - q.log_prob(z)
    weights = np.exp(log_weights.numpy().astype(np.float64))
    np.testing.assert_allclose(estimate.values, np.log(weights.mean(axis=0)), rtol=1e-4)
    expected = np.mean(weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0))
    assert estimate.effective_sample_size == pytest.approx(expected, rel=1e-3)


class _Recorder:
    def __init__(self, distribution, drawn):
        self._distribution, self._drawn = distribution, drawn

    def __getattr__(self, name):
        return getattr(self._distribution, name)

    def log_prob(self, z):
        with tf.control_dependencies([tf.py_function(lambda value: self._drawn.append(value.numpy()), [z], [])]):
            return self._distribution.log_prob(tf.identity(z))


def test_weights_too_large_or_small_for_a_float_do_not_overflow():
    exact, model = exact_jmvae_kl()
    batch = {name: value + 40 for name, value in exact.sample(5).items()}
    estimate = joint_log_likelihood(model, batch, num_samples=5, max_rows=8, **QUIET)
    assert (exact.log_prob(batch) < -200).all()
    np.testing.assert_allclose(estimate.values, exact.log_prob(batch), rtol=1e-4)
    assert estimate.effective_sample_size == pytest.approx(5, rel=0.05)


# Standard errors.


def _z_scores(estimate, expected, groups=200):
    samplings = [
        Estimate(estimate.quantity, estimate.estimator, values, estimate.num_samples, estimate.seed)
        for values in np.split(estimate.values, groups)
    ]
    return np.array([(sampling.mean - expected) / sampling.standard_error for sampling in samplings])


def _assert_nominal(scores):
    # Of 200 z-scores, four standard deviations of a binomial about 95 %.
    assert 0.885 < np.mean(np.abs(scores) < 1.96) < 0.995
    assert abs(np.mean(scores)) < 4 / np.sqrt(200)
    assert 0.8 < np.std(scores) < 1.25


def test_standard_errors_of_the_joint_cover_the_expectation_at_their_nominal_rate():
    exact, model = exact_jmvae_kl()
    estimate = joint_log_likelihood(model, exact.sample(10_000, seed=2), num_samples=1, **QUIET)
    a = np.concatenate(list(exact.weights.values()))
    covariance = a @ a.T + NOISE_VARIANCE * np.eye(5)
    negative_entropy = -0.5 * (5 * np.log(2 * np.pi * np.e) + np.linalg.slogdet(covariance)[1])
    _assert_nominal(_z_scores(estimate, negative_entropy))


def test_standard_errors_of_the_bound_cover_its_expectation_at_their_nominal_rate():
    """They hold the noise of z too: for exact q(z | w), x - b - A z has variance s^2 + 2 A V A^T given w."""
    exact, model = exact_jmvae_kl()
    estimate = ESTIMATES["bound"](model, exact.sample(10_000, seed=3), num_samples=2)
    a, (_, covariance) = exact.weights["x"], exact.posterior(exact.sample(1), ["w"])
    squares = 3 * NOISE_VARIANCE + 2 * np.trace(a @ covariance @ a.T)
    expected = -1.5 * np.log(2 * np.pi * NOISE_VARIANCE) - squares / (2 * NOISE_VARIANCE)
    _assert_nominal(_z_scores(estimate, expected))


@pytest.mark.parametrize("as_dataset", [False, True])
def test_each_value_is_checked_once(as_dataset, monkeypatch):
    exact, model = exact_jmvae_kl()
    data, rows, check = exact.sample(11), [], checks.check_values

    def spy(name, head, values, **options):
        rows.append((name, len(values)))
        check(name, head, values, **options)

    monkeypatch.setattr(checks, "check_values", spy)
    data = tf.data.Dataset.from_tensor_slices(data).batch(3) if as_dataset else data
    joint_log_likelihood(model, data, num_samples=5, max_rows=20, **QUIET)
    assert {name: sum(number for one, number in rows if one == name) for name in "xw"} == {"x": 11, "w": 11}
