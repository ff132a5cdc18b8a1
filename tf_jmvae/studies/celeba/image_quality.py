"""How sharp images are, and how close to real ones, without a downloaded network.

References:
  [1] Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017: the
      Frechet distance between Gaussians fitted to features, there of the Inception network.
"""

import numpy as np
from scipy import linalg

__all__ = ["frechet_distance", "gradient_magnitude"]


def gradient_magnitude(images: np.ndarray) -> np.ndarray:
    """The mean length of the brightness gradient of each image, uint8 RGB `[N, H, W, 3]`, in pixel values per pixel."""
    grey = images.astype(np.float64).mean(axis=-1)
    down, right = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    return np.hypot(down, right).mean(axis=(1, 2))


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """`|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))` of the means and covariances of features `[N, F]` and `[M, F]` [1]."""
    mean, other_mean = features.mean(axis=0), others.mean(axis=0)
    covariance, other_covariance = np.cov(features.T), np.cov(others.T)
    # The eigenvalues of C C' are real and not negative but for rounding.
    eigenvalues = linalg.eigvals(covariance @ other_covariance).real
    root_trace = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    distance = np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * root_trace
    return max(float(distance), 0.0)  # of equal sets, rounding may leave less
