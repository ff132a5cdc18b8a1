"""Sharpness and Frechet distance in closed form; the classifier's areas under the curve by counting pairs."""

import keras
import numpy as np
import pytest

from tf_jmvae.evaluation.frechet import distance_of_features
from tf_jmvae.studies.celeba.measurements import _aucs, _gradient_magnitude


def test_the_gradient_of_a_ramp_is_its_slope():
    rows, columns = np.mgrid[:8, :8]
    ramps = np.stack([3 * rows + 4 * columns, 7 * rows, 0 * rows]).astype(np.uint8)
    images = np.repeat(ramps[..., None], 3, axis=-1)
    np.testing.assert_allclose(_gradient_magnitude(images), [5, 7, 0])


def test_brightness_is_the_mean_of_the_channels():
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[..., 0] = 30 * np.arange(4)
    assert _gradient_magnitude(image) == pytest.approx(10)


def _gaussian(mean, root, count=50):
    """Features of exactly this mean and covariance `root root^T`."""
    white = np.random.default_rng(0).normal(size=(count, len(mean)))
    white -= white.mean(axis=0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(white.T)), white.T).T
    return white @ np.transpose(root) + mean


def test_frechet_distance_of_diagonal_gaussians():
    one = _gaussian([0.0, 0.0, 1.0], np.diag([1.0, 2.0, 0.5]))
    other = _gaussian([3.0, 0.0, -1.0], np.diag([2.0, 2.0, 1.5]))
    expected = 3.0**2 + 2.0**2 + (1.0 - 2.0) ** 2 + (0.5 - 1.5) ** 2  # squares of means and of stddevs
    assert distance_of_features(one, other) == pytest.approx(expected)
    assert distance_of_features(other, one) == pytest.approx(expected)


def test_frechet_distance_of_gaussians_whose_covariances_do_not_commute():
    """Of 2 x 2 covariances, tr (C C')^(1/2) = sqrt(tr C C' + 2 sqrt(det C C'))."""
    root, other_root = np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([[1.0, -1.0], [0.5, 2.0]])
    covariance, other = root @ root.T, other_root @ other_root.T
    assert np.abs(covariance @ other - other @ covariance).max() > 1
    product = covariance @ other
    root_trace = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(covariance) + np.trace(other) - 2 * root_trace
    found = distance_of_features(_gaussian([1.0, 2.0], root), _gaussian([1.0, 2.0], other_root))
    assert found == pytest.approx(expected)


def test_equal_sets_have_no_distance_even_if_there_are_fewer_examples_than_features():
    features = np.random.default_rng(1).normal(size=(5, 20))
    assert 0 <= distance_of_features(features, features) < 1e-5


def test_areas_under_the_curve_are_shares_of_pairs_in_the_right_order():
    classifier = keras.Sequential([keras.layers.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    images = np.random.default_rng(0).normal(size=(20, 2, 2, 1)).astype(np.float32)
    attributes = np.random.default_rng(1).choice([-1, 1], (20, 3))
    attributes[:, 1] = 1  # does not vary
    found = _aucs(classifier, images, attributes, ("a", "b", "c"))
    assert list(found) == ["a", "c"]
    logits = classifier(images).numpy()
    for name, column in (("a", 0), ("c", 2)):
        has, has_not = (logits[attributes[:, column] == sign, column] for sign in (1, -1))
        assert found[name] == pytest.approx((has[:, None] > has_not).mean())
