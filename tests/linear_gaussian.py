"""A linear-Gaussian model: every density that a multimodal VAE approximates has a closed form.

    z ~ N(0, I),  m | z ~ N(A_m z + b_m, s^2 I)

The columns of the stacked A are orthogonal, so the posterior given everything is a diagonal
Gaussian, which the models can represent exactly.
"""

import numpy as np
import tensorflow as tf
from scipy import stats

import tf_jmvae as tj

LATENT_DIM = 2
NOISE_VARIANCE = 0.3


class LinearGaussian:
    """The exact model over modalities of the given sizes."""

    def __init__(self, sizes=(("x", 3), ("w", 2)), seed=0):
        random = np.random.default_rng(seed)
        self.sizes = dict(sizes)
        orthogonal, _ = np.linalg.qr(random.normal(size=(sum(self.sizes.values()), LATENT_DIM)))
        stacked = orthogonal * np.array([1.7, 0.9])
        splits = np.cumsum(list(self.sizes.values()))[:-1]
        self.weights = dict(zip(self.sizes, np.split(stacked, splits), strict=True))
        self.biases = {name: random.normal(size=size) for name, size in self.sizes.items()}

    def make_every_posterior_diagonal(self):
        """Gives each modality's A orthogonal columns, so that no posterior given any of them has correlations."""
        for name, size in self.sizes.items():
            self.weights[name] = np.linalg.qr(np.random.default_rng(size).normal(size=(size, 2)))[0] * [1.3, 0.6]

    def sample(self, count, seed=1):
        random = np.random.default_rng(seed)
        z = random.normal(size=(count, LATENT_DIM))
        return {
            name: (z @ a.T + self.biases[name] + np.sqrt(NOISE_VARIANCE) * random.normal(size=(count, len(a)))).astype(
                np.float32
            )
            for name, a in self.weights.items()
        }

    def log_prob(self, batch, names=None):
        """Log p of the modalities named, `[B]`."""
        names = list(names or self.sizes)
        a = np.concatenate([self.weights[name] for name in names])
        mean = np.concatenate([self.biases[name] for name in names])
        covariance = a @ a.T + NOISE_VARIANCE * np.eye(len(a))
        values = np.concatenate([batch[name] for name in names], axis=-1)
        return stats.multivariate_normal(mean, covariance).logpdf(values)

    def posterior(self, batch, names=None):
        """Mean `[B, D]` and covariance `[D, D]` of p(z | the modalities named)."""
        names = list(names or self.sizes)
        a = np.concatenate([self.weights[name] for name in names])
        covariance = np.linalg.inv(np.eye(LATENT_DIM) + a.T @ a / NOISE_VARIANCE)
        centred = np.concatenate([batch[name] - self.biases[name] for name in names], axis=-1)
        return centred @ a @ covariance / NOISE_VARIANCE, covariance

    def modalities(self):
        """Modalities whose networks are linear, so that models can equal this one."""
        return {
            name: tj.Modality(
                (size,),
                tj.heads.Gaussian(variance=NOISE_VARIANCE),
                encoder=tj.networks.mlp([]),
                decoder=tj.networks.mlp([]),
            )
            for name, size in self.sizes.items()
        }

    def set_decoders(self, model):
        """Makes the model's p(m | z) the exact ones."""
        for name, decoder in model.decoders.items():
            decoder.set_weights([self.weights[name].T, self.biases[name]])

    def set_encoder(self, encoder, names, effects=()):
        """Makes an encoder the exact posterior given `names` (its diagonal, where it is not diagonal).

        `effects` are matrices C, one for each further modality w that the encoder reads, of models of m - C w.
        """
        a = np.concatenate([self.weights[name] for name in names])
        bias = np.concatenate([self.biases[name] for name in names])
        _, covariance = self.posterior({name: np.zeros((1, self.sizes[name])) for name in names}, names)
        kernel = a @ covariance / NOISE_VARIANCE
        raw_variance = np.log(np.expm1(np.diag(covariance)))
        stacked = np.concatenate([kernel, *(-effect.T @ kernel for effect in effects)])
        encoder.set_weights([stacked, -bias @ kernel, np.zeros_like(stacked), raw_variance])


def mean_bound(model, batch, repeats=4000, only_elbo=True):
    """The ELBO, or the objective, of each example, averaged over samples of z, and the standard error of that."""

    def bound(seed):
        terms = model.objective(batch, seed).values()
        return model.elbo(batch, seed) if only_elbo else sum(term.coefficient * term.value for term in terms)

    @tf.function
    def bounds(seeds):
        return tf.map_fn(bound, seeds, fn_output_signature=tf.float32)

    values = bounds(tf.random.split(tf.constant([1, 2]), repeats)).numpy()
    return values.mean(axis=0), values.std(axis=0) / np.sqrt(repeats)
