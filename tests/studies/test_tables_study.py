"""`tf-jmvae reproduce tables --quick`: which cells are removed, what fills them, and what the page says of it."""

import contextlib
import io
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from eager_studies import eagerly

from tf_jmvae import cli, tables
from tf_jmvae.columns import read_table
from tf_jmvae.studies import experiments
from tf_jmvae.studies.tables import measurements, page, peers, plan
from tf_jmvae.training.run_folder import load_model

pytestmark = pytest.mark.timeout(600)
QUICK = plan.SCALES["quick"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "tables"
    with eagerly(), contextlib.redirect_stdout(io.StringIO()):
        assert cli.main(["reproduce", "tables", "--quick", "--run-dir", str(folder), "--seed", "3"]) == 0
    return folder


@pytest.fixture(scope="module")
def record(folder):
    return json.loads((folder / "docs" / "results" / "tables.json").read_text())


@pytest.mark.parametrize("name", plan.TABLES)
def test_a_fifth_of_the_cells_is_removed_and_others_each_time(name):
    table, category = plan.whole(name)
    assert not table.isna().any().any()
    assert table[category].map(type).eq(str).all()
    masks = [plan.removed(table.shape, removal, seed) for removal, seed in ((0, 0), (1, 0), (0, 1))]
    assert {mask.sum() for mask in masks} == {round(0.2 * table.size)}
    for mask, other in itertools.pairwise(masks):
        assert (mask & other).sum() == pytest.approx(0.04 * table.size, rel=0.3)


def test_what_is_given_is_what_was_not_removed(folder):
    table, category = plan.whole("iris")
    for removal in range(QUICK.removals):
        given = read_table(folder / "tables" / f"iris-{removal}.csv")
        gaps = plan.removed(table.shape, removal, 3)
        np.testing.assert_array_equal(given.isna(), gaps)
        numbers = [column for column in table if column != category]
        there = given[numbers].astype(float)
        assert there.equals(table[numbers].where(~gaps[:, table.columns != category]))


def test_every_number_is_that_of_what_is_filled_in(folder, record):
    table, category = plan.whole("iris")
    errors, right = [], []
    for removal in range(QUICK.removals):
        given = read_table(folder / "tables" / f"iris-{removal}.csv")
        model = load_model(folder / f"iris-{removal}" / "model.keras")
        filled = tables.fill(model, given, num_samples=QUICK.num_samples, seed=3, verbose=0)
        far = [
            (float(filled[column][row]) - table[column][row]) / np.std(table[column])
            for column in table.columns.drop(category)
            for row in np.flatnonzero(given[column].isna())
        ]
        errors.append(np.sqrt(np.mean(np.square(far))))
        gaps = given[category].isna()
        right.append(np.mean([a == b for a, b in zip(filled[category][gaps], table[category][gaps], strict=True)]))
    found = record["measurements"]["filled/iris"]
    assert found["rmse"]["jmvae-kl"]["by_removal"] == pytest.approx(errors, rel=1e-3)
    assert found["rmse"]["jmvae-kl"]["mean"] == pytest.approx(np.mean(errors), rel=1e-3)
    assert found["accuracy"]["jmvae-kl"]["mean"] == pytest.approx(np.mean(right))
    assert found["cells"]["rmse"] + found["cells"]["accuracy"] == 2 * 150
    assert found["rmse"]["iterative"]["mean"] < found["rmse"]["jmvae-kl"]["mean"]  # a model of one epoch


def test_standard_errors_are_those_of_rows_and_of_their_differences():
    random = np.random.default_rng(0)
    right = random.random((2, 1, 400)) < 0.7
    worse = right & (random.random(right.shape) < 0.9)
    found = {
        measurements.OURS: np.concatenate([right, np.ones_like(right)], axis=1),
        "iterative": np.concatenate([worse, np.ones_like(worse)], axis=1),
    }
    told = measurements.compared(found, "accuracy", 4000, 0)
    of_rows = right[:, 0].mean(axis=0)
    assert told["jmvae-kl"]["mean"] == pytest.approx(of_rows.mean())
    assert told["jmvae-kl"]["standard_error"] == pytest.approx(of_rows.std() / 20, rel=0.05)
    difference = (right ^ worse)[:, 0].mean(axis=0)
    assert told["iterative"]["difference"] == pytest.approx(difference.mean())
    assert told["iterative"]["difference_error"] == pytest.approx(difference.std() / 20, rel=0.05)
    squares = measurements.compared(found, "rmse", 10, 0)["jmvae-kl"]
    assert squares["by_removal"] == pytest.approx(np.sqrt(right[:, 0].mean(axis=1)))


@pytest.mark.parametrize("peer", peers.PEERS)
def test_peers_fill_gaps_alone_and_know_what_a_line_tells(peer):
    random = np.random.default_rng(0)
    kind = random.integers(3, size=200)
    size, weight = (10.0 * (kind == number) + random.normal(size=200) for number in (1, 2))
    table = pd.DataFrame({"kind": np.array(["a", "b", "c"])[kind], "size": size, "weight": weight, "area": size * 3})
    gaps = random.random(table.shape) < 0.2
    gaps[:, 1:3] = False
    given = table.mask(gaps)
    filled = peers.filled(given, "kind", peer, 0)
    assert list(filled) == list(table)
    assert filled["kind"].where(~gaps[:, 0]).equals(given["kind"])
    np.testing.assert_allclose(filled["size"], table["size"])
    np.testing.assert_allclose(filled["area"][~gaps[:, 3]], table["area"][~gaps[:, 3]])
    error = (filled["area"] - table["area"])[gaps[:, 3]] / table["area"].std()
    assert np.sqrt(np.mean(error**2)) < 0.3
    assert (filled["kind"] == table["kind"])[gaps[:, 0]].mean() > 0.9


def test_the_page_says_it(folder, record):
    text = (folder / "docs" / "results-tables.md").read_text()
    ours = record["measurements"]["filled/iris"]["rmse"]["jmvae-kl"]
    assert f"| iris | {ours['mean']:.3f} ± {ours['standard_error']:.3f} |" in text
    assert "nan" not in text.lower().replace("imputer", "")
    assert "In miniature" in text
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(block) for block in blocks] == [3, 4, 4, 2 + QUICK.removals]  # no table is torn into blocks
    assert all(set(block[1]) <= set("|-: ") for block in blocks)
    assert experiments.write_page(folder / "docs", "tables").read_text() == text


def test_the_average_is_of_independent_tables():
    one = {
        method: {"mean": 1.0, "standard_error": 0.3, "difference": 0.5, "difference_error": 0.4}
        for method in page.TITLES
    }
    other = {
        method: {"mean": 2.0, "standard_error": 0.4, "difference": 0.1, "difference_error": 0.3}
        for method in page.TITLES
    }
    mean = page.average([one, other])["iterative"]
    assert mean == pytest.approx({"mean": 1.5, "standard_error": 0.25, "difference": 0.3, "difference_error": 0.25})


def test_no_folder_of_data_is_taken(capsys):
    assert cli.main(["reproduce", "tables", "--data-dir", "."]) != 0
    assert "come with scikit-learn" in capsys.readouterr().err
