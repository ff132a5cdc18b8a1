"""Standardised modalities: statistics in the model, raw values in, RGB out."""

import keras
import numpy as np
import pytest
from portrait_model import DEVIATION, MEAN, NAMES, SIZE, portrait_model

import tf_jmvae as tj

RAW = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.uint8)


def test_preprocessing_standardises_entry_by_entry_and_leaves_other_modalities():
    w = np.ones((5, len(NAMES)), np.int8)
    batch = portrait_model().preprocess({"w": w, "x": RAW})
    np.testing.assert_allclose(batch["x"], (RAW - MEAN) / DEVIATION, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(batch["w"], w)
    assert {value.dtype.name for value in batch.values()} == {"float32"}


def test_postprocessing_gives_the_same_bytes_back_with_any_leading_axes():
    model = portrait_model()
    x = model.preprocess({"x": RAW})["x"].numpy()
    for values, expected in ((x, RAW), (x[None], RAW[None]), (x[0], RAW[0])):
        found = model.postprocess({"x": values})["x"]
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


def test_what_leaves_the_range_of_bytes_is_cut_off_and_not_wrapped_around():
    found = portrait_model().postprocess({"x": np.full((2, SIZE, SIZE, 3), [[[[-9.0]]], [[[9.0]]]])})["x"]
    assert found[0].max() == 0
    assert found[1].min() == 255


def test_values_that_are_no_images_come_back_as_they_were():
    model = tj.VAE({"x": tj.Modality((3,), "gaussian", standardized=True)}, 2)
    model.set_statistics("x", np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.0]))
    raw = np.array([[-300.25, 0.5, 900.0]], np.float32)
    found = model.postprocess(model.preprocess({"x": raw}))["x"]
    np.testing.assert_allclose(found, raw, rtol=1e-6)


def test_statistics_are_saved_with_the_model_and_no_optimizer_moves_them(tmp_path):
    model = portrait_model()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    x = model.preprocess({"x": RAW})["x"].numpy()
    model.fit({"x": x, "w": np.ones((5, len(NAMES)), np.float32)}, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.modalities["w"].entry_names == NAMES
    assert loaded.modalities["x"].standardized
    for name, value in (("mean", MEAN), ("deviation", DEVIATION)):
        np.testing.assert_array_equal(getattr(loaded.standardizations["x"], name), value.astype(np.float32))
    assert not {"mean", "deviation"} & {v.name for v in loaded.trainable_variables}


def test_without_statistics_values_stay_as_they_are():
    model = tj.VAE({"x": tj.Modality((3,), "gaussian", standardized=True)}, 2)
    np.testing.assert_array_equal(model.preprocess({"x": [[1.0, 2.0, 3.0]]})["x"], [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("name", "mean", "deviation", "message"),
    [
        ("w", MEAN, DEVIATION, r"'w' is not standardized: make it with Modality\(\.\.\., standardized=True\)"),
        ("x", MEAN[..., 0], DEVIATION, r"its mean must have shape \(6, 6, 3\); got \(6, 6\)"),
        ("x", MEAN, DEVIATION[:1], r"its deviation must have shape \(6, 6, 3\); got \(1, 6, 3\)"),
        ("x", MEAN, 0 * DEVIATION, "means must be finite, and deviations positive and finite"),
        ("x", MEAN * np.nan, DEVIATION, "means must be finite, and deviations positive and finite"),
    ],
    ids=["not standardized", "mean's shape", "deviation's shape", "zero", "nan"],
)
def test_statistics_that_do_not_fit_are_refused(name, mean, deviation, message):
    with pytest.raises(ValueError, match=message):
        portrait_model().set_statistics(name, mean, deviation)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "b"), ("a", "b", "c", "d")], ids=str)
def test_entry_names_name_each_entry_of_the_last_axis_once(names):
    with pytest.raises(ValueError, match=r"entry_names must name each of the 3 entries of the last axis once; got \["):
        tj.Modality((3,), "gaussian", entry_names=names)
