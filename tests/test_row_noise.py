"""Noise by row is TensorFlow's own stateless noise, row by row."""

import numpy as np
import pytest
import tensorflow as tf

from tf_jmvae.random import seeds

SEEDS = np.array([[0, 0], [1, 2], [-1, 5], [2**31 - 1, -(2**31)], [7, 123456789]], np.int32)


def _row_by_row(function, count, **options):
    return np.stack([function([count], seed=seed, alg="philox", **options).numpy() for seed in SEEDS])


@pytest.mark.parametrize("count", [1, 3, 4, 50])
def test_bits_are_those_of_tensorflow(count):
    expected = _row_by_row(tf.random.stateless_uniform, count, minval=None, maxval=None, dtype=tf.uint32)
    np.testing.assert_array_equal(seeds.bits(SEEDS, count), expected)


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_uniform_numbers_are_those_of_tensorflow(count):
    np.testing.assert_array_equal(seeds.uniform(SEEDS, count), _row_by_row(tf.random.stateless_uniform, count))


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_normal_numbers_are_those_of_tensorflow(count):
    expected = _row_by_row(tf.random.stateless_normal, count)
    np.testing.assert_allclose(seeds.normal(SEEDS, count), expected, atol=2e-6)


def test_a_row_does_not_depend_on_its_batch():
    together = seeds.normal(np.tile(SEEDS, (20, 1)), 33).numpy()
    for row, seed in enumerate(SEEDS):
        # Vector instructions and what they leave over round differently.
        np.testing.assert_allclose(together[row], seeds.normal(seed[None], 33)[0], atol=1e-6)


def test_the_number_of_numbers_may_be_a_tensor():
    traced = tf.function(
        seeds.normal, input_signature=[tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([], tf.int32)]
    )
    np.testing.assert_allclose(traced(SEEDS, 7), seeds.normal(SEEDS, 7), atol=1e-6)


def test_no_rows_give_no_numbers():
    assert seeds.uniform(np.zeros((0, 2), np.int32), 3).shape == (0, 3)
