"""`tf-jmvae reproduce incomplete --quick`: what is trained on which rows, and that the page says what was measured."""

import contextlib
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from eager_studies import eagerly

import tf_jmvae as tj
from tf_jmvae import cli, data, evaluation
from tf_jmvae.studies import experiments
from tf_jmvae.studies.incomplete import page, plan
from tf_jmvae.studies.study import configs
from tf_jmvae.training.filling import filled
from tf_jmvae.training.run_folder import load_model

pytestmark = pytest.mark.timeout(600)
QUICK = plan.SCALES["quick"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies") / "incomplete"


@pytest.fixture(scope="module")
def printed(folder):
    with eagerly(), contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(["reproduce", "incomplete", "--quick", "--run-dir", str(folder), "--seed", "3"]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def record(folder, printed):
    return json.loads((folder / "docs" / "results" / "incomplete.json").read_text())


@pytest.fixture(scope="module")
def report(folder, printed):
    return (folder / "docs" / "results-incomplete.md").read_text()


def _rows(name, study_seed=3):
    """The training rows of a training, and which of them lack a modality."""
    train = configs(QUICK, Path("runs"), None, study_seed)[name].data.load().train
    return train, {key: np.isnan(values).reshape(len(values), -1).all(axis=1) for key, values in train.items()}


def test_labels_are_kept_by_as_many_images_of_each_digit_and_by_others_for_each_seed():
    kept = []
    for seed in range(2):
        train, lacking = _rows(plan.labelled(0.1, "keep", seed))
        assert len(train["x"]) == 400
        assert not lacking["x"].any()
        counts = np.nansum(train["w"], axis=0)
        assert counts.sum() == 40
        assert counts.max() - counts.min() <= 1
        kept.append(np.flatnonzero(~lacking["w"]))
        alone, lacking_nothing = _rows(plan.labelled(0.1, "drop", seed))
        np.testing.assert_array_equal(alone["x"], train["x"][kept[-1]])
        assert not np.any(list(lacking_nothing.values()))
    kept.append(np.flatnonzero(~_rows(plan.labelled(0.1, "keep", 0), study_seed=10)[1]["w"]))
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(kept, 2))


def test_images_and_labels_are_apart_but_for_a_twentieth():
    _, lacking = _rows("apart-keep")
    assert (lacking["x"].sum(), lacking["w"].sum()) == (190, 190)
    assert not (lacking["x"] & lacking["w"]).any()
    assert len(_rows("apart-drop")[0]["x"]) == 20


def test_the_whole_study_has_the_fractions_and_seeds_that_were_asked_for():
    trained = plan.SCALES["full"].trainings
    for fraction, seeds in plan.FRACTIONS.items():
        assert sum(name.startswith(f"labels-{fraction:g}-keep") for name in trained) == seeds
    assert plan.FRACTIONS[0.01] == 5
    assert set(plan.FRACTIONS) == {0.001, 0.01, 0.05, 0.1, 1.0}


def test_every_number_is_what_the_trained_model_gives(folder, record):
    source = data.load("digits", train_size=QUICK.train_size)
    test = {name: values[: QUICK.test_size] for name, values in source.test.items()}
    name = plan.labelled(0.1, "keep", 1)
    model = load_model(folder / name / "model.keras")
    named = evaluation.conditional_coherence(model, test, target="w", given="x", latent="mean", seed=3, verbose=0)
    found = record["measurements"][f"table-named/{name}/w-from-x"]
    assert (found["mean"], found["num_examples"]) == (pytest.approx(named.mean), 40)
    assert record["trainings"][name]["seed"] == 4
    assert len(record["measurements"]) == 3 * len(QUICK.trainings)


def test_the_page_says_it(record, report):
    means = [
        record["measurements"][f"table-named/{plan.labelled(0.1, 'keep', seed)}/w-from-x"]["mean"] for seed in (0, 1)
    ]
    error = np.std(means, ddof=1) / np.sqrt(2)
    assert f"| 40 (10%) | 2 | {np.mean(means):.2%} ± {error:.2%} |" in report
    rows = [line for line in report.splitlines() if line.startswith("| 40 (10%)")]
    assert [row.count("±") for row in rows] == [4, 4, 4]
    assert "M2 95.06%" in report
    assert "nan" not in report
    assert re.findall(r"images/(incomplete-[a-z]+)\.png", report) == ["incomplete-named", "incomplete-apart"]


def test_the_page_is_made_from_the_record_alone(folder, report):
    assert experiments.write_page(folder / "docs", "incomplete").read_text() == report


def test_a_fraction_that_has_no_complete_rows_alone_has_empty_cells(record):
    trained = {name: one for name, one in record["trainings"].items() if not name.startswith("labels-0.1-drop")}
    lines = page.page({**record, "trainings": trained}).splitlines()
    rows = [line for line in lines if line.startswith("| 40 (10%)")]
    assert [row.count("±") for row in rows] == [3, 3, 3]
    assert all(row.endswith("|  |") for row in rows)


def test_labels_are_filled_in_where_the_first_training_is_sure(folder, printed):
    config = configs(QUICK, folder, None, 3)[plan.labelled(0.1, "again", 0)]
    source = config.data.load()
    missing = np.isnan(source.train["w"][:, 0])
    first = load_model(folder / plan.labelled(0.1, "keep", 0) / "model.keras")
    found = first.predict({"x": source.train["x"]}, verbose=0)["w"]
    for confidence in (0.0, float(np.median(found.max(-1)))):
        labels = filled(source, config.data.filled_by, confidence).train["w"]
        np.testing.assert_array_equal(labels[~missing], source.train["w"][~missing])
        sure = missing & (found.max(-1) > confidence)
        np.testing.assert_array_equal(labels[sure], np.eye(10)[found.argmax(-1)][sure])
        assert np.isnan(labels[missing & ~sure]).all()
        assert 0 < sure.sum() <= missing.sum()


@pytest.mark.parametrize("kind", ["cvae", "jmvae"])
def test_any_model_that_names_labels_fills_them_in_the_same_way_each_time(tmp_path, kind):
    x, w = np.eye(8, 3, dtype=np.float32), np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    w[::3] = np.nan
    small = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
    modalities = {
        "x": tj.Modality((3,), "bernoulli", **small),
        "w": tj.Modality((2,), "categorical", **small),
        "c": tj.Modality((3,), "counts", **small),
    }
    if kind == "cvae":
        model = tj.CVAE(modalities, 2, target=["w", "c"], conditions="x")
    else:
        model = tj.JMVAE(modalities, 2, iterated_sampling=5)
    model.save(tmp_path / "model.keras")
    source = data.Source({"x": x, "w": w}, {})
    once, again = (filled(source, tmp_path, 0.0).train["w"] for _ in range(2))
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(once.sum(axis=1), 1.0)
