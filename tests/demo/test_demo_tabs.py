"""What the tabs answer, of the pre-trained MNIST model and of a linear model of portraits, exported and live."""

import asyncio
import base64
import pathlib
import re
import types

import numpy as np
import pytest
from exported import KINDS, make
from PIL import Image
from portrait_model import NAMES, attributes_of, edited, portrait_model

import tf_jmvae as tj

pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")

import gradio as gr

from tf_jmvae.data import log_mel
from tf_jmvae.demo import edit, generate, interface, interpolate, recognise, sample, walk
from tf_jmvae.demo.components import answers
from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.demo.page import page
from tf_jmvae.serving.hub import HubModel
from tf_jmvae.serving.local import LiveModel
from tf_jmvae.specs import ModalitySpec, ModelSpec

ROOT = pathlib.Path(__file__).parents[2]
SAVED = ROOT / "saved_models/mnist_jmvae_kl"
TABS = (generate, recognise, edit, walk, sample, interpolate)
PORTRAIT = np.random.default_rng(1).integers(60, 190, (6, 6, 3)).astype(np.uint8)


def open_model(handle, **options):
    return DemoModel(tj.open_model(handle, **options))


@pytest.fixture(scope="module")
def mnist():
    return open_model(SAVED)


@pytest.fixture(scope="module")
def hub_model():
    return tj.hub.load(SAVED)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "linear.keras"
    portrait_model().save(path)
    return open_model(path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return open_model(portrait_model().export(tmp_path_factory.mktemp("exported") / "linear").parent)


def _pictures(model, *how):
    return generate.drawn(model, *how)[model.picture]


def _assert_pixels(found, expected):
    """Whole grey levels of these."""
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=0.51)


def _label(k):
    return np.eye(10, dtype=np.float32)[[k]]


def test_each_path_gives_its_kind_of_model(mnist, live, exported):
    assert [type(m.model) for m in (mnist, live, exported)] == [HubModel, LiveModel, HubModel]
    assert (mnist.picture, mnist.label, mnist.attributes, mnist.dataset) == ("x", "w", None, "mnist")
    for model in (live, exported):
        assert (model.name, model.picture, model.label, model.attributes) == ("linear", "x", None, "w")
    assert [model.model.latent_size for model in (mnist, live, exported)] == [64, 2, 2]


def test_tabs_are_those_that_the_model_can_fill(mnist, live, exported):
    assert [tab for tab in TABS if tab.can(mnist)] == [generate, recognise, walk, sample, interpolate]
    assert [tab for tab in TABS if tab.can(live)] == [tab for tab in TABS if tab.can(exported)] == list(TABS)


def test_a_one_way_model_generates_and_does_no_more():
    def modality(shape, likelihood):
        return tj.Modality(shape, likelihood, encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))

    cvae = tj.CVAE({"x": modality((4, 4, 1), "bernoulli"), "w": modality((3,), "categorical")}, 2, target="x")
    model = open_model(cvae, name="cvae")
    assert [tab for tab in TABS if tab.can(model)] == [generate]
    levels = _pictures(model, "1", 0, 1.0, 3)
    z = model.noise(0, 3)  # its z given w is that of the prior
    expected = cvae.likelihoods(z, conditions={"w": np.eye(3, dtype=np.float32)[[1, 1, 1]]})["x"].mean()
    _assert_pixels(levels, 255 * np.asarray(expected))


def test_without_spread_every_picture_is_the_mean_picture(mnist, hub_model):
    levels = _pictures(mnist, "3", 5, 0.0, 4)
    expected = 255 * hub_model.generate({"w": _label(3)}, latent="mean")["x"]
    _assert_pixels(levels, np.repeat(expected, 4, axis=0))


def test_samples_are_those_of_the_model_and_named_by_what_is_beside_them(mnist, hub_model):
    drawn = hub_model.sample(5, seed=3)
    found = sample.samples(mnist, "standard", 3, 5)
    _assert_pixels(found["x"], 255 * drawn["x"])
    np.testing.assert_array_equal(found["x"][:2], sample.samples(mnist, "standard", 3, 2)["x"])
    text, shown = sample._answer(mnist, "standard", 3, 5)
    labels = drawn["w"].argmax(axis=1)
    assert [caption for _, caption in shown] == [str(k) for k in labels]
    read = mnist.decode(mnist.model.latents({"x": found["x"]}), {})["w"].argmax(axis=1)
    assert (
        text == f"5 samples; the model itself reads {np.sum(read == labels)} of the pictures as the label beside them."
    )


def test_samples_come_from_the_fitted_prior_where_there_is_one(tmp_path):
    model = portrait_model()
    random = np.random.default_rng(0)
    data = {"x": random.integers(0, 255, (40, 6, 6, 3)), "w": random.choice([-1.0, 1.0], (40, len(NAMES)))}
    model.fit_prior(data, components=2)
    page = open_model(model.export(tmp_path / "linear").parent)
    assert page.model.has_fitted_prior
    drawn = page.model.sample(3, prior="fitted", seed=1)
    _assert_pixels(
        sample.samples(page, "fitted", 1, 3)["x"], page.model.sample(3, prior="fitted", seed=1, images="uint8")["x"]
    )
    _, shown = sample._answer(page, "fitted", 1, 3)
    for (_, caption), means in zip(shown, drawn["w"], strict=True):
        there = [name for name, mean in zip(page.names, means, strict=True) if mean > 0]
        assert caption == (", ".join(name.replace("_", " ").lower() for name in there) or "no attribute")


def test_spread_scales_the_standard_deviation_of_z(mnist, hub_model):
    q = hub_model.encode({"w": _label(3)})
    for spread in (1.0, 0.5):
        z = q["mean"] + spread * q["standard_deviation"] * mnist.noise(5, 4)
        expected = 255 * hub_model.decode(z.astype(np.float32))["x"]
        _assert_pixels(_pictures(mnist, "3", 5, spread, 4), expected)


def test_equal_seeds_give_equal_pictures_however_many(mnist):
    few, many, other = (_pictures(mnist, "3", seed, 1.0, n).astype(int) for seed, n in ((5, 4), (5, 9), (6, 4)))
    assert np.abs(few - many[:4]).max() <= 1
    assert np.abs(few - other).mean(axis=(1, 2, 3)).min() > 1


@pytest.mark.parametrize("digit", range(10))
def test_the_mean_picture_of_a_label_is_recognised(mnist, digit):
    pixels = _pictures(mnist, str(digit), 0, 0.0, 1)[0]
    text, seen, again, reading = recognise.answer(mnist, pixels[..., 0])
    assert max(reading, key=reading.get) == str(digit)
    assert str(digit) in text
    assert sum(reading.values()) == pytest.approx(1)
    assert set(np.unique(seen)) == {0, 255}
    assert again.shape == (28, 28, 1)


@pytest.mark.parametrize("path", recognise.EXAMPLES, ids=lambda path: path.name)
def test_examples_are_recognised(mnist, path):
    values = recognise.answer(mnist, path)[3]
    assert max(values, key=values.get) == path.stem


def test_probabilities_are_the_mean_over_the_posterior(mnist, hub_model):
    pixels = np.where(np.asarray(Image.open(recognise.EXAMPLES[1]))[..., None] > 127, 255, 0).astype(np.uint8)
    found = np.array(list(mnist.read(pixels)[0].values()))
    samples = hub_model.generate({"x": pixels[None] / 255}, num_samples=4000, seed=3)["w"][0]
    error = samples.std(axis=0) / np.sqrt(100)
    assert np.all(np.abs(found - samples.mean(axis=0)) < 5 * error + 1e-3)


@pytest.mark.parametrize(("p", "words"), [(1.0, "> -0.001 nats"), (0.9996, "> -0.001 nats"), (0.999, "= -0.001 nats")])
def test_a_log_probability_that_would_round_to_nothing_is_bounded(p, words):
    assert f"log p(4 | picture) {words}" in interface._how_sure({"4": p, "9": 1 - p})


@pytest.mark.parametrize(
    ("p", "words"), [(0.999, "all but certain"), (0.95, "quite sure"), (0.7, "Probably a 4"), (0.5, "cannot decide")]
)
def test_words_say_how_sure_the_model_is(p, words):
    class Fixed(DemoModel):
        def decode(self, z, conditions=None):
            w = np.full((len(z), 10), (1 - p) / 9)
            w[:, 4] = p
            return {"w": w}

    modalities = {"x": ModalitySpec((28, 28, 1), "bernoulli"), "w": ModalitySpec((10,), "categorical")}
    known = types.SimpleNamespace(spec=ModelSpec("JMVAEKL", modalities, 2), latent_size=2)
    known.latents = lambda observed, noise=None, *, seed=0: noise
    _, found = Fixed(known).read(np.zeros((28, 28, 1), np.uint8))
    assert words in found
    assert f"{np.log(p):.3f}" in found


@pytest.mark.parametrize("kind", ["live", "exported"])
def test_attributes_of_a_portrait_are_those_of_the_linear_model(kind, request):
    _, seen, _, reading = recognise.answer(request.getfixturevalue(kind), PORTRAIT)
    np.testing.assert_array_equal(seen, PORTRAIT)
    assert list(reading) == list(NAMES)
    expected = np.clip((1 + attributes_of(PORTRAIT)) / 2, 0, 1)  # of attributes that are 1 or -1, with these means
    np.testing.assert_allclose(list(reading.values()), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["live", "exported"])
def test_an_edit_is_that_of_the_linear_model(kind, request):
    model = request.getfixturevalue(kind)
    before, after = edit.edited(model, PORTRAIT, "none", ["Smiling"], ["Eyeglasses"], 0.5)
    expected = edited(PORTRAIT, {"Smiling": 0.5, "Eyeglasses": -0.5})
    assert np.abs(expected - PORTRAIT).max() > 3
    np.testing.assert_array_equal(before, PORTRAIT)
    _assert_pixels(after, expected)


def test_an_attribute_cannot_be_added_and_taken_away(live):
    with pytest.raises(PictureError, match="smiling cannot be both"):
        edit.edited(live, PORTRAIT, "none", ["Smiling"], ["Smiling", "Male"], 1)


def test_both_interfaces_decode_and_encode_the_same(live, exported):
    pictures, z = {"x": PORTRAIT[None]}, live.noise(0, 5)
    np.testing.assert_allclose(exported.model.latents(pictures), live.model.latents(pictures), rtol=1e-4, atol=1e-5)
    assert np.abs(exported.decode(z)["x"].astype(int) - live.decode(z)["x"]).max() <= 1
    np.testing.assert_allclose(exported.decode(z)["w"], live.decode(z)["w"], rtol=1e-4, atol=1e-5)


def test_the_plane_of_two_entries_is_z_itself(live):
    plane = walk.Plane(live)
    np.testing.assert_allclose(plane.z(0.4, -0.2), [1.0, -0.5])


def test_the_plane_passes_closer_to_the_labels_than_any_other(mnist, hub_model):
    plane = walk.Plane(mnist)
    means = np.concatenate([hub_model.encode({"w": _label(k)})["mean"] for k in range(10)]).astype(np.float64)
    centred = means - means.mean(axis=0)
    directions = np.stack([plane.across, plane.up])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-6)
    left = np.sum(centred**2) - np.sum((centred @ directions.T) ** 2)
    assert left == pytest.approx(np.sum(np.linalg.eigvalsh(centred @ centred.T)[:-2]), rel=1e-4)
    a, b = (centred @ directions.T / np.linalg.norm([plane.across, plane.up], axis=1)).T
    assert max(np.abs(a).max(), np.abs(b).max()) < 1


def test_the_grid_shows_what_its_places_decode_to(mnist):
    plane = walk.Plane(mnist)
    width, height = plane.grid(0, 0).size
    for x, y, expected in ((1, 1, (-1, 1)), (width - 1, height - 1, (1, -1)), (width // 2, height // 2, (0, 0))):
        assert plane.place(x, y) == expected
    a, b = plane.place(int(0.3 * width), int(0.9 * height))
    side = width // plane.cells
    column, row = (round(v) for v in ((a + 1) / 2 * (plane.cells - 1), (1 - b) / 2 * (plane.cells - 1)))
    cell = plane.grid(0, 0).convert("L").crop((column * side, row * side, (column + 1) * side, (row + 1) * side))
    expected = Image.fromarray(mnist.decode(plane.z(a, b)[None])["x"][0, ..., 0])
    difference = np.asarray(cell, int) - np.asarray(expected.resize(cell.size, Image.Resampling.NEAREST), int)
    assert np.abs(difference).max() <= 1
    assert np.asarray(expected).max() > 100


def test_the_ends_of_an_interpolation_are_the_two_labels(mnist, hub_model):
    levels = interpolate.between(mnist, interpolate.ends_of_choices(mnist, "3", "8"), 7)["x"]
    assert levels.shape == (7, 28, 28, 1)
    for found, k in ((levels[0], 3), (levels[-1], 8)):
        expected = 255 * hub_model.generate({"w": _label(k)}, latent="mean")["x"][0]
        _assert_pixels(found, expected)
    halves = hub_model.encode({"w": np.concatenate([_label(3), _label(8)])})["mean"].mean(axis=0, keepdims=True)
    _assert_pixels(levels[3], 255 * hub_model.decode(halves)["x"][0])


def test_the_ends_of_an_interpolation_are_the_two_pictures_reconstructed(mnist):
    first, last = recognise.EXAMPLES[0], recognise.EXAMPLES[-1]
    levels = interpolate.between(mnist, interpolate.ends_of_pictures(mnist, first, last), 2)["x"]
    for found, path in zip(levels, (first, last), strict=True):
        assert np.abs(found.astype(int) - recognise.answer(mnist, path)[2]).max() <= 1


def test_a_handler_says_what_it_does_and_what_is_wrong():
    def refuse(count):
        raise PictureError(f"no <image> {count}")

    doing, refused = answers("Drawing {} pictures ...", refuse, [], [None, None], ())(16)
    assert "Drawing 16 pictures ..." in doing[0]
    assert "no &lt;image&gt; 16" in refused[0]
    assert refused[1] is None  # nor is an older answer left, as if it were about this picture
    done = list(answers("Drawing ...", lambda: ("Done", 7), [], [None, None], ())())[-1]
    assert re.search(r"Done \(\d+\.\d\d s\)", done[0])
    assert done[1] == 7


def test_what_a_board_sends_is_an_image_or_refused():
    encoded = recognise.EXAMPLES[0].read_bytes()
    assert recognise.drawing("data:image/png;base64," + base64.b64encode(encoded).decode()) == encoded
    assert recognise.drawing("") is None
    for text in ("/etc/passwd", "data:image/png;base64,?", "data:image/png;base64," + "A" * 10**6):
        with pytest.raises(PictureError, match="not a drawing"):
            recognise.drawing(text)


def test_a_model_without_pictures_has_no_page():
    networks = {"encoder": tj.networks.mlp([2]), "decoder": tj.networks.mlp([2])}
    numbers = tj.Modality((3,), tj.heads.Gaussian(variance=1.0), **networks)
    with pytest.raises(ValueError, match=r"modalities 'v': the page shows pictures"):
        page(open_model(tj.VAE({"v": numbers}, 2)))


def _built(model):
    async def built():
        return page(model)

    return asyncio.run(built())  # without a loop that runs, Gradio makes its own and leaves them open


def _tabs(model):
    blocks = _built(model)
    return [c["props"]["label"] for c in blocks.config["components"] if c["type"] == "tabitem"]


@pytest.mark.parametrize("kind", ["live", "exported"])
def test_the_page_of_a_model_of_portraits_is_built(kind, request, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert _tabs(request.getfixturevalue(kind)) == [tab.TITLE for tab in TABS]


WITHOUT_ATTRIBUTES = ["Generate", "Recognise", "Walk", "Sample", "Interpolate"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_every_kind_of_model_is_built(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    expected = {"vae": ["Generate", "Walk", "Interpolate"], "cvae": ["Generate"], "cmma": ["Generate"]}
    expected["gan"] = [tab.TITLE for tab in TABS]  # with attributes
    assert _tabs(open_model(make(kind), name=kind, iterated_sampling=2)) == expected.get(kind, WITHOUT_ATTRIBUTES)


@pytest.fixture(scope="module")
def speaking():
    """A model of images, spectrograms and labels that was trained on nothing."""

    def modality(shape, likelihood):
        return tj.Modality(shape, likelihood, encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))

    modalities = {
        "image": modality((28, 28, 1), "bernoulli"),
        "sound": modality(log_mel.SHAPE, "gaussian"),
        "w": modality((10,), "categorical"),
    }
    training = {"config": {"data": {"dataset": "spoken-digits"}}}
    return DemoModel(LiveModel(tj.JMVAEKL(modalities, 2), name="speaking", training=training))


def test_a_click_plays_the_sound_that_was_generated_with_the_picture(speaking, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert (speaking.picture, speaking.sound, speaking.handwriting) == ("image", "sound", "mnist")
    _, pictures, sounds = generate._answer(speaking, "3", 5, 1.0, 4)
    assert (len(pictures), sounds.shape) == (4, (4, *log_mel.SHAPE))
    blocks = _built(speaking)
    (audio,) = [block for block in blocks.blocks.values() if isinstance(block, gr.Audio)]
    (play,) = [function for function in blocks.fns.values() if audio in function.outputs]
    rate, heard = play.fn(types.SimpleNamespace(index=2), sounds)
    assert (rate, heard.dtype) == (8000, np.int16)
    expected = log_mel.waveform(sounds[2] / 255)
    np.testing.assert_allclose(heard / 32767, expected, atol=1 / 32767)
    assert np.abs(heard).max() == 32767


def test_only_models_of_spoken_digits_are_heard(mnist, live):
    for model in (mnist, live):
        assert model.sound is None
        assert generate._answer(model, model.first_choices()[0], 0, 1.0, 2)[2] is None
