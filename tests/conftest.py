"""Small models and data that many tests share."""

import functools
import gc
import os
import pathlib
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Small models on a worker for each core: threads of their own would only wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import filelock
import keras
import numpy as np
import pytest
from tensorflow.python.eager import context

import tf_jmvae as tj

# Looking for garbage in all that is imported takes a tenth of the tests' time.
gc.set_threshold(100_000, 50, 50)


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


def shared_folder(tmp_path_factory, name) -> pathlib.Path:
    """A folder of this run of the tests that its workers have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def set_seeds(seed):
    """Seeds Python, NumPy, Keras and TensorFlow, and keeps what TensorFlow has compiled.

    `keras.utils.set_random_seed` has TensorFlow forget how it runs functions, for the sake of stateful random ops. The
    model of a module's fixture would be made ready anew in every test, which took more time than all else.
    """
    with mock.patch.object(context.pywrap_tfe, "TFE_ContextClearCaches"):
        keras.utils.set_random_seed(seed)


@pytest.fixture(autouse=True)
def _reproducible():
    set_seeds(1)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")  # for fixtures of the next module, which are made before this one


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """The folder of a kind of tests/serving, `KIND/1`, exported once for all workers, when first asked for."""
    import exported

    folder = shared_folder(tmp_path_factory, "exports")

    @functools.cache
    def version(kind):
        path = folder / kind / "1"
        with filelock.FileLock(folder / f"{kind}.lock"), exported.optimizers(kind in exported.OPTIMIZED):
            return path if path.exists() else exported.make(kind).export(path, **exported.KINDS[kind][-1])

    return version
