"""The CelebA study in miniature on cartoons: everything is written, says what was measured, and is not done twice."""

import base64
import itertools
import json
import re

import celeba_folder
import keras
import numpy as np
import pytest
from eager_studies import eagerly

from tf_jmvae import data
from tf_jmvae.data.celeba import ATTRIBUTES
from tf_jmvae.evaluation.frechet import distance_of_features
from tf_jmvae.studies import experiments
from tf_jmvae.studies.celeba import page as celeba_page
from tf_jmvae.studies.celeba.measurements import _features, generate
from tf_jmvae.studies.celeba.plan import SCALES, TRAININGS, UNWEIGHTED
from tf_jmvae.training.run import RunError

pytestmark = pytest.mark.timeout(600)

QUICK = SCALES["quick"]
FIGURES = ("figure-6", "figure-7", "figure-8", "figure-9", "gan")


def _reproduce(root, **options):
    arguments = {"data_dir": root / "celeba", "scale": "quick", "seed": 3} | options
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_JMVAE_CACHE", str(root / "cache"))
        return experiments.reproduce("celeba", root / "study", root / "docs", **arguments)


DRAWN = {}


_PUBLISH = experiments.publish


def _publish(output, study, record, figures):
    DRAWN.update(figures)
    return _PUBLISH(output, study, record, figures)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the cartoons, the study and its report.

    To take seconds, nothing is compiled or traced, and runs draw no pictures of their own: tests/training does both.
    """
    root = tmp_path_factory.mktemp("celeba")
    celeba_folder.make(root / "celeba", 100)
    with eagerly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiments, "publish", _publish)
        assert _reproduce(root) == root / "docs" / "results-celeba.md"
    return root


@pytest.fixture(scope="module")
def record(root):
    return json.loads((root / "docs" / "results" / "celeba.json").read_text())


@pytest.fixture(scope="module")
def report(root):
    return (root / "docs" / "results-celeba.md").read_text()


# Every measurement, spelled out.
_CELLS = ("x-given-w", "w-given-x", "x-given-xw", "w-given-xw")
NAMES = [
    f"table-2/{row}/{column}"
    for row in ("cvae", "cmma", "jmvae", "jmvae-kl", "hierarchical-jmvae")
    for column in _CELLS
]
NAMES += ["table-2/cvae-prior/x-given-w", "table-2/cvae-prior/w-given-x"]
NAMES += [f"figure-7/{model}/x-given-w/{step}" for model in ("jmvae", "hierarchical-jmvae") for step in (1, 2)]
NAMES += ["figure-7/jmvae-kl/x-given-w/1", "figure-7/mean-image"]
NAMES += [f"attributes/{name}" for name in ("cvae", "cmma", "jmvae", "jmvae-kl", "hierarchical-jmvae")]
NAMES += [f"attributes/{name}" for name in ("jmvae-kl-gan", "jmvae-unweighted", "majority")]
NAMES += [f"classifier/{model}/1" for model in ("jmvae-kl", "jmvae-kl-gan", "cmma-x", "cvae-x")]
NAMES += [
    f"classifier/{model}/{steps}" for model in ("jmvae", "hierarchical-jmvae", "jmvae-unweighted") for steps in (1, 2)
]
NAMES += ["classifier/real", "sharpness/real", "sharpness/jmvae-kl", "sharpness/jmvae-kl-gan"]


def test_every_measurement_is_there_and_is_as_the_plan_says(record):
    found = record["measurements"]
    assert sorted(found) == sorted(NAMES)
    for name, measured in found.items():
        assert np.isfinite(measured["mean"]), name
        if name.startswith(("table-2/", "figure-7/")) and name != "figure-7/mean-image":
            _, model, column, *steps = name.split("/")
            assert measured["estimator"] == "conditional bound"
            assert measured["num_samples"] == 2
            assert measured["num_examples"] == (15 if name.startswith("table-2/") else 8)
            iterates = model in ("cvae", "jmvae", "hierarchical-jmvae") and not column.endswith("xw")
            chain = {"num_steps": int(steps[0]) if steps else 2, "initial": "zeros", "num_chains": 1}
            assert measured["settings"] == (chain if iterates else {}), name
    assert found["table-2/cvae/x-given-w"]["mean"] != found["table-2/cvae-prior/x-given-w"]["mean"]


@pytest.fixture(scope="module")
def source(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_JMVAE_CACHE", str(root / "cache"))
        return data.load("celeba", data_dir=root / "celeba", train_size=QUICK.train_size, mirror=True)


@pytest.fixture(scope="module")
def classifier(root):
    return keras.saving.load_model(root / "study" / "attribute_classifier.keras")


@pytest.fixture(scope="module")
def faces(root, source):
    """Images from the attributes of the test images, by model: at the mean of z, and from samples."""
    with eagerly():
        models = {
            name: keras.saving.load_model(root / "study" / name / "model.keras")
            for name in ("jmvae-kl", "jmvae-kl-gan")
        }
        return {
            (name, latent): generate(model, source.test["w"], latent=latent, seed=3)
            for name, model in models.items()
            for latent in ("mean", "sample")
        }


def test_areas_under_the_curve_are_of_the_faces_of_each_model(record, source, classifier, faces):
    images = {"real": source.test["x"]} | {
        f"{name}/1": made for (name, latent), made in faces.items() if latent == "mean"
    }
    for name, shown in images.items():
        has = source.test["w"] > 0
        with eagerly():
            logits = classifier.predict(shown, verbose=0)
        found = record["measurements"][f"classifier/{name}"]["by_attribute"]
        varied = [entry for entry in range(len(ATTRIBUTES)) if 0 < has[:, entry].mean() < 1]
        assert list(found) == [ATTRIBUTES[entry] for entry in varied]
        for entry in varied:
            above, below = (logits[has[:, entry] == value, entry] for value in (True, False))
            order = np.sign(above[:, None] - below).mean() / 2 + 0.5
            assert found[ATTRIBUTES[entry]] == pytest.approx(order), (name, entry)
        assert record["measurements"][f"classifier/{name}"]["mean"] == pytest.approx(np.mean(list(found.values())))


def test_gradients_and_frechet_distances_are_of_the_faces_of_each_model(record, source, classifier, faces):
    shown = {"real": source.test["x"]} | {name: faces[name, "sample"] for name in ("jmvae-kl", "jmvae-kl-gan")}
    with eagerly():
        hidden = {name: _features(classifier, images) for name, images in shown.items()}
    distances = []
    for name, images in shown.items():
        found = record["measurements"][f"sharpness/{name}"]
        distances.append(found["frechet_distance"])
        assert distances[-1] == pytest.approx(distance_of_features(hidden[name], hidden["real"]), rel=1e-5, abs=1e-3)
        grey = images.mean(axis=-1)
        slopes = [np.hypot(*(np.diff(image, axis=axis)[:63, :63] for axis in (0, 1))).mean() for image in grey]
        assert found["mean"] == pytest.approx(np.mean(slopes), rel=1e-5)
    assert min(np.abs(np.diff(sorted(distances)))) > 1e-3


def test_single_values_are_kept_and_their_pairs_give_the_errors_of_differences(root, record, report):
    kept = {}
    for name in NAMES:
        found = json.loads((root / "study" / "measurements" / f"{name}.json").read_text())
        if not name.startswith("classifier/"):  # an area under the curve has no values of single images
            kept[name] = np.frombuffer(base64.b64decode(found["values"]), "<f4").astype(float)
            assert len(kept[name]) == (8 if name.startswith("figure-7/") else 15)
            measured = record["measurements"][name]
            assert measured["mean"] == pytest.approx(kept[name].mean(), rel=1e-5, abs=1e-6), name
            error = kept[name].std(ddof=1) / np.sqrt(len(kept[name]))
            assert measured["standard_error"] == pytest.approx(error, rel=1e-3, abs=1e-5), name
    for column in _CELLS:
        rows = [name for name in NAMES if name.startswith("table-2/") and name.endswith(f"/{column}")]
        for one, other in itertools.permutations(rows, 2):
            error = (kept[one] - kept[other]).std(ddof=1) / np.sqrt(15)
            found = record["measurements"][one]["paired_errors"][other.split("/")[1]]
            assert found == pytest.approx(error, rel=1e-5, abs=1e-12), (one, other)
    assert "over the same examples" in report
    assert "independent samples" not in report


def test_the_majority_guess_is_counted_on_held_out_images(root, record):
    lists = (root / "celeba" / "list_attr_celeba.txt").read_text().splitlines()[2:]
    attributes = np.array([line.split()[1:] for line in lists], int)
    train, test = attributes[: QUICK.train_size], attributes[85:][: QUICK.test_size]
    guess = np.where(train.sum(axis=0) > 0, 1, -1)
    assert record["measurements"]["attributes/majority"]["mean"] == pytest.approx((test == guess).mean())
    assert record["data"]["train"] == QUICK.train_size
    assert record["data"]["test"] == len(test) == 15


def test_the_report_names_its_command_its_data_and_every_figure(root, report):
    assert "`tf-jmvae reproduce celeba --quick`" in report
    assert "64 training and 15 held-out images of 100, centre crop" in report
    assert "a part of CelebA, 0.0% of its 202,599 images" in report
    links = re.findall(r"\]\(([^)]+)\)", report)
    assert {f"images/celeba-{name}.png" for name in FIGURES} <= set(links)
    for link in links:
        assert (root / "docs" / link).is_file(), link
    assert "nan" not in report.lower().split()


def test_image_columns_are_true_sums_with_their_third_beside_the_paper(record, report):
    row = next(line for line in report.splitlines() if line.startswith("| JMVAE-kl |"))
    measured = record["measurements"]["table-2/jmvae-kl/x-given-w"]["mean"]
    assert f"{measured:.1f} ±" in row
    assert f"({measured / 3:.0f}; paper -6852)" in row
    assert "(paper -44.13)" in row


def test_faces_with_a_gan_and_without_stand_below_the_real_ones(source, faces):
    """Of the first examples with each of the attributes that a reader recognises at a glance."""
    (axis,) = DRAWN["gan"].axes
    (picture,) = (np.asarray(image.get_array()) for image in axis.get_images())
    labels = [label.get_text() for label in axis.get_yticklabels()]
    names = ("Eyeglasses", "Blond_Hair", "Bald", "Wearing_Hat", "Bangs", "Goatee", "Gray_Hair", "Smiling")
    chosen = []
    for name in names:
        having = np.flatnonzero(source.test["w"][:, ATTRIBUTES.index(name)] > 0)
        chosen.append(next(int(index) for index in (*having, *range(15)) if index not in chosen))
    rows = {"real": source.test["x"][chosen]}
    for title, model in (("JMVAE-kl", "jmvae-kl"), ("JMVAE-kl + GAN", "jmvae-kl-gan")):
        rows[f"{title}\nfrom attributes,\nmean of z"] = faces[model, "mean"][chosen]
    assert labels[::3] == ["real", "JMVAE-kl\nfrom attributes,\nz drawn", "JMVAE-kl + GAN\nfrom attributes,\nz drawn"]
    for title, images in rows.items():
        for column, expected in enumerate(images):
            top, left = 2 + labels.index(title) * 66, 2 + column * 66
            shown = picture[top : top + 64, left : left + 64].astype(float)
            np.testing.assert_allclose(shown, expected, atol=1, err_msg=title)


def test_a_second_call_does_nothing_again(root, record, report, monkeypatch):
    def finished():
        paths = [*root.glob("study/**/*.keras"), *root.glob("study/**/*.json")]
        return {path: path.stat().st_mtime_ns for path in paths}

    monkeypatch.setattr(celeba_page, "figures", lambda *_: {})
    before = finished()
    assert len(before) > 2 * len(TRAININGS) + len(record["measurements"])
    with eagerly():
        _reproduce(root)
    assert finished() == before
    assert (root / "docs" / "results-celeba.md").read_text() == report


def test_another_study_in_the_folder_is_refused(root):
    with pytest.raises(RunError, match=r"holds a study with other settings"):
        _reproduce(root, seed=4)


def test_trained_models_keep_names_and_statistics(root):
    model = keras.saving.load_model(root / "study" / "jmvae-kl-gan" / "model.keras")
    assert model.modalities["w"].entry_names == ATTRIBUTES
    assert model.standardizations["x"].stddev.numpy().min() > 1  # of pixel values from 0 to 255


def test_jmvae_is_also_trained_without_the_weight_of_the_attributes(root):
    weighted, plain = (
        keras.saving.load_model(root / "study" / name / "model.keras").modalities["w"].weight
        for name in ("jmvae", UNWEIGHTED)
    )
    assert (weighted, plain) == (30.0, 1.0)
