"""Pictures of runs and studies show each thing in its own place, and right and wrong in their own colours."""

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from tf_jmvae.report import celeba_figures, faces, figures, plots
from tf_jmvae.report.titles import TITLES

RIGHT, WRONG = (colors.to_rgba(color) for color in (plots.RIGHT, plots.WRONG))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    found = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: found.append(figure))
    return found


def _shown(axis):
    (image,) = axis.get_images()
    return np.asarray(image.get_array())


class _Tensor:
    def __init__(self, values):
        self._values = values

    def numpy(self):
        return self._values


class _Namer:
    """A model that names w from x as it is told to."""

    targets = ("w",)

    def __init__(self, named):
        self._named = named

    def generate(self, given, **_):
        assert len(given["x"]) == len(self._named)
        return {"w": _Tensor(self._named)}

    def postprocess(self, images):
        return images


def test_labels_that_are_right_are_green_and_wrong_ones_red_beside_their_image(drawn):
    random, names = np.random.default_rng(0), [*"abcd"]
    truth = random.integers(0, 4, 40)
    named = np.where(np.arange(40) % 3 == 1, (truth + 1) % 4, truth)
    test = {"x": random.uniform(size=(40, 4, 4, 1)), "w": np.eye(4)[truth]}
    probabilities = 0.1 + 0.6 * np.eye(4)[named][:15]
    plots.both_directions(_Namer(probabilities), test, names, "labels.png")
    pictures, bars = drawn[0].axes[::2], drawn[0].axes[1::2]
    assert len(bars) == 15
    for index, (picture, axis) in enumerate(zip(pictures, bars, strict=True)):
        np.testing.assert_array_equal(_shown(picture).squeeze(), test["x"][index].squeeze())
        right = named[index] == truth[index]
        color = RIGHT if right else WRONG
        title = f"{names[named[index]]}  (70%)" + ("" if right else f", is {names[truth[index]]}")
        assert (axis.get_title(), colors.to_rgba(axis.title.get_color())) == (title, color)
        for entry, bar in enumerate(axis.patches):
            assert bar.get_height() == pytest.approx(probabilities[index, entry])
            assert (bar.get_facecolor() in (RIGHT, WRONG)) == (entry == named[index])
            assert entry != named[index] or bar.get_facecolor() == color


def test_attributes_that_are_right_are_green_and_wrong_ones_red_beside_their_face(drawn):
    random, names = np.random.default_rng(0), [f"Has_{letter}" for letter in "abcdefghij"]
    test = {"x": random.integers(0, 256, (20, 4, 4, 3), np.uint8), "w": random.choice([-1, 1], (20, 10))}
    values = random.normal(size=(6, 10))
    faces.both_directions(_Namer(values), test, names, "faces.png")
    pictures, texts = drawn[0].axes[::2], drawn[0].axes[1::2]
    assert len(texts) == 6
    for index, (picture, axis) in enumerate(zip(pictures, texts, strict=True)):
        np.testing.assert_array_equal(_shown(picture), test["x"][-6:][index])
        best = sorted(range(10), key=lambda entry: -values[index, entry])[:7]
        for entry, text in zip(best, axis.texts, strict=True):
            right = test["w"][-6:][index, entry] == 1
            assert text.get_text().startswith(names[entry].replace("_", " "))
            assert text.get_text().endswith("(no)") == (not right)
            assert colors.to_rgba(text.get_color()) == (RIGHT if right else WRONG)


def _images(value, columns=3, channels=1):
    dtype = np.float32 if channels == 1 else np.uint8
    return np.stack([np.full((2, 2, channels), value + column, dtype) for column in range(columns)])


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
