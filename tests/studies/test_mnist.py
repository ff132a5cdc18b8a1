"""The command in miniature, killed twice: what is finished stays, and the report has every number."""

import contextlib
import io
import itertools
import json
import pathlib
import re
import shutil
import signal
import time

import forked
import numpy as np
import pytest
from eager_studies import eagerly
from matplotlib import image

from tf_jmvae import cli
from tf_jmvae._utils.provenance import environment
from tf_jmvae.evaluation import Estimate
from tf_jmvae.studies.collector import COLUMNS
from tf_jmvae.studies.mnist.measurements import ROWS
from tf_jmvae.studies.mnist.page import IMPORTANCE
from tf_jmvae.studies.mnist.plan import SCALES, TRAININGS
from tf_jmvae.studies.pages import TITLES

QUICK = SCALES["quick"]
pytestmark = pytest.mark.timeout(600)


def _arguments(folder, *options):
    return ["reproduce", "mnist", "--quick", "--run-dir", str(folder), "--seed", "3", *options]


def _finished(folder):
    """Time and contents of every file that ends a training or a measurement."""
    paths = [*folder.glob("*/metrics.json"), *folder.glob("*/model.keras"), *folder.glob("measurements/**/*[!~].json")]
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def _reproduce_eagerly(folder):
    with eagerly():
        return cli.main(_arguments(folder))


def _kill_when(folder, ready):
    """Starts the command, kills it as soon as `ready()`, and gives what was finished then."""
    process = forked.start(_reproduce_eagerly, folder, log=folder.parent / "log")
    try:
        deadline = time.monotonic() + 300
        while not ready():
            assert process.exitcode is None, "the command ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return _finished(folder)


def _measurements(folder):
    return list(folder.glob("measurements/**/*[!~].json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies") / "mnist"


@pytest.fixture(scope="module")
def killed_in_training(folder):
    first = next(iter(TRAININGS))
    return _kill_when(folder, (folder / first / "metrics.json").exists)


@pytest.fixture(scope="module")
def killed_in_measuring(folder, killed_in_training):
    return _kill_when(folder, lambda: len(_measurements(folder)) >= 5)


@pytest.fixture(scope="module")
def completed(folder, killed_in_measuring):
    """What the third start of the command printed."""
    with eagerly(), contextlib.redirect_stdout(io.StringIO()) as printed:
        assert cli.main(_arguments(folder)) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def record(folder, completed):
    return json.loads((folder / "docs" / "results" / "mnist.json").read_text())


@pytest.fixture(scope="module")
def report(folder, completed):
    return (folder / "docs" / "results.md").read_text()


def test_what_was_finished_when_the_command_was_killed_is_not_done_again(
    folder, killed_in_training, killed_in_measuring, completed
):
    after = _finished(folder)
    assert len(killed_in_training) == 2  # metrics and model of a training
    assert 2 * len(TRAININGS) + 5 <= len(killed_in_measuring) < len(after)
    assert {path: after[path] for path in killed_in_training} == killed_in_training
    assert {path: after[path] for path in killed_in_measuring} == killed_in_measuring


def test_it_says_how_far_it_is_and_how_long_it_will_take(killed_in_measuring, completed):
    lines = completed.splitlines()
    for number, name in enumerate(TRAININGS, start=1):
        assert f"training {number} of {len(TRAININGS)}, {name}: finished" in lines
    before = sum("measurements" in path.parts for path in killed_in_measuring)
    measured = [re.match(r"measurement (\d+) of (\d+), (\S+?)(; (.+) left)?$", line) for line in lines]
    measured = [match for match in measured if match]
    total = int(measured[0][2])
    assert len(measured) == total - before
    assert [int(match[1]) for match in measured] == list(range(before + 1, total + 1))
    assert not measured[0][4]
    assert all(match[5] == "less than a minute" or match[5].endswith("min") for match in measured[1:])
    assert lines[-1].startswith("The report is ")


def test_every_measurement_is_recorded_with_its_error_seed_and_commit(folder, record):
    measured = record["measurements"]
    assert len(measured) == len(_measurements(folder))
    for name, value in measured.items():
        assert isinstance(value["mean"], float), name
        assert value["seed"] == 3, name
        assert value["commit"] == environment()["commit"], name
        assert value["num_examples"] in (QUICK.test_size, QUICK.figure_size), name
        if not name.startswith("figure-5/"):  # a fraction of areas has none
            assert value["standard_error"] >= 0, name
        assert not value.keys() & {"points", "values"}


def test_single_values_are_kept_in_the_folder_and_make_the_comparison_a_paired_one(folder, record, report):
    estimates = {}
    for path in _measurements(folder):
        measured = json.loads(path.read_text())
        name = str(path.relative_to(folder / "measurements").with_suffix(""))
        if not name.startswith("figure-5/"):
            estimates[name] = Estimate.from_dict(measured)
            assert estimates[name].mean == pytest.approx(measured["mean"], rel=1e-5, abs=1e-6)
    for row, other in itertools.permutations(ROWS, 2):
        for column in COLUMNS:
            one, two = (estimates.get(f"table-1/{name}/{column}") for name in (row, other))
            if one and two:
                apart = one.values.astype(float) - two.values
                error = np.std(apart, ddof=1) / np.sqrt(QUICK.test_size)
                found = record["measurements"][f"table-1/{row}/{column}"]["paired_errors"][other]
                assert found == pytest.approx(error, rel=1e-5, abs=1e-12)
    assert "over the same examples" in report
    assert "independent samples" not in report


def test_every_cell_of_table_1_is_measured_as_the_plan_says(record):
    cells = {name: value for name, value in record["measurements"].items() if name.startswith("table-1/")}
    # With the target given, a CVAE has one value for both of its rows.
    expected = {f"table-1/{row}/{column}" for row in ROWS for column in COLUMNS}
    assert cells.keys() == expected - {"table-1/cvae-prior/x-given-xw", "table-1/cvae-prior/w-given-xw"}
    for name, value in cells.items():
        row, column = name.split("/")[1:]
        assert value["estimator"] == "conditional bound"
        assert value["num_samples"] == QUICK.num_samples
        assert value["num_examples"] == QUICK.test_size
        iterates = row in ("cvae", "jmvae", "hierarchical-jmvae") and not column.endswith("xw")
        expected = {"num_steps": QUICK.num_steps, "initial": "zeros", "num_chains": 1} if iterates else {}
        assert value["settings"] == expected, name
    assert cells["table-1/cvae/x-given-w"]["mean"] != cells["table-1/cvae-prior/x-given-w"]["mean"]


def test_every_training_is_recorded_with_its_epochs_time_seed_and_commit(record):
    assert list(record["trainings"]) == list(TRAININGS)
    for name, training in record["trainings"].items():
        assert training["training"]["epochs"] == QUICK.epochs
        assert training["train_size"] == QUICK.train_size
        assert training["seconds"] > 0
        assert training["seed"] == 3
        assert training["commit"] == environment()["commit"]
        assert training["preset"] == f"digits-{TRAININGS[name].kind}"
        assert isinstance(training["metrics"]["elbo"], float)


def _rows(report, number):
    """The cells of a table of the report."""
    tables = [block.splitlines() for block in report.split("\n\n") if block.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in tables[number]]


def test_the_report_has_our_numbers_beside_the_papers(record, report):
    """The paper's numbers themselves, in their cells, are tests/report/test_results.py's."""
    assert "these numbers mean nothing" in report
    measured = record["measurements"]
    header, _, *rows = _rows(report, 0)
    assert len(header) == 5
    assert [row[0] for row in rows] == list(TITLES.values())
    for row, (_, *cells) in zip(TITLES, rows, strict=True):
        for column, cell in zip(COLUMNS, cells, strict=True):
            if row == "cvae-prior" and column.endswith("xw"):
                assert cell == "as above"
                continue
            one, digits = measured[f"table-1/{row}/{column}"], 2 if column.startswith("x") else 4
            assert re.sub(r" \(.*", "", cell) == f"{one['mean']:.{digits}f} ± {one['standard_error']:.{digits}f}"
            assert ("(" in cell) == (row not in ("cvae-prior", "jmvae-kl-0.1", "jmvae-kl-flow"))
    _, _, *rows = _rows(report, 1)
    for row, name in zip(rows, IMPORTANCE, strict=True):
        one = measured[f"importance/{name}"]
        assert re.sub(r" \(.*", "", row[3]) == f"{one['mean']:.2f} ± {one['standard_error']:.2f}"
        assert row[4] == f"{one['effective_sample_size']:.1f}"
    _, _, *rows = _rows(report, 2)
    for row, (_, *cells) in zip(TITLES, rows, strict=True):
        for name, cell in zip(("x-from-w", "w-from-x", "joint"), cells, strict=True):
            one = measured.get(f"coherence/{row}/{name}")
            assert cell == (f"{one['mean']:.2%} ± {one['standard_error']:.2%}" if one else ""), (row, name)


def test_every_table_of_the_report_is_whole(report):
    tables = [_rows(report, number) for number in range(4)]
    assert [[len(row) for row in table] for table in tables] == [
        [5] * (2 + len(ROWS)),
        [5] * (2 + 12),
        [4] * (2 + len(ROWS)),
        [7] * (2 + len(TRAININGS)),
    ]


def test_nothing_half_written_is_left(folder, completed):
    assert not list(folder.rglob("*~*"))


def test_only_a_measurement_that_was_deleted_is_repeated_and_the_report_goes_where_it_is_asked_for(
    folder, record, report, tmp_path, capsys
):
    before = _finished(folder)
    deleted = pathlib.Path("measurements", "importance", "jmvae", "joint.json")
    (folder / deleted).unlink()
    output = tmp_path / "a" / "report"
    with eagerly():
        assert cli.main(_arguments(folder, "--output", str(output))) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"measurement \d+ of \d+, (\S+)", printed) == ["importance/jmvae/joint"]
    assert printed.count(": finished") == len(TRAININGS)
    assert f"The report is {output / 'results.md'}." in printed
    after = _finished(folder)
    once, again = (json.loads(found.pop(deleted)[1]) for found in (before, after))
    assert after == before
    assert again.pop("mean") == pytest.approx(once.pop("mean"), rel=1e-5)
    for key in ("quantity", "estimator", "num_samples", "num_examples", "seed", "settings"):
        assert again[key] == once[key]
    assert (output / "results.md").read_text() == report
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*.*"))
    figures = [f"images/mnist-figure-{number}.png" for number in (3, 4, 5)]
    assert files == [*figures, "results.md", "results/mnist.json"]
    for name in figures:
        assert f"]({name})" in report
        np.testing.assert_array_equal(image.imread(output / name), image.imread(folder / "docs" / name))


def test_a_folder_of_a_study_with_other_settings_is_refused(folder, completed, tmp_path, capsys):
    shutil.copy(folder / "study.json", tmp_path)
    arguments = ["reproduce", "mnist", "--quick", "--run-dir", str(tmp_path), "--seed", "1"]
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path} holds a study with other settings" in error
    assert "'seed': 3" in error
    assert "'seed': 1" in error
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]
