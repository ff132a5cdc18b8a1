"""`tf-jmvae generate` against the models themselves."""

import numpy as np
import pytest
import small_models
import tensorflow as tf
from PIL import Image
from portrait_model import NAMES, portrait_model

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae._utils import pretrained
from tf_jmvae.cli import common, generate, given
from tf_jmvae.cli.generate import sheet as sheet_of
from tf_jmvae.specs import Columns, ModalitySpec


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model in a file, and a picture for it."""
    folder = tmp_path_factory.mktemp("generate")
    model = tj.JMVAEKL(small_models.small_modalities("xwv"), 2)
    model.save(folder / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder, model, pixels


def _generate(saved, *words):
    return cli.main(["generate", str(saved[0] / "model.keras"), *map(str, words)])


def _row_seeds(seed, rows):
    """Each sample has a seed of its own, so that it does not depend on where the model runs."""
    return tf.constant(np.random.default_rng(seed).integers(0, 2**31, (rows, 2), np.int32))


def _one_hot(*classes):
    return np.eye(3, dtype=np.float32)[list(classes)]


def test_the_picture_has_a_row_for_each_example_and_a_column_for_each_sample(saved, tmp_path, capsys):
    output = tmp_path / "new" / "out.png"
    words = ["--given", "w=2", "w=0", "--target", "x", "--num-samples", 3, "--seed", 4, "--output", output]
    assert _generate(saved, *words) == 0
    made = saved[1].generate({"w": _one_hot(2, 2, 2, 0, 0, 0)}, targets=["x"], seed=_row_seeds(4, 6))["x"]
    images = made.numpy().reshape(2, 3, 4, 4, 1)
    expected = np.full((2 * 114 + 2, 3 * 114 + 2), 255)
    for row in range(2):
        for column in range(3):
            tile = np.kron(np.round(255 * images[row, column, :, :, 0]), np.ones((28, 28)))
            expected[2 + 114 * row :, 2 + 114 * column :][:112, :112] = tile
    np.testing.assert_array_equal(np.asarray(Image.open(output)), expected)
    assert capsys.readouterr().out == f"{output}: 2 rows of 3 images of x, 4 x 4 pixels each.\n"


def test_arrays_are_what_the_model_generates(saved, tmp_path, capsys):
    words = ["--given", f"x={saved[0] / 'photo.png'}", "--num-samples", 2, "--latent", "mean"]
    assert _generate(saved, *words, "--output", tmp_path / "out.npz") == 0
    observed = {"x": saved[2][None, :, :, None] / np.float32(255)}
    expected = saved[1].generate(observed, num_samples=2, latent="mean")
    with np.load(tmp_path / "out.npz") as found:
        assert {*found} == {"w", "v"}
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    out = capsys.readouterr().out
    assert f"{tmp_path / 'out.npz'}: w [1, 2, 3], v [1, 2, 2]." in out
    probabilities = [f"{value:.3f}" for value in sorted(expected["w"].numpy().mean(1)[0], reverse=True)]
    lines = out.partition("w: probability of each class")[2].splitlines()[3:6]
    assert [line.split()[1] for line in lines] == probabilities


def test_several_modalities_are_given_together_and_one_value_serves_all_examples(saved, tmp_path):
    words = ["--given", "w=1", "v=0.5,-2", "v=1,1", "--target", "x", "--num-samples", 1, "--output", tmp_path / "a.npz"]
    assert _generate(saved, *words) == 0
    observed = {"w": _one_hot(1, 1), "v": np.array([[0.5, -2], [1, 1]], np.float32)}
    expected = saved[1].generate(observed, targets=["x"], seed=_row_seeds(0, 2))["x"]
    np.testing.assert_allclose(np.load(tmp_path / "a.npz")["x"][:, 0], expected, rtol=1e-5)


def test_nothing_given_samples_the_prior(saved, tmp_path, capsys):
    assert _generate(saved, "--num-samples", 5, "--seed", 3, "--output", tmp_path / "out.npz", "--target", "w") == 0
    expected = saved[1].sample(5, seed=_row_seeds(3, 5))["w"].numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["w"][0], expected, rtol=1e-5)
    rows = [line.split()[2:] for line in capsys.readouterr().out.splitlines() if line.startswith("  sample")]
    assert rows == [[str(row.argmax()), f"{row.max():.3f}"] for row in expected]


def test_attributes_by_name_and_those_not_named_are_absent(tmp_path):
    model = portrait_model()
    model.save(tmp_path / "model.keras")
    words = ["--given", "Smiling=1", "Smiling=-2", "Male=1", "--target", "x", "--num-samples", "1"]
    assert cli.main(["generate", str(tmp_path), *words, "--output", str(tmp_path / "out.png")]) == 0
    attributes = np.full((2, len(NAMES)), -1.0, np.float32)
    attributes[:, NAMES.index("Smiling")] = 1, -2
    attributes[:, NAMES.index("Male")] = 1
    made = model.generate({"w": attributes}, targets=["x"], seed=_row_seeds(0, 2))
    sheet = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(sheet, sheet_of(model.postprocess(made)["x"][:, None]))


def test_the_pre_trained_model_is_found_and_its_images_are_those_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # found from the checkout
    assert cli.main(["generate", "--given", "w=3", "--num-samples", "2", "--seed", "1"]) == 0
    made = tj.hub.load(pretrained.default_model()).generate(
        {"w": np.eye(10)[[3]]}, targets=["x"], num_samples=2, seed=1, images="uint8"
    )
    sheet = np.asarray(Image.open(tmp_path / "generated.png"))
    np.testing.assert_array_equal(sheet, sheet_of(made["x"])[..., 0])
    assert made["x"].std() > 50  # digits, not grey


def test_an_exported_model_reconstructs_what_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = pretrained.default_model()
    pixels = tj.hub.load(card).generate({"w": np.eye(10)[[3]]}, targets=["x"], latent="mean", images="uint8")["x"][0]
    Image.fromarray(pixels[..., 0]).save("three.png")
    words = ["--given", "w=3", "x=three.png", "--target", "x", "w", "--num-samples", "2", "--output", "a.npz"]
    assert cli.main(["generate", *words, "--latent", "mean"]) == 0
    observed = {"w": np.eye(10, dtype=np.float32)[[3]], "x": [(tmp_path / "three.png").read_bytes()]}
    expected = tj.hub.load(card).reconstruct(observed)
    with np.load("a.npz") as found:
        for name in ("x", "w"):
            np.testing.assert_allclose(found[name], np.stack([expected[name]] * 2, axis=1), atol=1e-5)
    assert cli.main(["generate", *words]) == 0
    drawn = np.load("a.npz")["x"]
    assert drawn.shape == (1, 2, 28, 28, 1)
    assert 0.001 < np.abs(drawn - expected["x"][:, None]).mean() < 0.1  # two draws of z near the mean
    assert (drawn[:, 0] != drawn[:, 1]).any()


def test_a_grid_enlarges_small_images_only():
    large = np.arange(120 * 90 * 3, dtype=np.uint32).astype(np.uint8).reshape(1, 1, 120, 90, 3)
    np.testing.assert_array_equal(sheet_of(large)[2:-2, 2:-2], large[0, 0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--given", "w"], r"--given takes NAME=VALUE, such as w=3, x=photo.jpg or Smiling=1; got 'w'"),
        (["--given", "w=3"], "--given w=... takes a class from 0 to 2; got '3'"),
        (["--given", "w=-1"], "takes a class from 0 to 2; got '-1'"),
        (["--given", "y=1"], "the model has no 'y'"),
        (["--given", "v=1"], "--given v=... takes 2 numbers separated by commas; got '1'"),
        (["--given", "v=1,nan"], "takes 2 numbers separated by commas; got '1,nan'"),
        (["--given", "x=absent.png"], "absent.png: No such file or directory."),
        (["--given", "x={folder}/model.keras"], "model.keras is not an image"),
        (["--given", "w=1", "w=2", "v=1,1", "v=2,2", "v=3,3"], "got names that appear 2 and 3 times"),
        (["--given", "w=1", "--target", "y"], "--target: the model generates x, w, v; got y"),
        (
            ["--given", "w=1", "v=0,0", "x={folder}/photo.png"],
            "Every modality is given. To reconstruct some, name them",
        ),
        (["--given", "w=1", "--target", "v", "--output", "a.png"], "--output: v is printed as a table"),
        (["--latent", "mean"], "--latent mean needs --given"),
        (["--num-samples", "0"], "--num-samples must be 1 or more; got 0"),
        (["--num-steps", "0"], "--num-steps must be 1 or more; got 0"),
        (["--output", "out.jpg"], "--output must end in .png or .npz, or --format must say which it is; got out.jpg"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_messages(saved, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tf_jmvae.training.run_folder.load_model", lambda path, **options: saved[1])
    assert _generate(saved, *(word.format(folder=saved[0]) for word in words)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_one_way_model_says_what_it_needs(tmp_path, capsys):
    tj.CVAE(small_models.small_modalities("xw"), 2, target="x").save(tmp_path / "cvae.keras")
    assert cli.main(["generate", str(tmp_path / "cvae.keras")]) == 1
    assert "A CVAE generates x given w only: add --given w=...." in capsys.readouterr().err


def test_an_attribute_of_two_modalities_needs_the_modality():
    described = ModalitySpec((2,), "gaussian", entry_names=("Smiling", "Male"))
    both = {"a": described, "b": described}
    with pytest.raises(ValueError, match=r"'Male' is an attribute of a and of b: write a\.Male="):
        given.parse(["Male=1"], both)
    assert given.parse(["a.Male=1", "b.Male=-1"], both) == ({"a": {"Male": ["1"]}, "b": {"Male": ["-1"]}}, 1)
    with pytest.raises(ValueError, match=r"the model has no 'Smilin'\. Did you mean Smiling\?"):
        given.parse(["Smilin=1"], {"a": described})
    with pytest.raises(ValueError, match="give one of the two"):
        given.parse(["a=1,1", "a.Male=1"], both)


def test_a_class_by_its_name():
    labels = ModalitySpec((3,), "categorical", entry_names=("cat", "dog", "3"))
    np.testing.assert_array_equal(given._vector("w", "dog", labels), [0, 1, 0])
    np.testing.assert_array_equal(given._vector("w", "2", labels), [0, 0, 1])
    with pytest.raises(ValueError, match="takes a class from 0 to 2, or one of cat, dog, 3; got 'cow'"):
        given._vector("w", "cow", labels)


def test_the_values_of_a_repeated_option_belong_together():
    def parsed(*words):
        return common.parse(generate.Options, words, "generate").given

    assert parsed("--given", "w=1", "v=1,1", "--given", "w=2", "--seed", "3") == ("w=1", "v=1,1", "w=2")
    assert parsed("--given", "w=1", "w=2") == ("w=1", "w=2")
    assert parsed("--given=w=1", "--given", "w=2", "--given=v=1,1", "--seed=3") == ("w=1", "w=2", "v=1,1")


def test_classes_of_a_table_are_given_by_name_or_as_the_same_number():
    names = ("1.0", "2.0", "3.0")
    columns = Columns("category", ("b",), (3,), names)
    spec = ModalitySpec((3,), "categorical", entry_names=names, columns=columns)
    for text, index in (("2", 1), ("3.0", 2), ("1", 0)):
        observed = given.read({"b": {"": [text]}}, 1, {"b": spec})
        np.testing.assert_array_equal(observed["b"], np.eye(3)[[index]])
    with pytest.raises(ValueError, match=r"--given b=\.\.\. takes one of 1\.0, 2\.0, 3\.0; got '0'"):
        given.read({"b": {"": ["0"]}}, 1, {"b": spec})
