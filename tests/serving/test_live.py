"""Live models behind the one interface: many modalities, odd names and inputs, threads, options."""

import itertools
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import small_batch, small_modalities

import tf_jmvae as tj


def _gaussians(names):
    mlp = tj.networks.mlp
    return {name: tj.Modality((2,), "gaussian", encoder=mlp([4]), decoder=mlp([4])) for name in names}


def test_of_many_modalities_every_subset_can_be_asked_in_any_order():
    model = tj.JMVAE(_gaussians("abcde"), 2)
    v = np.ones((3, 2), np.float32)
    zeros = np.zeros((3, 2), np.int32)
    for given in (("a", "b"), ("c", "a", "e")):
        observed = dict.fromkeys(given, v)
        made = tj.open_model(model).generate(observed, targets=["d"], latent="mean")["d"]
        expected = model.generate(observed, targets=["d"], latent="mean", seed=zeros)["d"]
        np.testing.assert_allclose(made, expected, atol=1e-5)
        assert tj.open_model(model).encode(observed)["mean"].shape == (3, 2)
        assert set(tj.open_model(model).reconstruct(observed)) == set(given)


def test_threads_may_ask_for_new_subsets_at_once():
    opened, errors = tj.open_model(tj.JMVAE(_gaussians("abcdef"), 2)), []

    def ask(subsets):
        try:
            assert all(opened.starts_from(subset) for subset in subsets)
        except Exception as error:
            errors.append(error)

    subsets = list(itertools.combinations("abcdef", 3))
    threads = [threading.Thread(target=ask, args=(subsets[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_an_image_may_be_called_what_z_has(tmp_path):
    x, w = small_modalities("xw").values()
    model = tj.JMVAEKL({"mean": x, "w": w}, 2)
    opened = tj.open_model(model.export(tmp_path / "m"))
    assert opened.encode({"w": np.eye(3)})["mean"].shape == (3, 2)
    assert opened.generate({"w": np.eye(3)}, images="uint8", seed=1)["mean"].shape == (3, 4, 4, 1)


@pytest.mark.parametrize("name", ["bytes", "as_png", "as_uint8"])
def test_names_that_would_be_taken_for_endings_are_refused(name):
    x, w = small_modalities("xw").values()
    with pytest.raises(ValueError, match="so a name must be"):
        tj.JMVAEKL({"x": x, name: w}, 2)


def test_a_word_of_python_is_no_input_of_a_saved_model(tmp_path):
    x, w = small_modalities("xw").values()
    model = tj.JMVAEKL({"x": x, "class": w}, 2)
    assert tj.open_model(model).generate({"class": np.eye(3)}, latent="mean")["x"].shape == (3, 4, 4, 1)
    with pytest.raises(ValueError, match=r"by a keyword of Python; rename \['class'\]"):
        model.export(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_entry_names_are_texts():
    with pytest.raises(ValueError, match="entry_names must be strings"):
        tj.Modality((2,), "gaussian", entry_names=range(2))


def test_a_number_of_steps_changes_nothing_else_of_the_options():
    model = tj.JMVAE(small_modalities("xw"), 2)
    observed = small_batch("w")
    noise = tj.IteratedSampling(2, "noise")
    expected = model.generate(observed, iterated_sampling=noise, seed=1)["x"]
    found = model.generate(observed, iterated_sampling=tj.IteratedSampling(7, "noise"), num_steps=2, seed=1)["x"]
    np.testing.assert_array_equal(found, expected)


def test_the_options_of_a_model_may_be_set_and_are_checked_and_saved(tmp_path):
    model = tj.JMVAE(small_modalities("xw"), 2, iterated_sampling=tf.constant(3))
    model.save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").iterated_sampling == tj.IteratedSampling(3)
    model.iterated_sampling = 5
    assert model.iterated_sampling == tj.IteratedSampling(5)
    assert model.spec.num_steps == tj.open_model(model).spec.num_steps == 5
    with pytest.raises(TypeError, match="must be an IteratedSampling or a number of steps; got 'zz'"):
        model.iterated_sampling = "zz"


def test_an_objective_may_call_the_models_own_posterior():
    class Watching(tj.JMVAE):
        def objective(self, batch, seed, training=False):
            self.posterior(batch)
            return super().objective(batch, seed, training)

    model = Watching(small_modalities("xw"), 2)
    model.compile("adam")
    assert np.isfinite(model.fit(small_batch("xw"), verbose=0).history["loss"]).all()


def test_a_broken_image_is_named_without_the_stack():
    model = tj.open_model(tj.JMVAEKL(small_modalities("xw"), 2))
    with pytest.raises(ValueError, match="refuses these inputs") as error:
        model.generate({"x": [b"abc"]})
    assert 'File "' not in str(error.value)


@pytest.mark.parametrize("value", [None, b"abc", "abc"])
def test_what_is_no_batch_is_refused(value):
    model = tj.open_model(tj.JMVAEKL(small_modalities("xw"), 2))
    with pytest.raises(
        TypeError, match=r"'x': expected an array, or a list of encoded images as bytes or of texts; got "
    ):
        model.generate({"x": value})


@pytest.mark.parametrize("handle", [None, 3, keras.Sequential()])
def test_other_handles_are_refused(handle):
    with pytest.raises(TypeError, match="Expected a path, an address or a model of tf_jmvae; got "):
        tj.open_model(handle)


def test_a_file_may_be_given_another_name(tmp_path):
    tj.JMVAEKL(small_modalities("xw"), 2).save(tmp_path / "m.keras")
    assert tj.open_model(tmp_path / "m.keras", name="other").spec.name == "other"
