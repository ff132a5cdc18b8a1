"""The CelebA study in miniature on cartoons: everything is written, says what was measured, and is not done twice."""

import contextlib
import json
import pathlib
import re
import warnings

import celeba_folder
import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image
from tf_jmvae.studies.image_quality import frechet_distance

from tf_jmvae import data
from tf_jmvae.data.celeba import ATTRIBUTES
from tf_jmvae.evaluation import Estimate
from tf_jmvae.report import plots
from tf_jmvae.studies import classifier as judges
from tf_jmvae.studies.celeba.measurements import JUDGED, generate
from tf_jmvae.studies.celeba.plan import SCALES, TRAININGS, UNWEIGHTED
from tf_jmvae.studies.collector import COLUMNS, ROWS
from tf_jmvae.studies.experiments import reproduce
from tf_jmvae.training.run import RunError

pytestmark = pytest.mark.timeout(600)

QUICK = SCALES["quick"]
FIGURES = ("figure-6", "figure-7", "figure-8", "figure-9", "gan")


def _reproduce(root, **options):
    arguments = {"data_dir": root / "celeba", "scale": "quick", "seed": 3} | options
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_JMVAE_CACHE", str(root / "cache"))
        for name in ("history", "both_directions"):
            patch.setattr(plots, name, lambda *arguments, **_: pathlib.Path(arguments[-1]).touch())
        return reproduce("celeba", root / "study", root / "docs", **arguments)


@contextlib.contextmanager
def _eagerly():
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Even though the `tf.config.experimental_run_functions_eagerly`")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the cartoons, the study and its report.

    To take seconds, nothing is compiled and runs draw no pictures of their own: tests/training does both.
    """
    root = tmp_path_factory.mktemp("celeba")
    celeba_folder.make(root / "celeba", 100)
    with _eagerly():
        assert _reproduce(root) == root / "docs" / "results-celeba.md"
    return root


@pytest.fixture(scope="module")
def record(root):
    return json.loads((root / "docs" / "results" / "celeba.json").read_text())


@pytest.fixture(scope="module")
def report(root):
    return (root / "docs" / "results-celeba.md").read_text()


def test_every_number_is_there_and_finite(record):
    found = record["measurements"]
    expected = {
        f"table-2/{row}/{column}"
        for row in ROWS
        for column, (target, given) in COLUMNS.items()
        if row != "cvae-prior" or target not in given
    }
    expected |= {f"figure-7/{model}/x-given-w/{step}" for model in ("jmvae", "hierarchical-jmvae") for step in (1, 2)}
    expected |= {"figure-7/jmvae-kl/x-given-w/1", "figure-7/mean-image"}
    rows = [row for row in ROWS if row != "cvae-prior"]
    expected |= {f"attributes/{name}" for name in (*rows, "jmvae-kl-gan", UNWEIGHTED, "majority")}
    judged = {
        f"judge/{model}/{step}"
        for model, iterates in (JUDGED | {UNWEIGHTED: True}).items()
        for step in ((1, 2) if iterates else (1,))
    }
    expected |= {*judged, "judge/real"}
    expected |= {f"sharpness/{name}" for name in ("real", "jmvae-kl", "jmvae-kl-gan")}
    assert found.keys() == expected
    for measured in found.values():
        assert np.isfinite(measured["mean"])
    assert found["sharpness/real"]["frechet_distance"] == pytest.approx(0, abs=1e-3)
    assert all(0 <= found[name]["mean"] <= 1 for name in expected if name.startswith(("attributes/", "judge/")))


def test_frechet_distances_are_between_the_faces_of_each_model_and_real_ones(root, record):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_JMVAE_CACHE", str(root / "cache"))
        source = data.load("celeba", data_dir=root / "celeba", train_size=QUICK.train_size, mirror=True)
    test = {name: values[: QUICK.test_size] for name, values in source.test.items()}
    judge = keras.saving.load_model(root / "study" / "attribute_classifier.keras")
    found = {}
    with _eagerly():
        for name in ("jmvae-kl", "jmvae-kl-gan"):
            model = keras.saving.load_model(root / "study" / name / "model.keras")
            made = generate(model, test["w"], latent="sample", seed=3)
            found[name] = frechet_distance(*(judges.features(judge, images) for images in (made, test["x"])))
            assert record["measurements"][f"sharpness/{name}"]["frechet_distance"] == pytest.approx(
                found[name], rel=1e-5
            )
    assert min(found.values()) > 1e-3
    assert found["jmvae-kl"] != pytest.approx(found["jmvae-kl-gan"], rel=1e-4)


def test_single_values_are_kept_and_make_the_comparison_a_paired_one(root, record, report):
    for name, found in record["measurements"].items():
        if "standard_error" in found:  # an area under the curve has none
            kept = Estimate.from_dict(json.loads((root / "study" / "measurements" / f"{name}.json").read_text()))
            assert kept.mean == pytest.approx(found["mean"], rel=1e-5), name
            assert kept.num_examples == found["num_examples"] == len(kept.values)
    pair = record["measurements"]["table-2/jmvae/x-given-w"]["paired_errors"]
    assert pair.keys() == ROWS.keys() - {"jmvae"}
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


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_with_colours(root, name):
    pixels = image.imread(root / "docs" / "images" / f"celeba-{name}.png")
    assert min(pixels.shape[:2]) > 200
    assert np.ptp(pixels[..., :3], axis=-1).max() > 0.3


def test_a_second_call_does_nothing_again(root, record, report):
    def finished():
        paths = [*root.glob("study/**/*.keras"), *root.glob("study/**/*.json")]
        return {path: path.stat().st_mtime_ns for path in paths}

    before = finished()
    assert len(before) > 2 * len(TRAININGS) + len(record["measurements"])
    with _eagerly():
        _reproduce(root)
    assert finished() == before
    assert (root / "docs" / "results-celeba.md").read_text() == report


def test_another_study_in_the_folder_is_refused(root):
    with pytest.raises(RunError, match=r"holds a study with other settings"):
        _reproduce(root, seed=4)


def test_trained_models_keep_names_and_statistics(root):
    model = keras.saving.load_model(root / "study" / "jmvae-kl-gan" / "model.keras")
    assert model.modalities["w"].entry_names == ATTRIBUTES
    assert model.standardizations["x"].deviation.numpy().min() > 1  # of grey levels from 0 to 255


def test_jmvae_is_also_trained_without_the_weight_of_the_attributes(root):
    weighted, plain = (
        keras.saving.load_model(root / "study" / name / "model.keras").modalities["w"].weight
        for name in ("jmvae", UNWEIGHTED)
    )
    assert (weighted, plain) == (30.0, 1.0)
