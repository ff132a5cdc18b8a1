"""Models that equal a linear-Gaussian one, and what the estimators must give for them."""

import numpy as np
from linear_gaussian import NOISE_VARIANCE, LinearGaussian
from scipy import stats

import tf_jmvae as tj

TWO = (("x", 3), ("w", 2))
THREE = (("x", 3), ("w", 2), ("c", 4))


def exact_jmvae_kl(sizes=TWO):
    """The exact model, and a JMVAEKL all of whose parts equal it."""
    exact, model = _exact(tj.JMVAEKL, sizes)
    for names, encoder in model.subset_encoders.items():
        exact.set_encoder(encoder, names.split("_and_"))
    return exact, model


def exact_jmvae():
    """The exact model, and a JMVAE all of whose parts equal it."""
    return _exact(tj.JMVAE, TWO)


def exact_cmma():
    """The exact model, and a CMMA from w to x all of whose parts equal it."""
    exact, model = _exact(tj.CMMA, TWO, target="x")
    exact.set_encoder(model.prior_encoder, ["w"])
    return exact, model


def exact_cvae():
    """A CVAE of x = A z + C w + b + noise with its exact posterior; a batch, and log p(x | w) of each example."""
    exact = _linear_gaussian(TWO)
    model = tj.CVAE(exact.modalities(), 2, target="x")
    a, bias = exact.weights["x"], exact.biases["x"]
    c = np.random.default_rng(8).normal(size=(3, 2))
    model.decoders["x"].set_weights([np.concatenate([a, c], axis=1).T, bias])
    covariance = np.linalg.inv(np.eye(2) + a.T @ a / NOISE_VARIANCE)
    kernel = np.concatenate([a, -c.T @ a]) @ covariance / NOISE_VARIANCE
    offset = -bias @ a @ covariance / NOISE_VARIANCE
    raw_variance = np.log(np.expm1(np.diag(covariance)))
    model.encoder.set_weights([kernel, offset, np.zeros_like(kernel), raw_variance])
    random = np.random.default_rng(9)
    w, z = random.normal(size=(30, 2)), random.normal(size=(30, 2))
    mean = w @ c.T + bias
    x = mean + z @ a.T + np.sqrt(NOISE_VARIANCE) * random.normal(size=(30, 3))
    log_prob = stats.multivariate_normal(np.zeros(3), a @ a.T + NOISE_VARIANCE * np.eye(3)).logpdf(x - mean)
    batch = {"x": x.astype(np.float32), "w": w.astype(np.float32)}
    return model, batch, log_prob


def make_wrong(encoder, shift=0.3, raw_variance=0.7):
    """Moves the mean of an encoder's Gaussians and widens them."""
    weights = encoder.get_weights()
    encoder.set_weights([weights[0], weights[1] + shift, weights[2], weights[3] + raw_variance])


def expected_log_prob(exact, batch, target, mean, covariance):
    """E[log p(target | z)] for z ~ N(mean, covariance), `[B]`."""
    a = exact.weights[target]
    squares = np.sum((batch[target] - exact.biases[target] - mean @ a.T) ** 2, axis=-1)
    spread = np.trace(a @ covariance @ a.T)
    return -0.5 * len(a) * np.log(2 * np.pi * NOISE_VARIANCE) - (squares + spread) / (2 * NOISE_VARIANCE)


def conditional_log_prob(exact, batch, targets, given):
    """Log p(targets | given), `[B]`."""
    return exact.log_prob(batch, [*targets, *given]) - exact.log_prob(batch, given)


def _linear_gaussian(sizes):
    exact = LinearGaussian(sizes)
    exact.make_every_posterior_diagonal()
    return exact


def _exact(cls, sizes, **options):
    exact = _linear_gaussian(sizes)
    model = cls(exact.modalities(), 2, **options)
    exact.set_decoders(model)
    exact.set_encoder(model.encoder, exact.sizes)
    return exact, model
