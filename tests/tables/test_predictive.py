"""What stands in gaps: the conditional expectation where it is known, and weights that leave enough samples."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tf_jmvae as tj
from tests.small_models import set_seeds
from tf_jmvae import tables
from tf_jmvae.evaluation import expected


def test_a_gap_gets_the_conditional_mean_of_the_model_whatever_its_encoder_says():
    """Of x = W z + noise, p(x_2 | x_1) is known; the encoder says the same of every row."""
    table = pd.DataFrame({"a": [-2.0, -1.0, 0.0, 1.0, 2.0], "b": [1.0, -1.0, 0.0, 2.0, -2.0]})
    settings = {"kind": "numbers", "columns": ["a", "b"], "encoder": (4,), "decoder": (), "variance": 0.5}
    modalities, source = tj.data.from_table(table, {"x": settings}, validation=0.2)
    set_seeds(0)
    model = tj.VAE(modalities, latent_dim=1)
    model.adapt(source.train)
    kernel, bias = (weight for weight in model.decoders["x"].trainable_weights)
    kernel.assign([[1.0, -0.8]])
    bias.assign([0.1, 0.2])
    for weight in model.encoder.trainable_weights:
        weight.assign(keras.ops.zeros_like(weight))
    given = table.assign(a=table["a"] / 2, b=np.nan)
    filled = tables.fill(model, given, num_samples=20_000, verbose=0)
    mean, stddev = (np.asarray(part) for part in (model.standardizations["x"].mean, model.standardizations["x"].stddev))
    z = (((given["a"] - mean[0]) / stddev[0] - 0.1) * 1.0) / (1.0 + 0.5)  # E[z | a]
    np.testing.assert_allclose(filled["b"], mean[1] + stddev[1] * (0.2 - 0.8 * z), atol=0.05)
    variance = 0.8**2 * 0.5 / 1.5 + 0.5  # Var[z | a] = 1 / (1 + 1 / 0.5)
    np.testing.assert_allclose(filled["b spread"], stddev[1] * np.sqrt(variance), rtol=0.05)


def test_weights_are_importance_weights_where_enough_samples_bear_them():
    log_weights = np.random.default_rng(0).normal(scale=0.5, size=(3, 400)).astype(np.float32)
    weights = np.exp(log_weights) / np.exp(log_weights).sum(axis=1, keepdims=True)
    assert (1 / (weights**2).sum(axis=1)).min() > 80
    np.testing.assert_allclose(expected.importance(tf.constant(log_weights)), weights, rtol=1e-4)


@pytest.mark.parametrize("scale", [3.0, 100.0, 1e4])
def test_elsewhere_a_fifth_of_the_samples_counts(scale):
    log_weights = np.random.default_rng(0).normal(scale=scale, size=(4, 200)).astype(np.float32)
    weights = expected.importance(tf.constant(log_weights)).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(1 / (weights**2).sum(axis=1), 40, rtol=0.05)
    for row, own in zip(log_weights, weights, strict=True):
        assert (np.diff(own[np.argsort(row)]) >= 0).all()


def test_one_sample_has_all_the_weight():
    assert expected.importance(tf.constant([[-7.0], [1e6]])).numpy().tolist() == [[1.0], [1.0]]
    assert keras.ops.all(keras.ops.isfinite(expected.importance(tf.constant([[0.0, -1e30]]))))


def test_a_row_that_cannot_be_gets_equal_weights():
    weights = expected.importance(tf.constant([[-np.inf] * 4, [np.nan] * 4, [-np.inf, 0.0, -np.inf, 0.0]]))
    np.testing.assert_allclose(weights[:2], 0.25)
    assert np.isfinite(weights).all()
    assert weights[2, 1] > weights[2, 0]
