"""Statistics of a training split, and pipelines that mirror."""

import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae.data import from_arrays
from tf_jmvae.data.statistics import Statistics

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (200, 4, 6, 3)).astype(np.uint8)
NUMBERS = np.arange(200)


def _of_images(images):
    return Statistics.of_batches({"x": images[start : start + 64]} for start in range(0, 200, 64))["x"]


def test_they_equal_numpys():
    found = _of_images(IMAGES)
    np.testing.assert_allclose(found.mean, IMAGES.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(found.stddev, IMAGES.std(axis=0, dtype=np.float64), rtol=1e-6)
    assert {value.dtype for value in found} == {np.dtype(np.float32)}


def _standardized(values):
    """As a model standardises them that takes its statistics from these values."""
    model = tj.VAE({"x": tj.Modality(IMAGES.shape[1:], "gaussian", standardized=True)}, 2)
    model.adapt({"x": values})
    return model.read({"x": values})["x"].numpy()


def test_standardised_values_have_mean_0_and_deviation_1():
    standardized = _standardized(IMAGES)
    assert standardized.dtype == np.float32
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("level", [0, 7, 255])
def test_an_entry_that_never_varies_has_deviation_1(level):
    values = IMAGES.copy()
    values[:, 0, 0, 0] = level
    found = _of_images(values)
    assert (found.mean[0, 0, 0], found.stddev[0, 0, 0]) == (level, 1)
    assert (_standardized(values)[:, 0, 0, 0] == 0).all()


def _pass(number=0, **options):
    """Images and their numbers of one pass."""
    dataset = from_arrays(
        {"x": IMAGES, "n": NUMBERS}, batch_size=32, mirror=["x"], epochs=range(number, number + 1), **options
    )
    batches = list(dataset.as_numpy_iterator())
    return tuple(np.concatenate([batch[name] for batch in batches]) for name in ("x", "n"))


def _mirrored(images, numbers):
    """Which are mirrored; each is either the original or its mirror image."""
    originals = IMAGES[numbers.astype(int)].astype(np.float32)
    same, flipped = ((images == other).all(axis=(1, 2, 3)) for other in (originals, originals[:, :, ::-1]))
    np.testing.assert_array_equal(same, ~flipped)
    return flipped


@pytest.mark.parametrize("shuffle", [False, True])
def test_about_half_are_mirrored_another_half_on_the_next_pass_and_the_same_under_a_seed(shuffle):
    halves = []
    for number in (0, 1, 0):
        images, numbers = _pass(number, shuffle=shuffle, seed=4)
        order = np.argsort(numbers)
        halves.append(_mirrored(images, numbers)[order])
    first, second, again = halves
    error = np.sqrt(0.25 / len(IMAGES))
    for half in (first, second):
        assert abs(half.mean() - 0.5) < 4.5 * error
    assert abs((first == second).mean() - 0.5) < 4.5 * error
    np.testing.assert_array_equal(first, again)
    other = _mirrored(*_pass(seed=5))
    assert abs((first == other).mean() - 0.5) < 4.5 * error


def test_bytes_stay_bytes_in_memory(monkeypatch):
    """Batches are gathered from them, and are floats only then."""
    gathered, gather = [], tf.gather
    monkeypatch.setattr(tf, "gather", lambda tensor, rows: gathered.append(tensor.dtype) or gather(tensor, rows))
    dataset = from_arrays({"x": IMAGES}, batch_size=32, epochs=range(1))
    assert next(iter(dataset))["x"].dtype == tf.float32
    assert gathered == [tf.uint8]


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"mirror names \['y'\], but the arrays are \['x'\]"):
        from_arrays({"x": IMAGES}, mirror=["y"])
