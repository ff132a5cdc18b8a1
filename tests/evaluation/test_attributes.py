"""attribute_accuracy on a linear model, against numpy."""

import numpy as np
import pytest
from portrait_model import NAMES, SIZE, attributes_of, portrait_model

import tf_jmvae as tj
from tf_jmvae.evaluation import attribute_accuracy

RAW = np.random.default_rng(2).integers(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)
W = np.random.default_rng(3).choice([-1.0, 1.0], (7, len(NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return portrait_model()


def _data(model):
    return {"x": RAW, "w": W}  # estimators standardise raw pixels, as fit does


def test_it_is_the_share_of_right_signs_of_each_example(model, monkeypatch):
    monkeypatch.setattr("tf_jmvae.evaluation.attributes._BATCH", 3)  # the last batch is smaller
    found = attribute_accuracy(model, _data(model), verbose=0)
    named = np.array([attributes_of(portrait) for portrait in RAW])
    expected = ((named > 0) == (W > 0)).mean(axis=1)
    assert 0 < expected.mean() < 1
    np.testing.assert_allclose(found.values, expected)
    assert found.mean == pytest.approx(expected.mean())
    assert found.settings == {}


def test_models_that_iterate_say_in_how_many_steps():
    model = portrait_model(tj.JMVAE)
    first, second = (attribute_accuracy(model, _data(model), iterated_sampling=3, seed=5, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.settings == {"num_steps": 3, "initial": "zeros"}


def test_attributes_other_than_plus_and_minus_one_are_refused(model):
    with pytest.raises(ValueError, match=r"Attributes must be -1 or 1; modality 'w' holds other values"):
        attribute_accuracy(model, _data(model) | {"w": (W + 1) / 2}, verbose=0)


def test_a_direction_that_the_model_lacks_is_refused():
    model = portrait_model(tj.CVAE, target="x")
    with pytest.raises(ValueError, match=r"takes 'w' as given|goes from 'w' to 'x' only"):
        attribute_accuracy(model, _data(model), verbose=0)
