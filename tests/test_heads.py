"""Heads against SciPy's densities, and what all of them promise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

import tf_jmvae as tj
from tf_jmvae import heads

FEATURES = tf.constant(np.random.default_rng(0).normal(size=(6, 7)), tf.float32)


def _built(head, event_shape):
    head = head.with_event_shape(event_shape)
    head.build((None, 7))
    return head


def _raw(head, index=0):
    """The head's linear outputs, computed by hand."""
    kernel, bias = head.get_weights()[2 * index : 2 * index + 2]
    return (FEATURES.numpy() @ kernel + bias).reshape(6, *head.event_shape)


def _sum(log_density):
    return log_density.reshape(6, -1).sum(axis=-1)


def test_bernoulli_density():
    head = _built(heads.Bernoulli(), (2, 3, 1))
    value = np.random.default_rng(1).integers(0, 2, (6, 2, 3, 1)).astype(np.float32)
    expected = _sum(stats.bernoulli(special.expit(_raw(head))).logpmf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_bernoulli_density_of_a_grey_value_is_the_expectation_over_the_binary_one():
    head = _built(heads.Bernoulli(), (4,))
    p = head(FEATURES)
    grey = np.full((6, 4), 0.3, np.float32)
    expected = 0.3 * p.log_prob(np.ones((6, 4), np.float32)) + 0.7 * p.log_prob(np.zeros((6, 4), np.float32))
    np.testing.assert_allclose(p.log_prob(grey), expected, rtol=1e-5)


def test_categorical_density_and_normalisation():
    head = _built(heads.Categorical(), (5,))
    log_p = np.stack([head(FEATURES).log_prob(np.eye(5, dtype=np.float32)[[k] * 6]) for k in range(5)], axis=-1)
    np.testing.assert_allclose(log_p, special.log_softmax(_raw(head), axis=-1), atol=1e-5)


def test_categorical_sequences_are_independent_along_the_first_axes():
    head = _built(heads.Categorical(), (3, 4))
    tokens = np.random.default_rng(1).integers(0, 4, (6, 3))
    by_token = np.take_along_axis(special.log_softmax(_raw(head), axis=-1), tokens[..., None], axis=-1)
    one_hot = np.eye(4, dtype=np.float32)[tokens]
    np.testing.assert_allclose(head(FEATURES).log_prob(one_hot), by_token.sum(axis=(1, 2)), atol=1e-5)


def test_gaussian_density_takes_softplus_as_the_variance():
    head = _built(heads.Gaussian(), (3,))
    value = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    deviation = np.sqrt(np.logaddexp(0, _raw(head, 1)))
    expected = _sum(stats.norm(_raw(head, 0), deviation).logpdf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_gaussian_of_fixed_variance_with_tanh_mean():
    head = _built(heads.Gaussian(variance=2.0, mean_activation="tanh"), (3,))
    value = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    expected = _sum(stats.norm(np.tanh(_raw(head)), np.sqrt(2.0)).logpdf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)
    assert len(head.get_weights()) == 2


def test_laplace_density():
    head = _built(heads.Laplace(scale=0.75), (3,))
    value = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    expected = _sum(stats.laplace(_raw(head), 0.75).logpdf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_poisson_density_of_counts():
    head = _built(heads.Poisson(), (4,))
    value = np.random.default_rng(1).poisson(2.0, (6, 4)).astype(np.float32)
    expected = _sum(stats.poisson(np.exp(_raw(head))).logpmf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


ALL = [
    heads.Bernoulli(),
    heads.Categorical(),
    heads.Gaussian(),
    heads.Gaussian(variance=0.5),
    heads.Laplace(),
    heads.Poisson(),
]


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_log_density_is_one_number_per_example_with_any_leading_axes(head):
    built = _built(head, (2, 3))
    features = tf.reshape(tf.repeat(FEATURES, 2, axis=0), (12, 7))
    p = built(features, batch_shape=tf.constant([6, 2]))
    assert p.batch_shape == (6, 2)
    assert p.event_shape == (2, 3)
    value = built.noise(12).sample(seed=(1, 2))
    separate = built(features).log_prob(value)
    np.testing.assert_allclose(p.log_prob(tf.reshape(value, (6, 2, 2, 3))), tf.reshape(separate, (6, 2)), rtol=1e-5)


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_samples_and_noise_lie_in_the_support_and_have_the_mean(head):
    built = _built(head, (2, 3))
    p = built(FEATURES)
    samples = p.sample(20_000, seed=(3, 4)).numpy()
    assert built.in_support(samples[0]).all()
    assert built.in_support(built.noise(5).sample(seed=(1, 2)).numpy()).all()
    error = samples.std(axis=0) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - p.mean()), 5 * error + 1e-6)


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_config_makes_an_equal_head(head):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert again.get_config() == head.get_config()


def test_heads_compute_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    head = _built(heads.Bernoulli(), (3,))
    assert head(tf.cast(FEATURES, tf.bfloat16)).mean().dtype == tf.float32


def test_gradient_stays_finite_where_the_variance_underflows():
    head = _built(heads.Gaussian(), (1,))
    raw = tf.Variable([[-200.0]])
    with tf.GradientTape() as tape:
        loss = head.distribution(tf.zeros((1, 1)), raw).log_prob(tf.zeros((1, 1)))
    assert np.isfinite(tape.gradient(loss, raw)).all()


def test_a_projection_may_be_any_layer():
    head = heads.Bernoulli(projection=keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same"))
    decoder = keras.Sequential([keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))])
    modality = tj.Modality((4, 4, 1), head, decoder=decoder)
    model = tj.VAE({"x": modality}, 2)
    transposed = model.decoders["x"].head.get_weights()
    assert [w.shape for w in transposed] == [(4, 4, 1, 3), (1,)]
    assert model.likelihoods(tf.zeros((3, 5, 2)))["x"].mean().shape == (3, 5, 4, 4, 1)


def test_unknown_likelihood_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown likelihood 'normal'.*'bernoulli', 'categorical', 'gaussian'"):
        tj.Modality((3,), "normal")


def test_variance_and_scale_must_be_positive():
    with pytest.raises(ValueError, match=r"variance must be positive; got 0"):
        heads.Gaussian(variance=0.0)
    with pytest.raises(ValueError, match=r"scale must be positive; got -1"):
        heads.Laplace(scale=-1.0)


def test_sampling_counts_ends_even_at_rates_beyond_all_measure():
    p = _built(heads.Poisson(), (1,)).distribution(tf.constant([[1e30], [0.0]]))
    assert np.isfinite(p.sample(seed=(1, 2)).numpy()).all()
