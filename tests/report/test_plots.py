"""Pictures of runs and studies show each thing in its own place, and right and wrong in their own colours."""

import pathlib
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import colors
from matplotlib.figure import Figure
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.data import Source
from tf_jmvae.report import galleries, plots
from tf_jmvae.studies import pages
from tf_jmvae.studies.celeba import page as celeba_page
from tf_jmvae.studies.collector import COMPARED
from tf_jmvae.studies.mnist import page as mnist_page
from tf_jmvae.studies.pages import TITLES

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


def _cells(axis):
    """The images of a grid of squares by row, and the rows' labels and the columns' titles."""
    image = _shown(axis)
    rows = axis.get_yticks()
    columns = np.arange(rows[0], image.shape[1] - 1, image.shape[0] / len(rows))
    values = [[image[int(row), int(column)].flat[0] for column in columns] for row in rows]
    texts = ([label.get_text() for label in labels] for labels in (axis.get_yticklabels(), axis.get_xticklabels()))
    return values, *texts


KINDS = (("Labels", "breed"), ("Attributes", "traits"))
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


def _source(**test):
    return Source(test, test, class_names=tuple("abcd"))


def _pairs(panel):
    return list(zip(panel.axes[::2], panel.axes[1::2], strict=True))


def _said(axis):
    """The lines beside a picture: texts, whether their colour says right or wrong, and the lengths of their bars."""
    marks = [{RIGHT: True, WRONG: False}.get(colors.to_rgba(text.get_color())) for text in axis.texts]
    assert [{RIGHT: True, WRONG: False}.get(bar.get_facecolor()) for bar in axis.patches] == marks
    return [text.get_text() for text in axis.texts], marks, [bar.get_width() for bar in axis.patches]


def test_labels_that_are_right_are_green_and_wrong_ones_red_beside_their_image(drawn):
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 40)
    said = np.where(np.arange(40) % 3 == 1, (truth + 1) % 4, truth)
    source = _source(scan=random.uniform(size=(40, 4, 4, 1)), breed=np.eye(4)[truth])
    probabilities = (0.1 + 0.6 * np.eye(4)[said][:12]).astype(np.float32)
    plots.both_directions(_model(scan={}, breed={("breed", "scan"): probabilities}), source, "labels.png")
    panel = drawn[0].subfigs[1]
    assert panel.get_suptitle() == "Labels from images: breed given scan"
    assert len(_pairs(panel)) == 12
    for index, (picture, axis) in enumerate(_pairs(panel)):
        ink = 255 * (1 - source.test["scan"][index].squeeze())
        np.testing.assert_allclose(_shown(picture).squeeze(), ink, atol=0.51)
        texts, marks, lengths = _said(axis)
        right = said[index] == truth[index]
        assert (texts[0], marks[0]) == (f"{'abcd'[said[index]]}  70.0%", right)
        assert lengths == pytest.approx([0.7, 0.1, 0.1])
        assert axis.get_title(loc="left") == ("" if right else f"It is {'abcd'[truth[index]]}.")
        assert set(marks[1:]) <= {None, True}


def test_attributes_that_are_right_are_green_and_wrong_ones_red_beside_their_face(drawn):
    random = np.random.default_rng(0)
    photos = random.integers(0, 256, (20, 4, 4, 3), np.uint8)
    source = _source(photo=photos, traits=random.choice([-1.0, 1.0], (20, 10)))
    values = random.normal(size=(8, 10)).astype(np.float32)
    plots.both_directions(_model(photo={}, traits={("traits", "photo"): values}), source, "faces.png")
    panel = drawn[0].subfigs[1]
    assert panel.get_suptitle() == "Attributes from images: traits given photo"
    for index, (picture, axis) in enumerate(_pairs(panel)[:8]):
        np.testing.assert_array_equal(_shown(picture), photos[index])
        best = [entry for entry in np.argsort(-values[index])[:6] if values[index, entry] > 0]
        texts, marks, _ = _said(axis)
        assert [text.split("  ")[0] for text in texts] == [NAMES[entry].replace("_", " ") for entry in best]
        assert marks == [source.test["traits"][index, entry] == 1 for entry in best]


def test_every_direction_between_images_and_labels_or_attributes_is_drawn_whatever_they_are_called(drawn):
    levels = np.linspace(0, 1, 4, dtype=np.float32)
    made = np.ones((4, 4, 4, 1), np.float32) * levels[:, None, None, None]
    faces = np.ones((11, 4, 4, 3), np.float32) * np.linspace(-1, 1, 11, dtype=np.float32)[:, None, None, None]
    told = {"scan": {("scan", "breed"): made}, "photo": {("photo", "traits"): faces}, "breed": {}, "traits": {}}
    random = np.random.default_rng(0)
    source = _source(
        scan=random.uniform(size=(20, 4, 4, 1)),
        breed=np.eye(4)[random.integers(0, 4, 20)],
        photo=random.integers(0, 256, (20, 4, 4, 3), np.uint8),
        traits=np.where(np.arange(10) < 3, 1.0, -1.0) * np.ones((20, 1)),
    )
    plots.both_directions(_model(**told), source, "pictures.png")
    panels = {panel.get_suptitle(): panel for panel in drawn[0].subfigs}
    assert sorted(panels) == sorted(
        [f"{kind} from images: {name} given {image}" for image in ("scan", "photo") for kind, name in KINDS]
        + [f"Images from {kind.lower()}: {image} given {name}" for image in ("scan", "photo") for kind, name in KINDS]
    )
    values, _, titles = _cells(*panels["Images from labels: scan given breed"].axes)
    assert titles == [*"abcd"]
    assert values == [[255, 170, 85, 0]] * 7  # as ink: the mean of z, and six samples
    axes = panels["Images from attributes: photo given traits"].axes[:11]
    assert [axis.get_title() for axis in axes] == [
        "usual",
        *(f"{'not ' if number < 3 else ''}{name.replace('_', ' ')}" for number, name in enumerate(NAMES)),
    ]
    shown = [_shown(axis)[0, 0, 0] for axis in axes]
    np.testing.assert_allclose(shown, 100 + 50 * np.linspace(-1, 1, 11), atol=0.51)


def test_a_model_without_an_image_and_a_label_or_attributes_has_no_such_picture(tmp_path):
    model = tj.JMVAE(small_modalities("wcv"), 2)
    plots.both_directions(model, _source(**small_batch("wcv")), tmp_path / "generated.png")
    assert not list(tmp_path.iterdir())


def _images(value, columns=3, channels=1):
    return np.stack([np.full((2, 2, channels), value + column, np.uint8) for column in range(columns)])


def _panels(figure):
    """By the title of each panel, the values of its images by row, the rows' labels, and what these are."""
    found = {}
    for panel in figure.subfigs:
        values, labels, _ = _cells(*panel.axes)
        found[panel.get_suptitle()] = values, labels, panel.get_supylabel()
    return found


STEPS = {"jmvae": (10, 20), "hierarchical-jmvae": (30, 40), "jmvae-kl": (50, 60)}


@pytest.mark.parametrize("above", [{}, {"real": _images(0, channels=3)}], ids=["figure 3", "figure 6"])
def test_each_panel_of_images_over_steps_has_those_of_its_model(above):
    images = {model: np.stack([_images(value, channels=3) for value in values]) for model, values in STEPS.items()}
    figure = pages.images_over_steps(images, (1, 4), above=above, titles=[*"abc"])
    found = _panels(figure)
    assert list(found) == [TITLES[model] for model in STEPS]
    for model, starts in STEPS.items():
        rows = [[start, start + 1, start + 2] for start in ((0,) if above else ()) + starts]
        numbers = ["", ""] if model == "jmvae-kl" else ["1", "4"]
        words = "no steps: new samples" if model == "jmvae-kl" else "steps of iterated sampling"
        assert found[TITLES[model]] == (rows, [*above, *numbers], words)
    assert _cells(*figure.subfigs[0].axes)[2] == [*"abc"]


def test_bounds_over_steps_are_drawn_with_two_standard_errors_and_a_single_one_as_a_line():
    measured = {
        f"figure-4/{model}/{direction}/{steps}": {"mean": -100.0 * number - steps, "standard_error": 2.0}
        for number, direction in enumerate(("x-given-w", "w-given-x"), start=1)
        for model in COMPARED
        for steps in ((8, 1, 64) if model != "jmvae-kl" else (1,))
    }
    figure = pages.bounds_over_steps(measured, "figure-4", {"x-given-w": "images", "w-given-x": "labels"})
    assert [axis.get_title() for axis in figure.axes] == ["images", "labels"]
    for number, axis in enumerate(figure.axes, start=1):
        lines = {line.get_label(): np.transpose(line.get_data()).tolist() for line in axis.lines}
        expected = [[steps, -100.0 * number - steps] for steps in (1, 8, 64)]
        assert lines[TITLES["jmvae"]] == lines[TITLES["hierarchical-jmvae"]] == expected
        assert lines["JMVAE-kl (no steps)"] == [[0, -100 * number - 1], [1, -100 * number - 1]]
        assert len(axis.collections) == 2
        for band in axis.collections:
            reached = band.get_datalim(axis.transData)
            assert (reached.ymin, reached.ymax) == (-100 * number - 64 - 4, -100 * number - 1 + 4)


def test_latent_spaces_of_figure_5_have_each_point_in_its_place_and_in_the_colour_of_its_class():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 20)
    latents = {
        title: {key: random.normal(size=(20, 2)).tolist() for key in ("all", "w")} | {"labels": labels.tolist()}
        for title in ("one", "other")
    }
    figure = mnist_page._latent_spaces(latents, [*"abc"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == [*"abc"]
    colours = np.concatenate([handle.get_facecolor() for handle in legend.legend_handles])
    assert len(np.unique(colours, axis=0)) == 3
    panels = {axis.get_title(): axis.collections[0] for axis in figure.axes}
    assert list(panels) == [f"{title}: z from {z}" for title in latents for z in ("all modalities", "w alone")]
    for title, points in latents.items():
        for key, z in (("all", "all modalities"), ("w", "w alone")):
            drawn = panels[f"{title}: z from {z}"]
            np.testing.assert_allclose(drawn.get_offsets(), points[key])
            np.testing.assert_allclose(drawn.get_facecolor()[:, :3], colours[labels][:, :3])


def test_varied_faces_of_figure_8_stand_beside_the_map_of_their_z():
    random = np.random.default_rng(0)
    rows = {
        title: _images(10 * number, channels=3)
        for number, title in enumerate(("Base", "Not Male", "Bald", "Smiling"), 1)
    }
    latents = {title: random.normal(size=(6, 4)) for title in rows}
    figure = celeba_page._varied_faces(rows, latents)
    faces, plane = (panel.axes[0] for panel in figure.subfigs)
    assert _cells(faces)[1:] == (list(rows), ["mean", "random"])
    assert [row[:2] for row in _cells(faces)[0]] == [[10, 11], [20, 21], [30, 31], [40, 41]]
    centred = np.concatenate(list(latents.values()))
    centred -= centred.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    drawn = np.concatenate([np.concatenate([two.get_offsets(), one.get_offsets()]) for one, two in _pairs_of(plane)])
    np.testing.assert_allclose(np.abs(drawn), np.abs(centred @ axes.T), atol=1e-6)
    assert [one.get_label() for one, _ in _pairs_of(plane)] == list(rows)


def _pairs_of(axis):
    """Of each row of figure 8 its random faces and the star of its mean."""
    return list(zip(axis.collections[::2], axis.collections[1::2], strict=True))


def test_each_edit_of_figure_9_stands_below_its_name():
    portraits = [[("portrait", _images(value)[0]), ("Bald", _images(value)[1])] for value in (10, 20)]
    figure = celeba_page._edited_portraits(portraits)
    shown = [(axis.get_title(), int(_shown(axis).flat[0])) for axis in figure.axes]
    assert shown == [("portrait", 10), ("Bald", 11), ("portrait", 20), ("Bald", 21)]


def test_rows_with_and_without_a_gan_have_their_own_images():
    figure = celeba_page._with_and_without_a_gan({"real": _images(10), "JMVAE-kl": _images(20)})
    assert _cells(*figure.axes)[:2] == ([[10, 11, 12], [20, 21, 22]], ["real", "JMVAE-kl"])


def test_names_of_any_length_leave_room_for_the_images():
    picture = galleries.Picture(np.zeros((8, 8, 1), np.uint8), "An image.")
    long = "a name of many words, " * 8
    card = galleries.Card(picture, long, [galleries.Bar(long, "5.0%", 0.05, False)] * 3, f"It is {long}.")
    for draw in (plots._named, plots._captioned):
        figure = Figure(figsize=(6, 6.2), layout="constrained")
        draw(figure, galleries.Gallery("Texts", "", [card] * 6, "cards"))
        figure.draw_without_rendering()  # a warning of matplotlib's, that there is no room, is an error here
        widths = [axis.get_position().width for axis in figure.axes if axis.images]
        assert len(widths) == 6
        assert min(widths) > 0.07
