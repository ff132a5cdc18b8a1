"""Models that equal a linear-Gaussian one, and what the estimators must give for them."""

import numpy as np
from linear_gaussian import NOISE_VARIANCE, LinearGaussian

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


class ExactCMMA:
    """A CMMA that is a linear-Gaussian model of all modalities exactly: q(z|x,w), p(z|w) and p(x|z)."""

    def __init__(self, sizes=TWO, target="x", count=4):
        self.exact, self.model = _exact(tj.CMMA, sizes, target=target)
        self.exact.set_encoder(self.model.prior_encoder, self.model.conditions)
        self.batch = self.exact.sample(count)

    def log_likelihood(self):
        """Log p(x | w) = log p(x, w) - log p(w), `[B]`."""
        return self.exact.log_prob(self.batch) - self.exact.log_prob(self.batch, self.model.conditions)

    def posterior(self):
        return self.exact.posterior(self.batch)

    def conditional(self):
        """Mean `[B, N]` and covariance `[N, N]` of p(x | w), by conditioning p(x, w)."""
        x, w = (self.exact.weights[name] for name in ("x", "w"))
        gain = x @ w.T @ np.linalg.inv(w @ w.T + NOISE_VARIANCE * np.eye(len(w)))
        mean = self.exact.biases["x"] + (self.batch["w"] - self.exact.biases["w"]) @ gain.T
        return mean, x @ x.T + NOISE_VARIANCE * np.eye(len(x)) - gain @ w @ x.T


class ExactCVAE:
    """A CVAE that is x = A z + C w + b + noise exactly, with z ~ N(0, I) whatever w is."""

    def __init__(self, count=4):
        self.exact = LinearGaussian((("x", 3),))  # of x - C w
        self.effect = np.random.default_rng(5).normal(size=(3, 2))  # C
        both = LinearGaussian(TWO)
        self.model = tj.CVAE(both.modalities(), 2, target="x")
        self.exact.set_encoder(self.model.encoder, ["x"], effects=[self.effect])
        self.model.decoders["x"].set_weights(
            [np.concatenate([self.exact.weights["x"].T, self.effect.T]), self.exact.biases["x"]]
        )
        w = both.sample(count, seed=2)["w"]
        self.batch = {"x": self.exact.sample(count)["x"] + (w @ self.effect.T).astype(np.float32), "w": w}

    def log_likelihood(self):
        """Log p(x | w), `[B]`."""
        return self.exact.log_prob(self._without_effect())

    def posterior(self):
        return self.exact.posterior(self._without_effect())

    def conditional(self):
        """Mean `[B, N]` and covariance `[N, N]` of p(x | w)."""
        a = self.exact.weights["x"]
        return self.exact.biases["x"] + self.batch["w"] @ self.effect.T, a @ a.T + NOISE_VARIANCE * np.eye(len(a))

    def _without_effect(self):
        return {"x": self.batch["x"] - self.batch["w"] @ self.effect.T}


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
