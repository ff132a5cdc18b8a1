"""Models of every kind, exported in a process of its own, for the tests of serving.

python exported.py FOLDER
"""

import contextlib
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from scipy import special

import tf_jmvae as tj
from tf_jmvae.random import sampling, seeds

SIDE = 6
OPTIMIZED = ("vae",)  # kinds whose tests run with TensorFlow's graph optimizers, which are slow to start


def _mlp():
    return tj.networks.mlp([8])


def _modality(shape, likelihood, encoder=None, **options):
    return tj.Modality(shape, likelihood, encoder=encoder or _mlp(), decoder=_mlp(), **options)


def _text(head, **options):
    return _modality((4,), head(vocabulary_size=6, **options), tj.networks.TextEncoder(6, 8))


def modalities(names):
    """Modalities with small networks.

    A grey image x, a standardised RGB image r, a label w, a caption c of word counts, reals v, attributes a, grades o,
    proportions b, counts n that vary more than Poisson ones, and texts, s of independent tokens, t of a recurrent
    network.
    """
    known = {
        "x": lambda: _modality((SIDE, SIDE, 1), "bernoulli"),
        "r": lambda: _modality((SIDE, SIDE + 2, 3), tj.heads.Gaussian(variance=1.0), standardized=True),
        "w": lambda: _modality((3,), "categorical"),
        "c": lambda: _modality((5,), "counts"),
        "v": lambda: _modality((2,), "laplace"),
        "a": lambda: _modality((4,), "gaussian", entry_names=("Bald", "Eyeglasses", "Smiling", "Male")),
        "o": lambda: _modality((3, 4), "ordinal"),
        "b": lambda: _modality((3,), "beta", optional="entries"),
        "n": lambda: _modality((3,), "negative_binomial"),
        "s": lambda: _text(tj.heads.Tokens),
        "t": lambda: _text(tj.heads.AutoregressiveTokens, units=8),
    }
    return {name: known[name]() for name in names}


def batch(names, size, seed=0):
    random = np.random.default_rng(seed)
    known = {
        "x": random.integers(0, 2, (size, SIDE, SIDE, 1)),
        "r": random.normal(size=(size, SIDE, SIDE + 2, 3)),
        "w": np.eye(3)[random.integers(0, 3, size)],
        "c": random.poisson(1.0, (size, 5)),
        "v": random.normal(size=(size, 2)),
        "a": random.normal(size=(size, 4)),
        "o": np.eye(4)[random.integers(0, 4, (size, 3))],
        "b": random.beta(2, 3, (size, 3)),
        "n": random.negative_binomial(2, 0.4, (size, 3)),
        "s": _texts(random, size),
        "t": _texts(random, size),
    }
    return {name: known[name].astype(np.float32) for name in names}


def _texts(random, size):
    """From an empty text to one of the full length."""
    return random.integers(1, 6, (size, 4)) * (np.arange(4) < np.linspace(0, 4, size).round()[:, None])


# Class, modalities, options of the class, options of export.
KINDS = {
    "vae": (tj.VAE, "r", {}, {}),
    "jmvae": (tj.JMVAE, "xwc", {}, {"num_steps": 3, "observed": [["x"]]}),
    "jmvae_kl": (tj.JMVAEKL, "xw", {}, {}),
    "hierarchical": (
        tj.HierarchicalJMVAE,
        "rw",
        {"layer_encoder": _mlp(), "layer_prior": _mlp()},
        {"num_steps": 2, "observed": [["r"], ["w"]]},
    ),
    "cvae": (tj.CVAE, "xw", {"target": "x"}, {}),
    "cmma": (tj.CMMA, "xwvobnst", {"target": list("xvobnst")}, {}),
    "gan": (tj.JMVAEKLGAN, "ra", {"image": "r", "discriminator": _mlp(), "flow": tj.Flow(2, units=8)}, {}),
}


@contextlib.contextmanager
def optimizers(work):
    """Whether TensorFlow's graph optimizers work in what is traced and exported here."""
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not work})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


def make(kind, **more):
    """The model, the same one at every call; its biases are not zero, so that one left out shows."""
    keras.utils.set_random_seed(7)
    cls, names, options, _ = KINDS[kind]
    model = cls(modalities(names), 4, **options, **more)
    for variable in model.trainable_weights:
        if len(variable.shape) == 1:
            variable.assign(keras.random.normal(variable.shape, stddev=0.2))
    for name in model.standardizations:
        shape = model.modalities[name].event_shape
        random = np.random.default_rng(1)
        model.set_statistics(name, random.uniform(90, 150, shape), random.uniform(40, 70, shape))
    return model


def log_likelihood(model, observed, seed, num_samples=100, at_once=25):
    """Importance sampling written out: the samples come in parts, each with a seed of its own."""
    batch = {name: tf.constant(value, tf.float32) for name, value in observed.items()}
    q = model.posterior(batch)
    weights = []
    for part in range(num_samples // at_once):
        z = sampling.draw(q, seeds.fold_in(seed, part), at_once)
        p = model.likelihoods(z, conditions=batch, names=model.targets)
        log_weight = sum(p[name].log_prob(batch[name][:, None]) for name in model.targets)
        for_samples = tf.transpose(z, (1, 0, 2))
        log_weight += tf.transpose(model.prior(batch).log_prob(for_samples) - q.log_prob(for_samples))
        weights.append(log_weight)
    return special.logsumexp(np.concatenate(weights, axis=1), axis=1) - np.log(num_samples)


if __name__ == "__main__":
    for kind, (*_, options) in KINDS.items():
        make(kind).export(pathlib.Path(sys.argv[1]) / kind, **options)
