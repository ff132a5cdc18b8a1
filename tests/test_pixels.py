"""One way from pictures to pixels: wherever a picture comes in, a model sees what its training images were made as."""

import io

import celeba_folder
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter
from portrait_model import SIZE, attributes_of, edited, portrait_model

import tf_jmvae as tj
from tf_jmvae import cli, data, editing, images
from tf_jmvae.images import preprocessing_in_graph as tensors
from tf_jmvae.specs import ModalitySpec, Preprocessing

SIZES = [(218, 178), (37, 91), (64, 64), (9, 7), (5, 3), (1, 1), (130, 65)]  # height, width


def _png(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _picture(height, width, seed=0):
    """Edges and gradients as photographs have them, with grain."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(height // 6, 1), max(width // 6, 1), 3), np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST), float)
    picture += random.normal(0, 6, picture.shape)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))


@pytest.mark.parametrize("kernel", ["lanczos", "triangle"])
@pytest.mark.parametrize("shape", [(64, 64, 3), (28, 28, 1), (24, 40, 3), (1, 5, 3)], ids=str)
@pytest.mark.parametrize("crop", [(1, 1), (148, 178), (1, 3)], ids=str)
def test_the_graph_makes_the_pixels_that_pillow_makes(kernel, shape, crop):
    spec = ModalitySpec(shape, "gaussian", preprocessing=Preprocessing(crop, kernel, (0.0, 255.0)))
    differences = []  # of every pixel
    for height, width in SIZES:
        picture = _picture(height, width)
        expected = images.prepared(picture, shape, spec.preprocessing)
        (found,) = tensors.from_bytes(tf.constant([_png(picture)]), spec).numpy()
        np.testing.assert_array_equal(found, np.round(found))
        difference = np.abs(found - expected)
        assert difference.max() <= 1, (height, width)
        differences.append(difference.ravel())
    assert np.concatenate(differences).mean() < 0.05


@pytest.mark.parametrize(("crop", "box"), [((1, 1), (20, 0, 60, 40)), ((1, 2), (30, 10, 50, 30))])
def test_the_part_that_is_shown_is_about_the_middle(crop, box):
    picture = _picture(40, 80)
    how = Preprocessing(crop)
    expected = picture.crop(box).resize((10, 10), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(images.prepared(picture, (10, 10, 3), how), np.asarray(expected))


@pytest.mark.parametrize("crop", [(1, 1), (1, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_models_size_is_taken_as_it_is(crop, channels):
    picture = _picture(12, 10)
    spec = ModalitySpec((12, 10, channels), "gaussian", preprocessing=Preprocessing(crop, range=(0, 255)))
    own = np.asarray(picture.convert("L" if channels == 1 else "RGB")).reshape(12, 10, channels)
    np.testing.assert_array_equal(images.prepared(picture, spec.event_shape, spec.preprocessing), own)
    np.testing.assert_array_equal(tensors.from_bytes(tf.constant([_png(picture)]), spec)[0], own)


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)], ids=str)
def test_black_and_white_have_the_values_of_the_range(values):
    spec = ModalitySpec((2, 2, 1), "gaussian", preprocessing=Preprocessing(range=values))
    for level, value in zip((0, 255), values, strict=True):
        raw = tensors.from_bytes(tf.constant([_png(Image.new("L", (9, 9), level))]), spec)
        np.testing.assert_allclose(raw, np.full((1, 2, 2, 1), value), atol=1e-6)
        assert (tensors.to_pixels(raw, spec.preprocessing).numpy() == level).all()


@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 60, "subsampling": 0}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_in_the_graph_as_by_pillow(mode, options):
    file, picture = io.BytesIO(), _picture(60, 50).convert(mode)
    picture.save(file, "JPEG", **options)
    spec = ModalitySpec((60, 50, 3), "gaussian", preprocessing=Preprocessing(range=(0, 255)))
    expected = np.asarray(Image.open(file).convert("RGB"))
    np.testing.assert_array_equal(tensors.from_bytes(tf.constant([file.getvalue()]), spec)[0], expected)


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    """A folder as CelebA's, its prepared copy, and a model of such images: live, in a file and exported."""
    folder = tmp_path_factory.mktemp("celeba")
    celeba_folder.make(folder, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_JMVAE_CACHE", str(folder / "cache"))
        source = data.load("celeba", data_dir=folder, image_size=SIZE)
    model = portrait_model(preprocessing=source.preprocessing["x"])
    model.save(folder / "model.keras")
    model.export(folder / "exported", num_samples=4)
    paths = sorted((folder / "img_align_celeba").iterdir())[: len(source.train["x"])]
    return folder, paths, np.array(source.train["x"]), model


@pytest.fixture(scope="module", params=["model.keras", "exported"])
def opened(request, celeba):
    return tj.open_model(celeba[0] / request.param)


def test_pictures_are_seen_as_they_were_trained_on(celeba, opened):
    """By `edit` without changes, which gives back what the model sees."""
    _, paths, trained, _ = celeba
    for path, levels in zip(paths, trained, strict=True):
        png = _png(Image.open(path))
        seen = [tj.edit(opened, path, {}), opened.edit(png, {})[0], opened.edit(path.read_bytes(), {})[0]]
        for found in seen:
            assert np.abs(found.astype(int) - levels).max() <= 1
        assert np.mean([np.abs(found.astype(int) - levels).mean() for found in seen]) < 0.05
        np.testing.assert_array_equal(seen[0], levels)


def test_signatures_of_bytes_read_them_so_too(celeba, opened):
    _, paths, trained, _ = celeba
    found = opened.generate({"x": [path.read_bytes() for path in paths]}, targets=["w"], latent="mean")["w"]
    one_level = _effect_of_a_level()
    np.testing.assert_allclose(found, [attributes_of(levels) for levels in trained], atol=one_level)


def test_the_page_prepares_them_so(celeba, opened):
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")
    from tf_jmvae.demo.drawings import prepare
    from tf_jmvae.demo.interface import DemoModel

    for path, levels in zip(celeba[1], celeba[2], strict=True):
        np.testing.assert_array_equal(prepare(path, DemoModel(opened)).pixels, levels)
        np.testing.assert_array_equal(editing.seen(path, opened.modalities["x"]), levels)


@pytest.mark.parametrize("handle", ["model.keras", "exported"])
def test_commands_prepare_them_so(celeba, handle, tmp_path, capsys):
    folder, paths, trained, _ = celeba
    words = ["generate", str(folder / handle), "--given", *(f"x={path}" for path in paths), "--target", "w"]
    words += ["--latent", "mean", "--num-samples", "1", "--output", str(tmp_path / "w.npz")]
    assert cli.main(words) == 0
    with np.load(tmp_path / "w.npz") as found:
        expected = [attributes_of(levels) for levels in trained]
        np.testing.assert_allclose(found["w"][:, 0], expected, atol=_effect_of_a_level())
    words = ["edit", str(folder / handle), str(paths[0]), "--set", "Smiling=1", "--output", str(tmp_path / "out.png")]
    assert cli.main(words) == 0
    found = np.asarray(Image.open(tmp_path / "out.png"), int)
    assert np.abs(found - edited(trained[0], {"Smiling": 1})).max() <= 0.51


def _effect_of_a_level():
    """How far attributes move, at the most, if one pixel in twenty is another by a level."""
    grey = np.full((SIZE, SIZE, 3), 128.0)
    steps = [attributes_of(grey + step.reshape(grey.shape)) for step in np.eye(grey.size)]
    moved = np.sort(np.abs(np.array(steps) - attributes_of(grey)), axis=0)[::-1]
    return moved[: grey.size // 20].sum(axis=0).max() + 1e-4
