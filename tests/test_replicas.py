"""What one replica draws and averages is its part of what one device does; training itself is in tests/training."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae.distribute import replicas
from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.random import sampling, seeds

tfd = tfp.distributions
BATCH = 7
PARTS = [(0, 3), (3, 0), (3, 4)]  # start and size; one replica has no row


@contextlib.contextmanager
def _as_replica(start, size):
    replicas._active.shard = replicas.Shard(*map(tf.constant, (start, size, BATCH)))
    yield
    replicas._active.shard = None


def _in_parts(make):
    """What `make(start, end)` gives to each of three replicas, one after the other."""
    results = []
    for start, size in PARTS:
        with _as_replica(start, size):
            results.append(make(start, start + size))
    assert replicas.current_shard() is None
    return results


@pytest.mark.parametrize("make", [lambda m, v: diagonal_gaussian(m, v), lambda m, v: tfd.Normal(m, tf.sqrt(v))])
def test_replicas_draw_the_rows_of_one_device(make):
    random = np.random.default_rng(0)
    mean, variance = random.normal(size=(2, BATCH, 5)).astype(np.float32)
    variance, seed = variance**2, seeds.to_tensor(3)
    expected = make(mean, variance).sample(seed=seed)
    parts = _in_parts(lambda a, b: sampling.draw(make(mean[a:b], variance[a:b]), seed))
    np.testing.assert_allclose(tf.concat(parts, 0), expected, rtol=1e-6)
    assert np.array_equal(sampling.draw(make(mean, variance), seed), expected)


@pytest.mark.parametrize("num_samples", [None, 2])
def test_other_draws_do_not_depend_on_how_rows_are_spread(num_samples):
    p = np.full((BATCH, 64), 0.5, np.float32)
    seed = seeds.to_tensor(3)
    parts = _in_parts(lambda a, b: sampling.draw(tfd.Bernoulli(probs=p[a:b]), seed, num_samples))
    with _as_replica(0, BATCH):
        whole = sampling.draw(tfd.Bernoulli(probs=p), seed, num_samples).numpy()
    assert np.array_equal(tf.concat(parts, 0), whole)
    assert len(np.unique(whole.reshape(BATCH, -1), axis=0)) == BATCH  # no two rows have the same noise


def test_summands_of_replicas_add_up_to_the_mean():
    values = np.random.default_rng(0).normal(size=BATCH).astype(np.float32)
    parts = _in_parts(lambda a, b: replicas.mean(tf.constant(values[a:b])))
    np.testing.assert_allclose(sum(parts), values.mean(), rtol=1e-6)
    assert np.isfinite(parts).all()
    np.testing.assert_allclose(replicas.mean(tf.constant(values)), values.mean(), rtol=1e-6)
