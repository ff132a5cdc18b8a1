"""Standardised modalities: statistics in the model, raw values in, RGB out."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from portrait_model import DEVIATION, MEAN, NAMES, SIZE, portrait_model
from small_models import set_seeds

import tf_jmvae as tj
from tf_jmvae.data.statistics import Statistics
from tf_jmvae.specs import Preprocessing

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
    model.fit({"x": RAW, "w": np.ones((5, len(NAMES)), np.float32)}, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.modalities["w"].entry_names == NAMES
    assert loaded.modalities["x"].standardized
    for name, value in (("mean", MEAN), ("stddev", DEVIATION)):
        np.testing.assert_array_equal(getattr(loaded.standardizations["x"], name), value.astype(np.float32))
    assert not {"mean", "stddev"} & {v.name for v in loaded.trainable_variables}


# Pixels of another range than bytes.

LEVELS = np.random.default_rng(5).integers(0, 256, (40, 4, 4, 3)).astype(np.uint8)


def _vae(shape=(4, 4, 3), standardized=True, **options):
    set_seeds(2)
    networks = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
    gaussian = tj.heads.Gaussian(variance=1.0)
    x = tj.Modality(shape, gaussian, standardized=standardized, **networks, **options)
    return tj.VAE({"x": x}, 2)


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 1.0)], ids=str)
def test_pixels_of_images_whose_white_is_no_255(values):
    black, white = values
    raw = (black + LEVELS * ((white - black) / 255)).astype(np.float32)
    model = _vae(preprocessing=Preprocessing(range=values))
    model.compile(run_eagerly=True)
    model.fit({"x": raw}, verbose=0)
    np.testing.assert_allclose(model.standardizations["x"].mean, raw.mean(axis=0), atol=1e-5)
    read = model.preprocess({"x": raw})
    np.testing.assert_array_equal(model.postprocess(read)["x"], LEVELS)
    opened = tj.open_model(model)
    for form in (LEVELS, [Image.fromarray(image) for image in LEVELS]):
        given = form if isinstance(form, np.ndarray) else [_png(image) for image in form]
        np.testing.assert_allclose(opened.encode({"x": given})["mean"], opened.encode(read)["mean"], atol=1e-5)


def test_a_range_that_nobody_said_is_an_error_and_no_black_picture():
    for use in (
        lambda model, raw: model.set_statistics("x", raw.mean(axis=0), raw.std(axis=0)),
        lambda model, raw: model.adapt({"x": raw}),
        lambda model, raw: model.fit({"x": raw}, verbose=0),
    ):
        model = _vae()
        model.compile()
        with pytest.raises(
            ValueError, match=r"its pixels between 0 and 255\. Say which .* preprocessing=Preprocessing"
        ):
            use(model, LEVELS / np.float32(255))
        assert not model.standardizations["x"].is_set()


def _png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


# Raw values and values that were standardised before.

NUMBERS = np.random.default_rng(6).normal(50, 20, (24, 3)).astype(np.float32)
LABELS = np.eye(2, dtype=np.float32)[np.random.default_rng(7).integers(0, 2, 24)]


def _pair():
    """A model that standardises, one of the same weights that does not, and data for each."""
    models = []
    for when in (True, "before"):
        set_seeds(4)
        networks = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
        modalities = {
            "v": tj.Modality((3,), tj.heads.Gaussian(variance=1.0), standardized=when, **networks),
            "w": tj.Modality((2,), "categorical", **networks),
        }
        models.append(tj.JMVAEKL(modalities, 2))
        models[-1].compile(tj.optimizers.FusedAdam(1e-2), run_eagerly=True)
    mean, stddev = Statistics.of_batches([{"": NUMBERS}])[""]
    models[1].set_statistics("v", mean, stddev)
    return models, ({"v": NUMBERS, "w": LABELS}, {"v": (NUMBERS - mean) / stddev, "w": LABELS})


def _batched(data):
    return tf.data.Dataset.from_tensor_slices(data).batch(8)


@pytest.mark.parametrize("form", [dict, _batched], ids=["arrays", "tf.data"])
def test_raw_values_train_as_values_standardised_before(form):
    models, data = _pair()
    options = {"epochs": 2, "shuffle": False, "verbose": 0} | ({"batch_size": 8} if form is dict else {})
    histories = [model.fit(form(values), **options).history for model, values in zip(models, data, strict=True)]
    assert histories[0] == histories[1]
    for left, right in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy(), err_msg=left.path)


def _raw(model, values):
    return values if model.modalities["v"].standardized is True else model.postprocess(values)


def test_raw_values_are_scored_as_values_standardised_before():
    models, data = _pair()
    models[0].adapt(data[0])
    labels = {"classifier": lambda v: (v[:, 0] > 0).astype(int), "labels": LABELS.argmax(axis=1)}
    questions = {
        "evaluate": lambda m, d: m.evaluate(d, verbose=0, return_dict=True),
        "evaluate a pipeline": lambda m, d: m.evaluate(_batched(d), verbose=0, return_dict=True),
        "predict": lambda m, d: _raw(m, m.predict(d, verbose=0)),  # which gives raw values for raw ones
        "predict a part": lambda m, d: _raw(m, m.predict({"v": d["v"]}, verbose=0)),
        "test_on_batch": lambda m, d: m.test_on_batch(d, return_dict=True),
        "joint": lambda m, d: tj.evaluation.joint_log_likelihood(m, d, num_samples=8, verbose=0).values,
        "conditional": lambda m, d: (
            tj.evaluation.conditional_log_likelihood(m, d, target="w", given="v", num_samples=8, verbose=0).values
        ),
        "pipeline": lambda m, d: tj.evaluation.joint_log_likelihood(m, _batched(d), num_samples=8, verbose=0).values,
        "coherence": lambda m, d: (
            tj.evaluation.conditional_coherence(m, d, target="v", given="w", verbose=0, **labels).values
        ),
    }
    for words, ask in questions.items():
        found, expected = (ask(model, values) for model, values in zip(models, data, strict=True))
        pairs = [(found[key], expected[key]) for key in expected] if isinstance(expected, dict) else [(found, expected)]
        for left, right in pairs:
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6, err_msg=words)


def test_statistics_that_are_there_stay_when_training_goes_on(tmp_path):
    models, (data, _) = _pair()
    models[0].fit(data, verbose=0)
    models[0].save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    resumed.fit({"v": 3 * NUMBERS + 9, "w": LABELS}, verbose=0)
    for name, value in zip(("mean", "stddev"), Statistics.of_batches([{"": NUMBERS}])[""], strict=True):
        np.testing.assert_array_equal(getattr(resumed.standardizations["v"], name), value)


def test_without_statistics_values_stay_as_they_are():
    model = tj.VAE({"x": tj.Modality((3,), "gaussian", standardized=True)}, 2)
    np.testing.assert_array_equal(model.preprocess({"x": [[1.0, 2.0, 3.0]]})["x"], [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("name", "mean", "stddev", "message"),
    [
        ("w", MEAN, DEVIATION, r"'w' is not standardized: make it with Modality\(\.\.\., standardized=True\)"),
        ("x", MEAN[..., 0], DEVIATION, r"its mean must have shape \(6, 6, 3\); got \(6, 6\)"),
        ("x", MEAN, DEVIATION[:1], r"its stddev must have shape \(6, 6, 3\); got \(1, 6, 3\)"),
        ("x", MEAN, 0 * DEVIATION, "means must be finite, and stddevs positive and finite"),
        ("x", MEAN * np.nan, DEVIATION, "means must be finite, and stddevs positive and finite"),
    ],
    ids=["not standardized", "mean's shape", "stddev's shape", "zero", "nan"],
)
def test_statistics_that_do_not_fit_are_refused(name, mean, stddev, message):
    with pytest.raises(ValueError, match=message):
        portrait_model().set_statistics(name, mean, stddev)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "b"), ("a", "b", "c", "d")], ids=str)
def test_entry_names_name_each_entry_of_the_last_axis_once(names):
    with pytest.raises(ValueError, match=r"entry_names must name each of the 3 entries of the last axis once; got \["):
        tj.Modality((3,), "gaussian", entry_names=names)


def test_values_of_a_pipeline_are_checked_before_statistics_are_taken_of_them():
    model = tj.VAE({"v": tj.Modality((2,), "gaussian", standardized=True)}, 2)
    model.compile("sgd", run_eagerly=True)
    values = np.random.default_rng(0).normal(5, 2, (20, 2)).astype(np.float32)
    values[13, 1] = np.nan
    with pytest.raises(ValueError, match=r"Modality 'v' holds nan at index \(13, 1\)"):
        model.fit(tf.data.Dataset.from_tensor_slices({"v": values}).batch(5), verbose=0)


def _standardized(cls, **options):
    small = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
    x = tj.Modality((3,), "bernoulli", optional=True, **small)
    return cls({"x": x, "v": tj.Modality((1,), "gaussian", standardized=True, **small)}, 2, **options)


def test_rows_split_off_for_validation_do_not_count_in_the_statistics():
    model = _standardized(tj.JMVAEKL)
    model.compile("adam")
    v = np.array([[0.0], [2.0], [0.0], [2.0], [100.0]], np.float32)
    history = model.fit({"x": np.ones((5, 3), np.float32), "v": v}, validation_split=0.2, verbose=0)
    np.testing.assert_allclose(model.standardizations["v"].mean, [1.0])
    assert "val_elbo" in history.history


@pytest.mark.parametrize("form", ["arrays", "dataset"])
def test_rows_that_a_model_leaves_out_do_not_count_in_the_statistics(form):
    model = _standardized(tj.CVAE, target="x")
    x = np.array([[0, 1, 1], [1, 0, 0], [np.nan] * 3], np.float32)
    data = {"x": x, "v": np.array([[0.0], [2.0], [100.0]], np.float32)}
    model.adapt(data if form == "arrays" else tf.data.Dataset.from_tensor_slices(data).batch(2))
    np.testing.assert_allclose(model.standardizations["v"].mean, [1.0])
