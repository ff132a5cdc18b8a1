"""Towers of a class: in training they read every class once, and give what reading every row gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_jmvae import Modality, networks
from tf_jmvae.models.components import Towers


def _towers(encoder, likelihood="categorical", shape=(3,)):
    keras.utils.set_random_seed(1)
    return Towers({"x": Modality((4,), "gaussian"), "w": Modality(shape, likelihood, encoder=encoder)})


def _batch(labels):
    x = np.random.default_rng(0).normal(size=(len(labels), 4)).astype("float32")
    return {"x": x, "w": np.eye(4, 3, dtype="float32")[labels]}  # label 3: missing, all zeros


def _with_gradients(towers, batch, training):
    weight = tf.random.stateless_normal((len(batch["x"]), towers.output_dim), seed=(1, 2))
    with tf.GradientTape() as tape:
        features = towers({name: tf.constant(value) for name, value in batch.items()}, training=training)
        loss = tf.reduce_sum(weight * features)
    return features, tape.gradient(loss, towers.trainable_variables)


@pytest.mark.parametrize("labels", [[0, 1, 2, 1, 1, 0, 2], [2], [3, 0, 3], [1, 1]])
def test_features_and_gradients_are_those_of_every_row(labels):
    towers = _towers(networks.mlp([8, 6]))
    features, gradients = _with_gradients(towers, _batch(labels), training=True)
    expected, expected_gradients = _with_gradients(towers, _batch(labels), training=False)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5, atol=1e-5)


def _rows_read(encoder, likelihood="categorical", shape=(3,)):
    """How many rows the tower of w reads for a batch of 50."""
    towers, rows = _towers(encoder, likelihood, shape), []
    tower, call = towers.towers["w"], towers.towers["w"].call
    tower.call = lambda inputs, **options: rows.append(len(inputs)) or call(inputs)
    w = np.eye(3, dtype="float32")[np.arange(50) % 3]
    w = w if shape == (3,) else np.broadcast_to(w[:, None], (50, *shape))
    towers({"x": tf.zeros((50, 4)), "w": tf.constant(w)}, training=True)
    return rows


def test_a_class_is_read_once():
    assert _rows_read(networks.mlp([8])) == [4]


@pytest.mark.parametrize(
    "encoder",
    [
        networks.mlp([8, 8], batch_norm=True),
        networks.mlp([8], dropout=0.5),
        keras.Sequential([keras.layers.Dense(8, activity_regularizer="l2")]),
    ],
    ids=["batch_norm", "dropout", "activity_regularizer"],
)
def test_every_row_is_read_by_networks_to_which_rows_matter(encoder):
    assert _rows_read(encoder) == [50]


@pytest.mark.parametrize(("likelihood", "shape"), [("bernoulli", (3,)), ("categorical", (2, 3))])
def test_every_row_is_read_of_other_modalities(likelihood, shape):
    assert _rows_read(networks.mlp([8]), likelihood, shape) == [50]
