"""Exports: their layout, what they refuse, what a kill left, two at once, and other libraries that load them."""

import importlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings
from concurrent import futures

import exported
import graph_checks
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_jmvae import evaluation
from tf_jmvae.images import preprocessing_in_graph as image_tensors
from tf_jmvae.serving import card, hub, inspection, signatures

HERE = pathlib.Path(__file__).parent
export = importlib.import_module("tf_jmvae.serving.export")  # as an attribute of the package it is the function
SEEDS = np.array([[1, 2], [3, 4], [5, 6]], np.int32)


@pytest.fixture(scope="module")
def folder(exports):
    return exports("jmvae_kl")


@pytest.fixture
def model():
    return exported.make("jmvae_kl")


@pytest.fixture
def batch():
    return exported.batch("xw", 3)


@pytest.fixture
def quick(folder, monkeypatch):
    """Exports of the same model copy the graph that `folder` has; all else of an export is as ever."""

    def save(model, target, signatures):
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("assets.extra", card.CARD), dirs_exist_ok=True)

    monkeypatch.setattr(tf.saved_model, "save", save)


# Layout.


@pytest.mark.usefixtures("quick")
def test_versions_count_up_and_may_be_named(model, tmp_path):
    assert model.export(tmp_path / "m") == tmp_path / "m" / "1"
    assert model.export(tmp_path / "m" / "9") == tmp_path / "m" / "9"
    assert model.export(tmp_path / "m") == tmp_path / "m" / "10"
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "10", "9"]
    with pytest.raises(FileExistsError, match=r"9 exists; choose another version, or leave it out to get the next"):
        model.export(tmp_path / "m" / "9")


def test_the_card_describes_the_model_and_its_files(folder):
    content = card.read(folder)
    card.verify(folder, content)
    assert (content["name"], content["kind"], content["latent_dim"]) == ("jmvae_kl", "JMVAEKL", 4)
    assert content["modalities"]["x"]["event_shape"] == [6, 6, 1]
    assert content["modalities"]["w"]["likelihood"] == "categorical"
    assert content["signatures"]["sample_x_from_w"]["inputs"] == {
        "seed": {"dtype": "int32", "shape": [None, 2]},
        "w": {"dtype": "float32", "shape": [None, 3]},
    }
    assert content["versions"]["tensorflow"] == tf.__version__


def test_every_direction_has_its_signatures(folder):
    expected = {"encode", "serving_default", "decode", "sample", "reconstruct", "log_likelihood"}
    expected |= {"encode_from_w", "encode_from_x", "encode_from_x_bytes", "encode_from_x_and_w"}
    expected |= {"encode_bytes", "reconstruct_bytes", "log_likelihood_bytes"}
    expected |= {"encode_from_x_and_w_bytes", "generate_x_from_w", "generate_w_from_x", "generate_w_from_x_bytes"}
    expected |= {"sample_x_from_w", "sample_w_from_x", "sample_w_from_x_bytes"}
    expected |= {"latents", "latents_bytes", "latents_from_x", "latents_from_x_bytes", "latents_from_w"}
    expected |= {"latents_from_prior", "latent_noise", "describe"}
    images = ("decode", "sample", "reconstruct", "reconstruct_bytes", "generate_x_from_w", "sample_x_from_w")
    expected |= {f"{name}_as_{form}" for name in images for form in ("uint8", "png")}
    assert card.read(folder)["signatures"].keys() == expected


def test_of_many_modalities_not_every_subset_has_signatures(tmp_path):
    keras.utils.set_random_seed(1)
    modalities = {f"m{index}": exported._modality((2,), "gaussian") for index in range(5)}
    model = exported.tj.JMVAE(modalities, 2)
    sizes = {
        name.count("_and_") + 1
        for name in signatures.endpoints(model, signatures.Settings())
        if name.startswith("encode_from")
    }
    assert sizes == {1, 4, 5}


def test_a_direction_that_the_model_lacks_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="This CVAE cannot start from 'x' alone"):
        exported.make("cvae").export(tmp_path / "m", observed=[["x"]])
    with pytest.raises(ValueError, match="Unknown modality 'y'"):
        exported.make("cvae").export(tmp_path / "m", observed=[["y"]])
    with pytest.raises(ValueError, match=r"observed must be a list of lists of modalities, such as"):
        exported.make("cvae").export(tmp_path / "m", observed=["x", "w"])
    with pytest.raises(ValueError, match="training and metrics must be finite numbers"):
        exported.make("cvae").export(tmp_path / "m", metrics={"elbo": float("nan")})
    with pytest.raises(ValueError, match="num_steps must be a whole number of 1 or more"):
        exported.make("cvae").export(tmp_path / "m", num_steps=0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "m").write_text("a file")
    with pytest.raises(OSError, match="m"):
        model.export(tmp_path / "m")


# What a kill leaves (tests/faults/test_kill.py kills), and two at once.


@pytest.mark.usefixtures("quick")
def test_what_a_killed_export_left_is_removed_after_a_day(model, tmp_path):
    old, new = tmp_path / "m" / ".export-old", tmp_path / "m" / ".export-new"
    for path in (old, new):
        path.mkdir(parents=True)
        (path / "saved_model.pb").touch()
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    for path in (old / "saved_model.pb", old):
        os.utime(path, (two_days_ago, two_days_ago))
    version = model.export(tmp_path / "m")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"1", new.name}  # which somebody may be writing still
    card.verify(version, card.read(version))


@pytest.mark.usefixtures("quick")
def test_two_exports_at_once_write_two_versions(model, tmp_path, monkeypatch):
    """Both have seen that 1 is free before either takes it."""
    both, next_version, seen = threading.Barrier(2), export._next_version, []

    def wait(folder):
        number = next_version(folder)
        seen.append(number)
        if number == 1:
            both.wait(60)
        return number

    monkeypatch.setattr(export, "_next_version", wait)
    with futures.ThreadPoolExecutor(2) as pool:
        written = [*pool.map(lambda _: model.export(tmp_path / "m"), range(2))]
    assert sorted(written) == [tmp_path / "m" / "1", tmp_path / "m" / "2"]
    assert seen == [1, 1, 2]
    assert sorted((tmp_path / "m").iterdir()) == sorted(written)
    for version in written:
        card.verify(version, card.read(version))


# Static checks.


@pytest.fixture(scope="module", params=exported.KINDS)
def any_folder(request, exports):
    return exports(request.param)


def test_the_graph_is_fit_for_servers_and_gpus(any_folder):
    assert graph_checks.stateful_random_ops(any_folder) == []
    assert inspection.unsafe_ops(any_folder) == []
    assert graph_checks.pinned_devices(any_folder) == []
    assert graph_checks.ops_without_gpu_kernel(any_folder) == []
    for name, signature in card.read(any_folder)["signatures"].items():
        for tensor in (*signature["inputs"].values(), *signature["outputs"].values()):
            assert tensor["shape"][0] is None, name
            assert None not in tensor["shape"][1:], name


def test_one_function_decodes_and_one_encodes_the_images_of_all_signatures(any_folder):
    found = graph_checks.ops(any_folder)  # every kind has one modality of images
    assert {op: len(found[op]) for op in ("DecodeJpeg", "EncodePng")} == {"DecodeJpeg": 1, "EncodePng": 1}


# Values.


@pytest.mark.parametrize("kind", ["hierarchical", "cvae"])
def test_the_log_likelihood_is_the_importance_estimate(kind):
    """In the mean over 40 examples, of ten estimates each."""
    model = exported.make(kind)
    batch = exported.batch(model.modalities, 40)  # in the model's own values, as signatures take them
    batch = {name: np.tile(value, (10, *[1] * (value.ndim - 1))) for name, value in batch.items()}
    raw = {name: model.standardizations[name].inverse(batch[name]) for name in model.standardizations}
    raw = batch | {name: value.numpy() for name, value in raw.items()}
    estimate = signatures.endpoints(model, signatures.Settings())["log_likelihood"].function
    seeds = tf.constant(np.random.default_rng(0).integers(0, 999, (400, 2)), tf.int32)
    found = estimate({**batch, "seed": seeds})["log_likelihood"].numpy().reshape(10, 40)
    expected = _importance(model, raw).values.reshape(10, 40)
    spread = found.mean(axis=1).std() + expected.mean(axis=1).std()
    assert 0 < spread < 1
    assert abs(found.mean() - expected.mean()) < 4 * spread / np.sqrt(10)


def _importance(model, batch):
    options = {"num_samples": 100, "verbose": 0}
    if not model.conditions:
        return evaluation.joint_log_likelihood(model, batch, **options)
    return evaluation.conditional_log_likelihood(
        model, batch, target=model.targets, given=model.conditions, estimator="importance", **options
    )


def test_a_seed_of_a_row_gives_what_the_model_gives(folder, model, batch):
    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures["sample_x_from_w"](w=tf.constant(batch["w"]), seed=tf.constant(SEEDS))["x"]
    for row in range(3):
        expected = model.generate({"w": batch["w"][row : row + 1]}, seed=SEEDS[row])["x"][0]
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


# Other libraries.


def test_the_reusable_interface(folder, model, batch):
    loaded = tf.saved_model.load(str(folder))
    expected = model.posterior(batch).mean()
    np.testing.assert_allclose(loaded(batch), expected, atol=1e-5)
    np.testing.assert_allclose(loaded(batch, training=True), expected, atol=1e-5)
    np.testing.assert_allclose(loaded.generate_x_from_w({"w": batch["w"]})["x"].shape, (3, 6, 6, 1))
    assert len(loaded.trainable_variables) == len(loaded.variables) == len(model.encoder.weights)
    assert list(loaded.regularization_losses) == []
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(batch, training=True))
    gradients = tape.gradient(loss, loaded.trainable_variables)
    assert sum(gradient is not None for gradient in gradients) == len(gradients)


def test_regularizers_are_exported_as_losses(tmp_path):
    def dense():
        return keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.5))

    modalities = {name: exported.tj.Modality((3,), "gaussian", encoder=dense(), decoder=dense()) for name in ("a", "b")}
    model = exported.tj.JMVAE(modalities, 2)
    loaded = tf.saved_model.load(str(model.export(tmp_path / "m", observed=[["a"]])))
    kernels = [tower.get_weights()[0] for tower in model.encoder.towers.towers.values()]
    expected = [0.5 * np.square(kernel).sum() for kernel in kernels]
    np.testing.assert_allclose([float(loss()) for loss in loaded.regularization_losses], expected, rtol=1e-5)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK"])
def test_grey_models_read_every_kind_of_image(model, form, mode):
    if mode == "CMYK" and form != "JPEG":
        pytest.skip("only JPEG holds CMYK")
    if (form, mode) == ("JPEG", "P"):
        pytest.skip("JPEG has no palette")
    grey = np.clip(np.add.outer(np.arange(6), np.arange(6)) * 25, 0, 255).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    file = io.BytesIO()
    image = Image.fromarray(grey)
    image = image.convert("RGB").convert(mode) if mode == "CMYK" else image.convert(mode)
    image.save(file, form)
    found = image_tensors.from_bytes(tf.constant([file.getvalue()]), model.modalities["x"].spec)[0, ..., 0]
    np.testing.assert_allclose(found, grey[::8, ::8] / 255, atol=0.12)


def test_tensorflow_hub_loads_it(folder, model, batch):
    tensorflow_hub = hub.import_tensorflow_hub()
    loaded = tensorflow_hub.load(str(folder))
    np.testing.assert_allclose(loaded(batch), model.posterior(batch).mean(), atol=1e-5)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        layer = tensorflow_hub.KerasLayer(str(folder))
        np.testing.assert_allclose(layer(batch), model.posterior(batch).mean(), atol=1e-5)
        layer = tensorflow_hub.KerasLayer(str(folder), signature="generate_x_from_w", signature_outputs_as_dict=True)
        found = layer({"w": batch["w"]})["x"]
    np.testing.assert_allclose(found, model.generate({"w": batch["w"]}, latent="mean")["x"], atol=1e-5)


def test_keras_loads_it_as_a_layer(folder, model, batch):
    layer = keras.layers.TFSMLayer(str(folder), call_endpoint="generate_x_from_w")
    expected = model.generate({"w": batch["w"]}, latent="mean")["x"]
    np.testing.assert_allclose(layer({"w": batch["w"]})["x"], expected, atol=1e-5)
    inputs = keras.Input((3,), name="w")
    functional = keras.Model(inputs, layer({"w": inputs}))
    np.testing.assert_allclose(functional.predict(batch["w"], verbose=0)["x"], expected, atol=1e-5)


def test_a_plain_process_loads_it_without_the_package(folder):
    code = (
        "import sys, tensorflow as tf\n"
        f"loaded = tf.saved_model.load({str(folder)!r})\n"
        "print(loaded.signatures['sample'](seed=tf.constant([[1, 2]]))['x'].shape)\n"
        "assert not [name for name in sys.modules if name.startswith(('tf_jmvae', 'tensorflow_probability'))]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "(1, 6, 6, 1)"


def test_the_pretrained_model_names_and_draws_digits():
    loaded = hub.load(HERE.parents[1] / "saved_models" / "mnist_jmvae_kl")
    labels = np.eye(10, dtype=np.float32)
    images = loaded.generate({"w": labels}, latent="mean")["x"]
    named = loaded.generate({"x": images}, latent="mean")["w"].argmax(axis=1)
    np.testing.assert_array_equal(named, np.arange(10))
    pictures = loaded.generate({"w": labels}, images="png", seed=1)["x"]
    named = loaded.generate({"x": list(pictures)}, latent="mean")["w"].argmax(axis=1)
    assert (named == np.arange(10)).sum() >= 8
    assert loaded.card["metrics"]["accuracy_w_from_x"] > 0.97


def test_the_pretrained_model_is_small_and_says_where_it_comes_from():
    root = HERE.parents[1] / "saved_models" / "mnist_jmvae_kl" / "1"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 16 * 2**20
    content = json.loads((root / "model_card.json").read_text())
    assert content["training"]["config"]["preset"] == "mnist-jmvae-kl"
    assert re.fullmatch("[0-9a-f]{40}", content["commit"])
