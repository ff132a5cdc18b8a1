"""Of a hierarchy the page and the command show what the model generates, from the top layer down."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from two_layers import CLASSES, PICTURES, two_layers

import tf_jmvae as tj
from tf_jmvae import cli

pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")

from tf_jmvae.demo import generate, interpolate, recognise, walk
from tf_jmvae.demo.interface import DemoModel

LABELS = np.eye(CLASSES, dtype=np.float32)
VALUES = PICTURES / np.float32(255)


def _pictures(model, *how):
    return generate.drawn(model, *how)[model.picture]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hierarchy")
    two_layers().save(folder / "model.keras")
    two_layers().export(folder / "exported", num_samples=4)
    for number, picture in enumerate(PICTURES):
        Image.fromarray(picture[..., 0]).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module", params=["model.keras", "exported"])
def handle(request, folder):
    return folder / request.param


@pytest.fixture(scope="module")
def page(handle):
    return DemoModel(tj.open_model(handle))


def _right(w):
    return np.mean(np.argmax(w, axis=-1) == np.arange(CLASSES))


def test_the_lower_layer_alone_would_name_every_label_and_the_model_a_third():
    model = two_layers()
    from_below = model.likelihoods(model.posterior({"x": VALUES}).mean())["w"].mean()
    assert _right(from_below) == 1
    assert _right(model.generate({"x": VALUES}, latent="mean")["w"]) == pytest.approx(1 / CLASSES)


def test_the_page_reads_pictures_as_the_model_does(page):
    drawn = two_layers().generate({"x": VALUES}, num_samples=4000, seed=1)["w"].numpy()
    error = 5 * drawn.std(axis=1) / 10  # of 100 samples
    for number, picture in enumerate(PICTURES):
        *_, again, reading = recognise.answer(page, picture)
        found = np.array(list(reading.values()))
        assert np.all(np.abs(found - drawn[number].mean(axis=0)) < error[number])
        assert found.max() < 0.6
        expected = two_layers().reconstruct({"x": VALUES[number : number + 1]}, latent="mean")["x"]
        np.testing.assert_allclose(again, 255 * expected[0], atol=0.51)


def test_what_the_page_generates_from_a_label_is_what_the_model_generates(page):
    model = two_layers()
    expected = 255 * model.generate({"w": LABELS}, latent="mean")["x"].numpy()
    for number in range(CLASSES):
        np.testing.assert_allclose(_pictures(page, str(number), 0, 0.0, 1)[0], expected[number], atol=0.51)
    noise = page.noise(3, 4)
    z = model.draw_latents(model.posterior({"w": LABELS[[1] * 4]}), tf.constant(noise))
    drawn = 255 * model.likelihoods(z)["x"].mean().numpy()
    np.testing.assert_allclose(_pictures(page, "1", 3, 1.0, 4), drawn, atol=0.51)


def test_ends_of_interpolations_and_the_plane_are_z_of_the_model(page):
    model = two_layers()
    z = model.draw_latents(model.posterior({"w": LABELS}), tf.zeros((CLASSES, 2 * CLASSES)))
    np.testing.assert_allclose(interpolate.ends_of_choices(page, "0", "2"), z.numpy()[[0, 2]], atol=1e-5)
    np.testing.assert_allclose(interpolate.ends_of_pictures(page, PICTURES[0], PICTURES[1]), z.numpy()[:2], atol=1e-5)
    ends = interpolate.between(page, interpolate.ends_of_choices(page, "0", "2"), 3)
    assert list(ends["w"].argmax(axis=1)) == [0, 0, 0]
    np.testing.assert_allclose(walk.Plane(page).centre, z.numpy().mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("latent", ["mean", "sample"])
def test_the_command_generates_what_the_model_generates(folder, handle, latent, tmp_path):
    words = ["--given", *(f"x={folder / f'{number}.png'}" for number in range(CLASSES)), "--target", "w", "x"]
    words += ["--latent", latent, "--num-samples", "50", "--seed", "4", "--output", str(tmp_path / "out.npz")]
    assert cli.main(["generate", str(handle), *words]) == 0
    rows = np.random.default_rng(4).integers(0, 2**31, (CLASSES * 50, 2), np.int32)
    repeated = {"x": np.repeat(VALUES, 50, axis=0)}
    made = two_layers().generate(repeated, targets=["w", "x"], latent=latent, seed=tf.constant(rows))
    with np.load(tmp_path / "out.npz") as found:
        for name in ("w", "x"):
            expected = made[name].numpy().reshape(found[name].shape)
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)
        assert _right(found["w"].mean(axis=1)) < 1
