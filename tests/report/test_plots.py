"""Pictures of runs and studies show each thing in its own place, and right and wrong in their own colours."""

import pathlib
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from conftest import small_batch, small_modalities
from matplotlib import colors
from matplotlib.figure import Figure

import tf_jmvae as tj
from tf_jmvae.report import celeba_figures, figures, plots
from tf_jmvae.report.titles import TITLES

RIGHT, WRONG = (colors.to_rgba(color) for color in (plots.RIGHT, plots.WRONG))


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figures that are saved."""
    found = []
    monkeypatch.chdir(tmp_path)

    def keep(figure, path, **_):
        pathlib.Path(path).touch()
        found.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def _shown(axis):
    (image,) = axis.get_images()
    return np.asarray(image.get_array())


NAMES = tuple(f"Has_{letter}" for letter in "abcdefghij")


class _Model(tj.JMVAEKL):
    """Makes what it is told to, whatever it is given."""

    told: ClassVar = {}

    def generate(self, observed, *, targets, num_samples=None, **_):
        (target,) = targets
        size, shape = len(next(iter(observed.values()))), self.modalities[target].event_shape
        made = self.told.get((target, *observed), np.zeros((size, *shape), np.float32))
        assert len(made) == size
        return {target: tf.constant(made if num_samples is None else np.stack([made] * num_samples, axis=1))}


def _model(**told):
    """Two images, a label and attributes under names of their own; `told` is what they are made to be."""
    small = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
    modalities = {
        "scan": tj.Modality((4, 4, 1), "bernoulli", **small),
        "breed": tj.Modality((4,), "categorical", **small),
        "photo": tj.Modality((4, 4, 3), tj.heads.Gaussian(variance=1.0), standardized=True, **small),
        "traits": tj.Modality((10,), tj.heads.Gaussian(variance=1.0), entry_names=NAMES, **small),
    }
    model = _Model({name: modalities[name] for name in modalities if name in told}, 2)
    model.told = {key: values for directions in told.values() for key, values in directions.items()}
    if "photo" in told:
        model.set_statistics("photo", np.full((4, 4, 3), 100.0), np.full((4, 4, 3), 50.0))
    return model


def test_labels_that_are_right_are_green_and_wrong_ones_red_beside_their_image(drawn):
    random, names = np.random.default_rng(0), [*"abcd"]
    truth = random.integers(0, 4, 40)
    said = np.where(np.arange(40) % 3 == 1, (truth + 1) % 4, truth)
    test = {"scan": random.uniform(size=(40, 4, 4, 1)), "breed": np.eye(4)[truth]}
    probabilities = (0.1 + 0.6 * np.eye(4)[said][:15]).astype(np.float32)
    plots.both_directions(_model(scan={}, breed={("breed", "scan"): probabilities}), test, names, "labels.png")
    panel = drawn[0].subfigs[1]
    assert panel.get_suptitle() == "Labels from unseen images: breed given scan"
    pictures, bars = panel.axes[::2], panel.axes[1::2]
    assert len(bars) == 15
    for index, (picture, axis) in enumerate(zip(pictures, bars, strict=True)):
        np.testing.assert_allclose(_shown(picture).squeeze(), 255 * (1 - test["scan"][index].squeeze()), atol=0.51)
        right = said[index] == truth[index]
        color = RIGHT if right else WRONG
        title = f"{names[said[index]]}  (70%)" + ("" if right else f", is {names[truth[index]]}")
        assert (axis.get_title(), colors.to_rgba(axis.title.get_color())) == (title, color)
        for entry, bar in enumerate(axis.patches):
            assert bar.get_height() == pytest.approx(probabilities[index, entry])
            assert (bar.get_facecolor() in (RIGHT, WRONG)) == (entry == said[index])
            assert entry != said[index] or bar.get_facecolor() == color


def test_attributes_that_are_right_are_green_and_wrong_ones_red_beside_their_face(drawn):
    random = np.random.default_rng(0)
    test = {
        "photo": random.integers(0, 256, (20, 4, 4, 3), np.uint8),
        "traits": random.choice([-1.0, 1.0], (20, 10)),
    }
    values = random.normal(size=(6, 10)).astype(np.float32)
    plots.both_directions(_model(photo={}, traits={("traits", "photo"): values}), test, (), "faces.png")
    panel = drawn[0].subfigs[1]
    assert panel.get_suptitle() == "Attributes of unseen images: traits given photo"
    pictures, texts = panel.axes[::2], panel.axes[1::2]
    assert len(texts) == 6
    for index, (picture, axis) in enumerate(zip(pictures, texts, strict=True)):
        np.testing.assert_array_equal(_shown(picture), test["photo"][-6:][index])
        best = sorted(range(10), key=lambda entry: -values[index, entry])[:7]
        for entry, text in zip(best, axis.texts, strict=True):
            right = test["traits"][-6:][index, entry] == 1
            assert text.get_text().startswith(NAMES[entry].replace("_", " "))
            assert text.get_text().endswith("(no)") == (not right)
            assert colors.to_rgba(text.get_color()) == (RIGHT if right else WRONG)


def test_images_are_shown_for_every_label_and_below_the_real_ones_that_have_their_attributes(drawn):
    levels = np.linspace(0, 1, 4, dtype=np.float32)
    made = np.ones((4, 4, 4, 1), np.float32) * levels[:, None, None, None]
    faces = np.ones((8, 4, 4, 3), np.float32) * np.linspace(-1, 1, 8, dtype=np.float32)[:, None, None, None]
    told = {"scan": {("scan", "breed"): made}, "photo": {("photo", "traits"): faces}, "breed": {}, "traits": {}}
    random = np.random.default_rng(0)
    test = {
        "scan": random.uniform(size=(20, 4, 4, 1)),
        "breed": np.eye(4)[random.integers(0, 4, 20)],
        "photo": random.integers(0, 256, (20, 4, 4, 3), np.uint8),
        "traits": random.choice([-1.0, 1.0], (20, 10)),
    }
    plots.both_directions(_model(**told), test, [*"abcd"], "pictures.png")
    panels = {panel.get_suptitle(): panel for panel in drawn[0].subfigs}
    assert sorted(panels) == sorted(
        [f"Images from labels: {image} given breed" for image in ("scan", "photo")]
        + [f"Images from the attributes of the real ones: {image} given traits" for image in ("scan", "photo")]
        + [f"Labels from unseen images: breed given {image}" for image in ("scan", "photo")]
        + [f"Attributes of unseen images: traits given {image}" for image in ("scan", "photo")]
    )
    axes = panels["Images from labels: scan given breed"].axes
    assert [axis.get_title() for axis in axes[:4]] == [*"abcd"]
    shown = [_shown(axis).ravel()[0] for axis in axes]
    assert shown == [255, 170, 85, 0] * 11  # as ink: the mean of z, and ten samples
    axes = panels["Images from the attributes of the real ones: photo given traits"].axes
    rows = np.array([_shown(axis) for axis in axes]).reshape(5, 8, 4, 4, 3)
    np.testing.assert_array_equal(rows[0], test["photo"][:8])
    for row in rows[2:]:
        np.testing.assert_allclose(row[:, 0, 0, 0], 100 + 50 * np.linspace(-1, 1, 8), atol=0.51)


def test_a_model_without_an_image_and_a_label_or_attributes_has_no_such_picture(tmp_path):
    model = tj.JMVAE(small_modalities("wcv"), 2)
    plots.both_directions(model, small_batch("wcv"), (), tmp_path / "generated.png")
    assert not list(tmp_path.iterdir())


def _images(value, columns=3, channels=1):
    return np.stack([np.full((2, 2, channels), value + column, np.uint8) for column in range(columns)])


def _panels(figure):
    """By the title of each panel, the values of its images by row, and the rows' labels."""
    found = {}
    for panel in figure.subfigs:
        columns = sum(axis.get_subplotspec().is_first_row() for axis in panel.axes)
        values = np.array([_shown(axis).ravel()[0] for axis in panel.axes]).reshape(-1, columns)
        labels = [axis.get_ylabel() for axis in panel.axes[::columns]]
        found[panel.get_suptitle()] = values.tolist(), labels, panel.get_supylabel()
    return found


def test_each_panel_of_figure_3_has_the_images_of_its_model(drawn):
    one, other = ([_images(value) for value in values] for values in ((10, 20), (30, 40)))
    figures.figure_3({"one": (one, ["1", "2"]), "other": (other, ["", ""])}, "figure.png", [*"abc"])
    assert _panels(drawn[0]) == {
        "one": ([[10, 11, 12], [20, 21, 22]], ["1", "2"], "steps of iterated sampling"),
        "other": ([[30, 31, 32], [40, 41, 42]], ["", ""], "no steps: new samples"),
    }
    assert [axis.get_title() for axis in drawn[0].subfigs[0].axes] == ["a", "b", "c", "", "", ""]


def test_each_panel_of_figure_6_has_the_faces_of_its_model_below_the_real_ones(drawn):
    steps = {
        name: np.stack([_images(v, channels=3) for v in values])
        for name, values in {"jmvae": (10, 20), "hierarchical-jmvae": (30, 40), "jmvae-kl": (50, 60)}.items()
    }
    made = {
        "examples": _images(0, channels=3),
        "steps": steps,
        "variations": {},
        "latents": {},
        "edits": [],
        "comparison": {},
    }
    celeba_figures.figures({}, made, (1, 4))["figure-6"]("figure.png")
    found = _panels(drawn[0])
    assert found[TITLES["jmvae"]][:2] == ([[0, 1, 2], [10, 11, 12], [20, 21, 22]], ["real", "1", "4"])
    assert found[TITLES["hierarchical-jmvae"]][:2] == ([[0, 1, 2], [30, 31, 32], [40, 41, 42]], ["real", "1", "4"])
    assert found[TITLES["jmvae-kl"]] == (
        [[0, 1, 2], [50, 51, 52], [60, 61, 62]],
        ["real", "", ""],
        "no steps: new samples",
    )
