"""`tf-jmvae edit` on a model and a portrait on disk."""

import sys

import keras
import numpy as np
import pytest
from celeba_folder import draw
from PIL import Image
from portrait_model import NAMES, SIZE, attributes_of, edited, portrait_model

from tf_jmvae import cli, images
from tf_jmvae.data.celeba import ATTRIBUTES
from tf_jmvae.data.celeba.arrays import PREPROCESSING
from tf_jmvae.serving.inference import InferenceModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `model.keras` and a cartoon portrait."""
    folder = tmp_path_factory.mktemp("edit")
    portrait_model(preprocessing=PREPROCESSING["center"]).save(folder / "model.keras")
    draw(dict.fromkeys(ATTRIBUTES, False) | {"Male": True}, np.random.default_rng(0)).save(folder / "portrait.png")
    return folder


def _edit(folder, *options, model="model.keras", portrait="portrait.png"):
    return cli.main(["edit", str(folder / model), str(folder / portrait), *options])


def _read(folder):
    """The portrait as the model sees it."""
    return images.prepared(images.open_rgb(folder / "portrait.png"), (SIZE, SIZE, 3), PREPROCESSING["center"])


def test_the_edited_portrait_is_the_one_of_the_closed_form(folder, tmp_path, capsys):
    path = tmp_path / "new" / "edited.png"
    assert _edit(folder, "--set", "Smiling=1", "Male=-2", "--output", str(path)) == 0
    found = np.asarray(Image.open(path))
    np.testing.assert_allclose(found, edited(_read(folder), {"Smiling": 1, "Male": -2}), atol=0.51)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "Smiling" in line).endswith("-> +1")
    assert next(line for line in lines if "Male" in line).endswith("-> -2")
    assert lines[-1] == f"The edited portrait is {path}."


def test_the_model_is_asked_once(folder, tmp_path, monkeypatch):
    asked = []
    edit = InferenceModel.edit
    monkeypatch.setattr(InferenceModel, "edit", lambda *given, **more: asked.append(given) or edit(*given, **more))
    assert _edit(folder, "--set", "Smiling=1", "--output", str(tmp_path / "edited.png")) == 0
    assert len(asked) == 1


def test_without_changes_it_lists_the_attributes_most_certain_first(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert _edit(folder) == 0
    listed = capsys.readouterr().out
    assert _edit(folder, model="") == 0  # a run's folder
    assert capsys.readouterr().out == listed
    expected = sorted(zip(NAMES, attributes_of(_read(folder)), strict=True), key=lambda item: -item[1])
    assert listed.split() == [word for name, value in expected for word in (name, f"{value:+.2f}")]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("Smiling", r"--set takes NAME=VALUE, such as Smiling=1; got 'Smiling'"),
        ("Smiling=yes", r"--set takes NAME=VALUE, such as Smiling=1; got 'Smiling=yes'"),
        ("Smiling=nan", r"got 'Smiling=nan'"),
        ("Smilin=1", r"Unknown attribute 'Smilin'. Did you mean Smiling?"),
    ],
)
def test_a_bad_change_is_refused(folder, tmp_path, monkeypatch, capsys, change, message):
    monkeypatch.chdir(tmp_path)
    assert _edit(folder, "--set", change) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_model_says_how_to_have_one(folder, capsys):
    assert _edit(folder, model="absent.keras") == 1
    assert "There is no model" in (error := capsys.readouterr().err)
    assert "A run leaves one in its folder: tf-jmvae train" in error


def test_a_keras_model_of_another_kind_is_refused(folder, capsys):
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(folder / "other.keras")
    assert _edit(folder, model="other.keras") == 1
    assert "holds a Sequential; expected a model of tf_jmvae" in capsys.readouterr().err


def test_an_output_that_is_no_png_is_refused_before_any_work(folder, capsys):
    assert _edit(folder, "--set", "Smiling=1", "--output", "edited.jpg", model="absent.keras") == 1
    assert "--output must be the name of a .png file; got edited.jpg" in capsys.readouterr().err


def test_without_opencv_the_message_says_what_to_install(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert _edit(folder, "--crop", "face") == 1
    assert 'pip install "tf-jmvae[faces]"' in capsys.readouterr().err


def test_a_file_that_is_no_model_is_named(folder, capsys):
    (folder / "text.keras").write_text("no model")
    assert _edit(folder, model="text.keras") == 1
    assert "text.keras" in capsys.readouterr().err


def test_a_missing_portrait_is_named(folder, capsys):
    assert _edit(folder, portrait="absent.jpg") == 1
    assert "absent.jpg" in capsys.readouterr().err


def test_a_text_file_is_no_portrait(folder, capsys):
    (folder / "text.jpg").write_text("no portrait")
    assert _edit(folder, portrait="text.jpg") == 1
    assert "text.jpg is not an image" in capsys.readouterr().err


def test_where_no_face_is_found_it_says_so(folder, capsys):
    Image.new("RGB", (100, 100), "gray").save(folder / "wall.png")
    assert _edit(folder, "--crop", "face", portrait="wall.png") == 1
    assert "OpenCV finds no face in the image; let a face fill it" in capsys.readouterr().err


def test_a_found_face_is_what_the_model_sees(folder, monkeypatch, capsys):
    monkeypatch.setattr("tf_jmvae.editing.crop_face", lambda image, **options: image.crop((60, 80, 120, 140)))
    assert _edit(folder, "--crop", "face") == 0
    picture = images.open_rgb(folder / "portrait.png").crop((60, 80, 120, 140))
    face = images.prepared(picture, (SIZE, SIZE, 3), PREPROCESSING["face"])
    values = dict(zip(NAMES, attributes_of(face), strict=True))
    words = capsys.readouterr().out.split()
    assert {name: words[words.index(name) + 1] for name in NAMES} == {n: f"{v:+.2f}" for n, v in values.items()}
