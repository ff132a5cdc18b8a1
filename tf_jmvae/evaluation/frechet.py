"""Frechet distance between generated and real values, in the features of a user's network.

References:
  [1] Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017: the
      Frechet distance between Gaussians fitted to features, there of the Inception network.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae.evaluation.estimate import Statistic, whole_seed

_BATCH = 500


def frechet_distance(
    generated: Any,
    real: Any,
    *,
    features: keras.Model | Callable[[np.ndarray], Any],
    resamples: int = 20,
    seed: int = 0,
) -> Statistic:
    """Computes the Frechet distance [1] between two sets of values, that of Gaussians fitted to their features.

    0 is best. The distance depends on the network and, by an upward bias, on the number of values: compare only
    distances with equal ones.

    Args:
      generated: array of values `[N, *event_shape]`, such as images.
      real: array of real values `[M, *event_shape]`.
      features: Keras model or function from values `[n, *event_shape]` to features `[n, F]`, such as a classifier's
        last hidden layer.
      resamples: number of bootstrap resamples for the standard error; by default 20.
      seed: integer seed of the resampling; by default 0.

    Returns:
      `Statistic` in squared units of the features.

    Raises:
      ValueError: if there are fewer than two values, or features have another shape or are not finite.
    """
    resamples, seed = checks.positive_integer("resamples", resamples), whole_seed(seed)
    sets = [_features(name, values, features) for name, values in (("generated", generated), ("real", real))]
    random = np.random.default_rng(seed)
    drawn = [
        distance_of_features(*(one[random.integers(0, len(one), len(one))] for one in sets)) for _ in range(resamples)
    ]
    distance, error = distance_of_features(*sets), float(np.std(drawn, ddof=1)) if resamples > 1 else np.nan
    settings = {"features": sets[0].shape[1], "real": len(sets[1])}
    return Statistic("Frechet distance", "of features", distance, error, resamples, len(sets[0]), seed, settings)


def distance_of_features(features: np.ndarray, others: np.ndarray) -> float:
    """Computes `|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))` [1] of features `[N, F]` and `[M, F]`."""
    mean, other_mean = features.mean(axis=0), others.mean(axis=0)
    covariance, other_covariance = (np.atleast_2d(np.cov(one.T)) for one in (features, others))
    # Up to rounding, the eigenvalues of C C' are real and non-negative.
    eigenvalues = np.linalg.eigvals(covariance @ other_covariance).real
    root_trace = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    distance = np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * root_trace
    return max(float(distance), 0.0)  # rounding may make it negative for equal sets


def _features(name: str, values: Any, network: keras.Model | Callable[[np.ndarray], Any]) -> np.ndarray:
    values = np.asarray(values)
    if len(values) < 2:
        raise ValueError(f"{name}: a covariance needs two values or more; got {len(values)}.")
    if isinstance(network, keras.Model):
        found = network.predict(values, batch_size=_BATCH, verbose=0)
    else:
        found = np.concatenate([network(values[i : i + _BATCH]) for i in range(0, len(values), _BATCH)])
    found = np.asarray(found, np.float64)
    if found.ndim != 2 or len(found) != len(values):
        raise ValueError(f"features must be of shape [{len(values)}, F]; for {name!r} got {list(found.shape)}.")
    if not np.isfinite(found).all():
        raise ValueError(f"features of {name!r} must be finite numbers.")
    return found
