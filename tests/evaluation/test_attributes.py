"""attribute_accuracy on a linear model, against numpy."""

import numpy as np
import pytest
import tensorflow as tf
from portrait_model import NAMES, SIZE, attributes_of, portrait_model
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.evaluation import attribute_accuracy

RAW = np.random.default_rng(2).integers(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)
W = np.random.default_rng(3).choice([-1.0, 1.0], (7, len(NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    return portrait_model()


DATA = {"x": RAW, "w": W}


def test_it_is_the_share_of_right_signs_of_each_example(model, monkeypatch):
    monkeypatch.setattr("tf_jmvae.evaluation.coherence._BATCH", 3)  # the last batch is smaller
    found = attribute_accuracy(model, DATA, verbose=0)
    named = np.array([attributes_of(portrait) for portrait in RAW])
    expected = ((named > 0) == (W > 0)).mean(axis=1)
    assert 0 < expected.mean() < 1
    np.testing.assert_allclose(found.values, expected)
    assert found.mean == pytest.approx(expected.mean())
    assert found.settings == {}


def test_models_that_iterate_say_in_how_many_steps():
    model = portrait_model(tj.JMVAE)
    first, second = (attribute_accuracy(model, DATA, iterated_sampling=3, seed=5, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.settings == {"num_steps": 3, "initial": "zeros"}


def test_batches_are_named_by_the_steps_that_are_asked_for_from_seeds_of_their_own(monkeypatch):
    monkeypatch.setattr("tf_jmvae.evaluation.coherence._BATCH", 4)
    model, calls = portrait_model(tj.JMVAE), []

    def generate(observed, **options):
        calls.append(options)
        return {"w": tf.zeros((len(observed["x"]), len(NAMES)))}

    monkeypatch.setattr(model, "generate", generate)
    attribute_accuracy(model, DATA, iterated_sampling=tj.IteratedSampling(3, "noise"), verbose=0)
    assert [call["iterated_sampling"] for call in calls] == [tj.IteratedSampling(3, "noise")] * 2
    assert len({tuple(call["seed"].numpy()) for call in calls}) == 2


def test_the_target_is_the_one_modality_of_named_attributes():
    model = tj.JMVAE(small_modalities(), 2)
    with pytest.raises(ValueError, match=r"Pass target=\.\.\.: the model has 0 modalities of named attributes"):
        attribute_accuracy(model, small_batch(), verbose=0)


def test_attributes_other_than_plus_and_minus_one_are_refused(model):
    with pytest.raises(ValueError, match=r"Attributes must be -1 or 1; modality 'w' holds other values"):
        attribute_accuracy(model, DATA | {"w": (W + 1) / 2}, verbose=0)


def test_a_direction_that_the_model_lacks_is_refused():
    model = portrait_model(tj.CVAE, target="x")
    with pytest.raises(ValueError, match=r"takes 'w' as given|goes from 'w' to 'x' only"):
        attribute_accuracy(model, DATA, verbose=0)
