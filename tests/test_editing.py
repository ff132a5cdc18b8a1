"""Attribute editing on a linear model, where x + x'_mean - x_mean is known."""

import io

import numpy as np
import pytest
from PIL import Image
from portrait_model import NAMES, SIZE, attributes_of, edited, portrait_model

import tf_jmvae as tj
from tf_jmvae.specs import Preprocessing

PORTRAIT = np.random.default_rng(1).integers(60, 190, (SIZE, SIZE, 3)).astype(np.uint8)
CHANGES = {"Smiling": 1, "Eyeglasses": -2}


@pytest.fixture(scope="module")
def model():
    return portrait_model()


def test_attributes_are_those_of_the_linear_model_by_name(model):
    inferred = tj.infer_attributes(model, PORTRAIT)
    assert list(inferred) == list(NAMES)
    np.testing.assert_allclose(list(inferred.values()), attributes_of(PORTRAIT), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changes", [CHANGES, {"Male": 2}, {"Male": 0.5, "Bald": -40}], ids=str)
def test_an_edit_adds_the_difference_of_the_mean_images_to_the_portrait(model, changes):
    expected = edited(PORTRAIT, changes)
    found = tj.edit(model, PORTRAIT, changes)
    assert (found.dtype, found.shape) == (np.uint8, PORTRAIT.shape)
    assert np.abs(expected - PORTRAIT).max() > 3
    np.testing.assert_allclose(found, expected, atol=0.51)  # rounded to grey levels


def test_an_attribute_set_to_what_it_is_changes_nothing(model):
    inferred = tj.infer_attributes(model, PORTRAIT)
    np.testing.assert_array_equal(tj.edit(model, PORTRAIT, inferred), PORTRAIT)
    np.testing.assert_array_equal(tj.edit(model, PORTRAIT, {}), PORTRAIT)


def test_a_path_bytes_and_an_array_are_the_same_portrait(model, tmp_path):
    file = io.BytesIO()
    Image.fromarray(PORTRAIT).save(file, format="PNG")
    path = tmp_path / "portrait.png"
    path.write_bytes(file.getvalue())
    expected = tj.edit(model, PORTRAIT, CHANGES)
    for portrait in (path, str(path), file.getvalue()):
        np.testing.assert_array_equal(tj.edit(model, portrait, CHANGES), expected)


def test_of_a_wide_portrait_the_middle_square_is_edited(model):
    margin = np.zeros((SIZE, 4, 3), np.uint8)
    wide = np.concatenate([margin, PORTRAIT, margin], axis=1)
    np.testing.assert_array_equal(tj.edit(model, wide, CHANGES), tj.edit(model, PORTRAIT, CHANGES))


def test_a_larger_portrait_is_brought_to_the_models_size(model):
    large = np.kron(PORTRAIT, np.ones((20, 20, 1), np.uint8))
    expected = tj.images.prepared(tj.images.open_rgb(large), PORTRAIT.shape, Preprocessing())
    np.testing.assert_array_equal(tj.edit(model, large, {}), expected)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("smiling", "Did you mean Smiling"), ("Eye_glasses", "Did you mean Eyeglasses"), ("Hat", f"are {NAMES[0]}, ")],
)
def test_an_unknown_attribute_suggests_the_one_that_may_be_meant(model, name, hint):
    with pytest.raises(ValueError, match=rf"Unknown attribute '{name}'\. .*{hint}"):
        tj.edit(model, PORTRAIT, {name: 1})


@pytest.mark.parametrize("target", ["x", "w"])
def test_a_model_of_one_direction_says_that_it_lacks_the_other(target):
    one_way = portrait_model(tj.CVAE, target=target)
    with pytest.raises(ValueError, match=r"follow from each other; this CVAE has none"):
        tj.edit(one_way, PORTRAIT, CHANGES)


def test_a_model_without_attributes_or_photographs_cannot_edit():
    plain = {name: tj.Modality((3,), "gaussian", encoder=tj.networks.mlp([])) for name in "xw"}
    message = r"Editing needs an image and attributes .* this JMVAEKL has none .* among 'x' \(values\), 'w' \(values\)"
    with pytest.raises(ValueError, match=message):
        tj.edit(tj.JMVAEKL(plain, 2), PORTRAIT, CHANGES)


def test_a_modality_that_is_no_photograph_is_refused(model):
    with pytest.raises(ValueError, match=r"has none for photograph='w' .* among 'x' \(image\), 'w' \(attributes\)"):
        tj.edit(model, PORTRAIT, CHANGES, photograph="w")


def test_a_portrait_of_real_numbers_is_refused(model):
    with pytest.raises(ValueError, match=r"uint8 array"):
        tj.edit(model, PORTRAIT / 255, CHANGES)


def test_the_center_is_the_part_of_an_aligned_picture_that_training_sees(model):
    aligned = np.random.default_rng(2).integers(0, 256, (218, 178, 3)).astype(np.uint8)
    square = aligned[35:183, 15:163]  # 148 of 178 x 218 pixels, the middle
    np.testing.assert_array_equal(tj.edit(model, aligned, CHANGES, crop="center"), tj.edit(model, square, CHANGES))


def test_an_unknown_crop_is_refused(model):
    with pytest.raises(ValueError, match=r"crop must be one of 'training', 'none', 'center', 'face'; got 'middle'"):
        tj.edit(model, PORTRAIT, CHANGES, crop="middle")


def test_edits_follow_a_change_after_compile():
    small = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
    w = tj.Modality((2,), "bernoulli", entry_names=("A", "B"), **small)
    model = tj.JMVAEKL({"x": tj.Modality((8, 8, 1), "bernoulli", **small), "w": w}, 2)
    model.compile()
    portrait = np.full((8, 8, 1), 100, np.uint8)
    before = tj.infer_attributes(model, portrait)
    model.networks()["decoders/w"].layers[-1].activation = lambda value: 50 * value + 7
    model.compile()
    after = tj.infer_attributes(model, portrait)
    assert after == pytest.approx(tj.open_model(model).edit(portrait, {})[1])
    assert abs(after["A"] - before["A"]) > 1e-3
