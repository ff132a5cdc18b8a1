"""Small models and data that many tests share."""

from unittest import mock

import keras
import numpy as np
from tensorflow.python.eager import context

import tf_jmvae as tj


def small_modalities(names="xw"):
    """An image x, a label w, a caption c of word counts and a vector v of reals, with small networks."""

    def modality(shape, likelihood):
        return tj.Modality(shape, likelihood, encoder=tj.networks.mlp([8]), decoder=tj.networks.mlp([8]))

    known = {
        "x": ((4, 4, 1), "bernoulli"),
        "w": ((3,), "categorical"),
        "c": ((5,), "counts"),
        "v": ((2,), tj.heads.Gaussian(variance=0.5)),
    }
    return {name: modality(*known[name]) for name in names}


def small_batch(names="xw", size=12, seed=0):
    random = np.random.default_rng(seed)
    known = {
        "x": random.integers(0, 2, (size, 4, 4, 1)).astype(np.float32),
        "w": np.eye(3, dtype=np.float32)[random.integers(0, 3, size)],
        "c": random.poisson(1.0, (size, 5)).astype(np.float32),
        "v": random.normal(size=(size, 2)).astype(np.float32),
    }
    return {name: known[name] for name in names}


def set_seeds(seed):
    """Seeds Python, NumPy, Keras and TensorFlow, and keeps what TensorFlow has compiled.

    `keras.utils.set_random_seed` has TensorFlow forget how it runs functions, for the sake of stateful random ops. The
    model of a module's fixture would be made ready anew in every test, which took more time than all else.
    """
    with mock.patch.object(context.pywrap_tfe, "TFE_ContextClearCaches"):
        keras.utils.set_random_seed(seed)
