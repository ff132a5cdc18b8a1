"""What the studies draw: each model's own images, each batch from its own seed, and the paper's noise."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_models import small_modalities

import tf_jmvae as tj
from tf_jmvae.studies.celeba import measurements as celeba_measurements
from tf_jmvae.studies.celeba import page as celeba_page
from tf_jmvae.studies.collector import COMPARED
from tf_jmvae.studies.mnist import page as mnist_page
from tf_jmvae.studies.mnist.plan import SCALES


class _Tensor(types.SimpleNamespace):
    def numpy(self):
        return self.values


def _drawer(number):
    """A model whose images say which one it is and from which seed they are."""

    def generate(given, *, seed, **_):
        return {"x": np.full((len(given["w"]), 2, 2, 1), 50 * number, np.uint8) + seed.numpy()[1]}

    return types.SimpleNamespace(generate=generate, pixels=lambda name, images: _Tensor(values=255 - images))


def test_each_panel_of_figure_3_shows_its_own_model_after_each_number_of_steps(monkeypatch):
    shown = []
    monkeypatch.setattr(mnist_page, "images_over_steps", lambda *arguments, **_: shown.append(arguments))
    monkeypatch.setattr(mnist_page, "bounds_over_steps", lambda *_: None)
    monkeypatch.setattr(mnist_page, "_latent_spaces", lambda *_: None)
    models = {name: _drawer(number) for number, name in enumerate(COMPARED, start=1)}
    measured = {f"figure-5/{name}-2d": {"points": []} for name in COMPARED}
    scale = dataclasses.replace(SCALES["quick"], steps=(1, 8, 32))
    source = types.SimpleNamespace(class_names=[*"0123456789"])
    mnist_page.figures(scale, models.__getitem__, source, measured, 3)
    ((images, steps),) = shown
    assert steps == scale.steps
    for number, name in enumerate(COMPARED, start=1):
        assert np.unique(images[name], axis=1).reshape(3, -1).tolist() == [
            [50 * number + steps] * 4 for steps in scale.steps
        ]


def test_faces_of_one_list_of_attributes_differ_between_batches_and_can_be_repeated(monkeypatch):
    monkeypatch.setattr(celeba_measurements, "_BATCH", 4)
    model = tj.JMVAEKL(small_modalities(), 3)
    attributes = np.tile(np.eye(3, dtype=np.float32)[[1]], (11, 1))
    made = celeba_measurements.generate(model, attributes, latent="sample", seed=5)
    assert len(np.unique(made.reshape(11, -1).round(6), axis=0)) == 11
    np.testing.assert_array_equal(celeba_measurements.generate(model, attributes, latent="sample", seed=5), made)
    assert (celeba_measurements.generate(model, attributes, latent="sample", seed=6) != made).any()


def test_faces_are_generated_by_the_steps_that_are_asked_for(monkeypatch):
    monkeypatch.setattr(celeba_measurements, "_BATCH", 4)
    model = tj.JMVAE(small_modalities(), 3)
    attributes = np.eye(3, dtype=np.float32)
    for steps in (1, 5):
        made = celeba_measurements.generate(model, attributes, num_steps=steps, seed=5)
        options = {"num_steps": steps, "latent": "mean", "seed": tf.constant([5, 0])}
        expected = model.pixels("x", model.generate({"w": attributes}, **options)["x"])
        np.testing.assert_array_equal(made, expected)
    assert (celeba_measurements.generate(model, attributes, num_steps=1, seed=5) != made).any()


def test_faces_of_figure_8_vary_by_noise_of_the_papers_variance():
    """`z = z_mean + sigma * epsilon`, epsilon ~ N(0, 0.6), equal in every row."""
    names, dim = ("Male", "Bald", "Smiling"), 64
    spread = np.linspace(0.5, 2.0, dim, dtype=np.float32)

    def posterior(observed):
        mean = np.repeat(observed["w"].sum(axis=1, keepdims=True), dim, axis=1).astype(np.float32)
        return tfp.distributions.MultivariateNormalDiag(mean, spread)

    def likelihoods(z, names):
        return {"x": types.SimpleNamespace(mean=lambda: z)}

    def pixels(name, images):
        return _Tensor(values=images)

    model = types.SimpleNamespace(latent_dim=dim, posterior=posterior, likelihoods=likelihoods, pixels=pixels)
    images, latents = celeba_page._variations(model, np.array([1, -1, -1]), names, seed=0)
    means = {"Base": -1, "Not Male": -4, "Bald": 2, "Smiling": 2}  # sums of the attributes
    assert list(latents) == list(means)
    noises = {}
    for title, z in latents.items():
        np.testing.assert_allclose(z[0], means[title])
        np.testing.assert_array_equal(images[title], z[: len(images[title])])
        noises[title] = (z[1:] - z[0]) / spread
        np.testing.assert_allclose(noises[title], noises["Base"], atol=1e-5)
    assert noises["Base"].size == 150 * dim
    assert noises["Base"].var() == pytest.approx(0.6, abs=0.04)  # 4.6 standard errors
    assert noises["Base"].mean() == pytest.approx(0, abs=0.04)
