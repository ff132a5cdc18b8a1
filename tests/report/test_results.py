"""The pages of the studies: the paper's numbers beside the right ones of ours, and no more said than they bear."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tf_jmvae.evaluation import Estimate
from tf_jmvae.studies import experiments
from tf_jmvae.studies.celeba.page import page as celeba_page
from tf_jmvae.studies.celeba.plan import TRAININGS as FACES
from tf_jmvae.studies.collector import COLUMNS, COMPARED
from tf_jmvae.studies.mnist.measurements import ROWS
from tf_jmvae.studies.mnist.page import IMPORTANCE
from tf_jmvae.studies.mnist.page import page as mnist_page
from tf_jmvae.studies.mnist.plan import TRAININGS
from tf_jmvae.studies.pages import TITLES

DOCS = Path(__file__).parents[2] / "docs"
# Suzuki and Matsuo: log p(x | w), log p(w | x), log p(x | w, x), log p(w | w, x).
PAPER = {
    "table-1": {
        "cvae": (-448.8, -5.293, -70.42, -5.304),
        "cmma": (-451.1, -0.2971, -69.89, -0.002574),
        "jmvae": (-747.1, -0.2286, -69.57, -0.2026),
        "jmvae-kl": (-422.35, -0.2628, -76.94, -0.1874),
        "hierarchical-jmvae": (-475.5, -2.640, -196.9, -0.4456),
    },
    "table-2": {
        "cvae": (-6825, -44.28, -4031, -44.28),
        "cmma": (-6920, -44.57, -4026, -38.74),
        "jmvae": (-48763, -43.97, -4026, -43.43),
        "jmvae-kl": (-6852, -44.13, -4089, -43.83),
        "hierarchical-jmvae": (-7355, -47.61, -4901, -47.32),
    },
}


def _scores(table):
    """Every cell a little above the paper's, if images of faces are divided by their channels."""
    found = {}
    for row in ROWS:
        paper = PAPER[table].get(row, (-600.0, -6.0, -80.0, -6.0))
        for value, column in zip(paper, COLUMNS, strict=True):
            mean = value * 0.999 * (3 if table == "table-2" and column.startswith("x") else 1)
            found[f"{table}/{row}/{column}"] = {"mean": mean, "standard_error": 0.0001}
    return found


def _steps(figure, models=COMPARED):
    return {
        f"{figure}/{model}/x-given-w/{steps}": {"mean": -200.0 + steps, "standard_error": 2.5}
        for model in models
        for steps in ((1, 64) if model != "jmvae-kl" else (1,))
    }


def _training(epochs):
    settings = {"epochs": epochs, "kl_warm_up": 2, "learning_rate": 1e-3, "decay": "cosine", "precision": "float32"}
    return {"seconds": 90.0, "seed": 3, "commit": "0123456789abcdef", "batch_size": 64, "training": settings}


def _mnist():
    measured = {"coherence/classifier": {"mean": 0.99, "standard_error": 0.002, "commit": "fedcba98765432"}}
    measured |= _scores("table-1") | _steps("figure-4")
    for row in ROWS:
        for name in ("x-from-w", "w-from-x", "joint"):
            measured[f"coherence/{row}/{name}"] = {"mean": 0.5, "standard_error": 0.01}
    measured |= {f"figure-5/{model}-2d": {"mean": mean} for model, mean in zip(COMPARED, (0.3, 0.9, 1.1), strict=True)}
    for name in IMPORTANCE:
        measured[f"importance/{name}"] = {"mean": -80.0, "standard_error": 0.1, "effective_sample_size": 12.34}
    scale = {"dataset": "mnist", "num_samples": 10, "num_steps": 100, "test_size": 10_000, "importance_samples": 1000}
    return {
        "scale": {**scale, "figure_size": 2000},
        "seed": 3,
        "trainings": {name: _training(training.epochs) for name, training in TRAININGS.items()},
        "measurements": measured,
    }


ATTRIBUTES = ("Male", "Smiling", "Eyeglasses", "Bald", "Blond_Hair")


def _celeba():
    """Every number another one, so that none can stand in another's place."""
    measured = _scores("table-2") | _steps("figure-7")
    measured["figure-7/mean-image"] = {"mean": -17336.0, "standard_error": 123.0, "commit": "fedcba98765432"}
    for number, name in enumerate((*ROWS, "jmvae-kl-gan", "jmvae-unweighted", "majority")):
        measured[f"attributes/{name}"] = {"mean": 0.7 + number / 100, "standard_error": 0.0017}
    classified = ("cmma-x/1", "cvae-x/1", "jmvae-kl-gan/1", "jmvae-kl/1", "jmvae/1", "jmvae/40", "real")
    for number, name in enumerate(classified):
        # As the study has them: all attributes in the dataset's order, which is not that of the table.
        by_name = {other: 0.5 + number / 100 + index / 1000 for index, other in enumerate(sorted(ATTRIBUTES))}
        measured[f"classifier/{name}"] = {"mean": 0.6 + number / 100, "by_attribute": by_name | {"Young": 0.9}}
    for number, name in enumerate(("real", "jmvae-kl", "jmvae-kl-gan")):
        measured[f"sharpness/{name}"] = {
            "mean": 18.0 - number,
            "standard_error": 0.05,
            "frechet_distance": 100.5 * number,
        }
    scale = {"name": "small", "suffix": "-small", "num_samples": 10, "num_steps": 40, "figure_size": 500}
    return {
        "scale": scale,
        "seed": 3,
        "data": {"train": 12_800, "test": 1_600, "report": {"prepared": 14_400}},
        "trainings": {name: _training(12) for name in FACES},
        "measurements": measured,
    }


PAGES = {"table-1": (_mnist, mnist_page), "table-2": (_celeba, celeba_page)}


def _page(table, change=None):
    record, page = PAGES[table][0](), PAGES[table][1]
    for name, values in (change or {}).items():
        record["measurements"][f"{table}/{name}"].update(values)
    return page(record)


def _tables(page):
    """Each table of a page: a dict of its rows' cells by their first one."""
    tables = [block.splitlines()[2:] for block in page.split("\n\n") if block.startswith("|")]
    rows = [[[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines] for lines in tables]
    return [{first: rest for first, *rest in table} for table in rows]


def _lines(page, title="log p(x \\| w): "):
    return [line.removeprefix(f"- {title}") for line in page.splitlines() if line.startswith(f"- {title}")]


# The tables.


@pytest.mark.parametrize("table", PAPER)
def test_each_cell_has_its_own_value_of_the_paper_beside_ours(table):
    found = _tables(_page(table))[0]
    measured = PAGES[table][0]()["measurements"]
    for row, paper in PAPER[table].items():
        for cell, value, column in zip(found[TITLES[row]], paper, COLUMNS, strict=True):
            ours, theirs = re.fullmatch(r"(-[\d.]+) ± [\d.]+ \((.+)\)", cell).groups()
            mean = measured[f"{table}/{row}/{column}"]["mean"]
            assert float(ours) == pytest.approx(mean, abs=0.06)
            if table == "table-2" and column.startswith("x"):
                third, theirs = theirs.split("; ")
                assert float(third) == pytest.approx(mean / 3, abs=0.51)
            assert float(theirs.removeprefix("paper ")) == value, (row, column)
    assert "(" not in "".join(found["JMVAE-kl, alpha 0.1"][1::2])


def test_attributes_that_the_classifier_sees_stand_below_their_names():
    page, measured = _page("table-2"), _celeba()["measurements"]
    header = next(line for line in page.splitlines() if line.startswith("| images of |"))
    assert header == "| images of | Male | Smiling | Eyeglasses | Bald | Blond Hair | mean of 40 |"
    found = _tables(page)[2]
    names = {"real images": "real", "CMMA": "cmma-x/1", "JMVAE, 1 step": "jmvae/1", "JMVAE, 40 steps": "jmvae/40"}
    names |= {"JMVAE-kl": "jmvae-kl/1", "JMVAE-kl + GAN": "jmvae-kl-gan/1", "CVAE, z at the mean of p(z)": "cvae-x/1"}
    assert found.keys() == names.keys()
    for title, name in names.items():
        one = measured[f"classifier/{name}"]
        assert found[title] == [f"{one['by_attribute'][key]:.3f}" for key in ATTRIBUTES] + [f"{one['mean']:.3f}"]


def test_each_model_has_its_own_sharpness_and_frechet_distance():
    assert _tables(_page("table-2"))[3] == {
        "real images": ["18.00 ± 0.05", "0.0"],
        "JMVAE-kl": ["17.00 ± 0.05", "100.5"],
        "JMVAE-kl + GAN": ["16.00 ± 0.05", "201.0"],
    }


def test_each_model_has_its_own_share_of_attributes():
    found = _tables(_page("table-2"))[1]
    assert found["CVAE, x completed by iterated sampling"] == ["70.00% ± 0.17%"]
    assert found["JMVAE-kl"] == ["74.00% ± 0.17%"]
    assert found["majority of the training images"] == ["80.00% ± 0.17%"]


# The comparisons.


@pytest.mark.parametrize("table", PAPER)
def test_where_every_cell_reaches_the_papers_only_the_orders_are_told(table):
    lines = [line for line in _page(table).splitlines() if line.startswith("- ")]
    assert len(lines) == 5
    assert all("no model is below the paper. Order:" in line for line in lines[:4])
    assert "below the paper:" not in _page(table)


@pytest.mark.parametrize(
    ("table", "order"),
    [
        ("table-1", "JMVAE-kl > CVAE > CMMA > hierarchical JMVAE > JMVAE"),
        ("table-2", "CVAE > JMVAE-kl > CMMA > hierarchical JMVAE > JMVAE"),
    ],
)
def test_the_papers_order_is_recognised(table, order):
    assert _lines(_page(table)) == [f"no model is below the paper. Order: {order}; as in the paper."]


def test_equal_values_of_the_paper_have_no_order():
    (line,) = _lines(_page("table-2"), "log p(x \\| w, x): ")
    assert "in the paper: CMMA = JMVAE > CVAE > JMVAE-kl > hierarchical JMVAE." in line


@pytest.mark.parametrize(
    ("table", "change", "below"),
    [
        ("table-1", {"cmma/x-given-w": {"mean": -461.1}}, "CMMA by 10"),
        ("table-1", {"cmma/x-given-w": {"mean": -461.1, "standard_error": 4.9}}, "CMMA by 10"),
        (
            "table-1",
            {"cmma/x-given-w": {"mean": -461.1, "standard_error": 5.1}},
            "CMMA by 10 (within two standard errors of ours)",
        ),
        ("table-2", {"cmma/x-given-w": {"mean": -6930.0 * 3, "standard_error": 14.7}}, "CMMA by 10"),
        (
            "table-2",
            {"cmma/x-given-w": {"mean": -6930.0 * 3, "standard_error": 15.3}},
            "CMMA by 10 (within two standard errors of ours)",
        ),
    ],
)
def test_a_cell_below_the_papers_is_told_with_the_distance(table, change, below):
    (line,) = _lines(_page(table, change))
    assert line.startswith(f"below the paper: {below}. Order: ")


@pytest.mark.parametrize("table", PAPER)
def test_another_order_is_told_beside_the_papers(table):
    (line,) = _lines(_page(table, {"jmvae/x-given-w": {"mean": -100.0}}))
    assert re.search(r"Order: JMVAE > .*; in the paper: .* > JMVAE\.$", line)


def test_the_order_is_told_also_with_the_usual_answer_of_the_cvae():
    change = {"cvae/x-given-w": {"mean": -600.0}, "cvae-prior/x-given-w": {"mean": -430.0}}
    page = _page("table-1", change)
    assert "Order: JMVAE-kl > CMMA > hierarchical JMVAE > CVAE > JMVAE; in the paper" in _lines(page)[0]
    assert _lines(page, "Order of log p(x \\| w) with z ~ p(z) in the CVAE: ") == [
        "JMVAE-kl > CVAE > CMMA > hierarchical JMVAE > JMVAE."
    ]


def _pair(error, paired=None):
    """CMMA 4 nats ahead of the CVAE, each with this standard error."""
    change = {f"{row}/x-given-w": {"standard_error": error} for row in ("cvae", "cmma")}
    change["cvae/x-given-w"]["mean"], change["cmma/x-given-w"]["mean"] = -449.0, -445.0
    page = _page("table-1", change)
    if paired is not None:
        record = _mnist()
        for name, found in record["measurements"].items():
            if name.startswith("table-1/"):
                found["paired_errors"] = dict.fromkeys(ROWS, 0.0001)
        for row, other in (("cvae", "cmma"), ("cmma", "cvae")):
            found = record["measurements"][f"table-1/{row}/x-given-w"]
            found.update(change[f"{row}/x-given-w"])
            found["paired_errors"][other] = paired
        page = mnist_page(record)
    return page, _lines(page)[0]


@pytest.mark.parametrize(("error", "sign"), [(1.4, ">"), (1.42, "≥")], ids=["more", "less"])
def test_without_single_values_a_small_difference_is_left_open(error, sign):
    page, line = _pair(error)  # 4 nats; two errors of independent samples are 2 sqrt(2) of one
    assert f"JMVAE-kl > CMMA {sign} CVAE > hierarchical JMVAE > JMVAE; in the paper" in line
    assert "the error of a difference is that of independent samples" in page
    assert "an upper bound if the scores of the same examples are positively correlated" in page
    assert "≈" not in page


@pytest.mark.parametrize(("paired", "sign"), [(1.99, ">"), (2.01, "≈")], ids=["more", "less"])
def test_with_single_values_the_paired_error_alone_counts(paired, sign):
    page, line = _pair(50.0, paired)  # that of independent samples would hide any difference
    assert f"JMVAE-kl > CMMA {sign} CVAE > hierarchical JMVAE > JMVAE; in the paper" in line
    assert "standard errors of their difference over the same examples" in page
    assert "independent samples" not in page
    assert "≥" not in page


@pytest.mark.parametrize("table", PAPER)
def test_no_reasons_are_given_and_their_page_is_linked(table):
    record, page = PAGES[table][0](), PAGES[table][1]
    below = {name: {**found, "mean": found["mean"] - 90_000} for name, found in record["measurements"].items()}
    record["measurements"] = {**record["measurements"], **{n: v for n, v in below.items() if n.startswith(table)}}
    assert not re.search(r"[Ll]ikely|[Bb]ecause of|Why|collapse|no better|two CPU cores", page(record))
    assert "](findings.md)" in page(record, "findings.md")
    assert "findings" not in page(record)


def test_an_importance_estimate_below_the_papers_is_told():
    record = _mnist()
    record["measurements"]["importance/jmvae-kl/joint"]["mean"] = -90.0
    line = "- JMVAE-kl, alpha 1, log p(x, w) with q(z \\| x, w): 0.72 nats below the paper's -89.28."
    assert mnist_page(record).count(line) == 1
    assert "nats below" not in mnist_page(_mnist())


def test_the_page_of_mnist_says_what_it_is_of():
    report = mnist_page(_mnist())
    assert "MNIST: 60,000 training images" in report
    assert "10,000 test images" in report
    assert "mean nothing" not in report
    assert "run one chain of 100 steps, whose final state all 10 samples share" in report
    assert "| cvae-x | 25 | 2 | 0.001 | 1.5 min | 3 | 0123456789 |" in report
    assert "trained on grey-scale images and classifies 99.00% ± 0.20% of the real, binarised test images" in report
    assert "covers 30.0% of the area that z from all modalities covers for JMVAE, 90.0% for the hierarchical" in report
    assert "and 110.0% for JMVAE-kl." in report


@pytest.mark.parametrize(
    ("table", "first", "last", "error"), [("table-1", "199.0", "136.0", "2.5"), ("table-2", "199", "136", "2")]
)
def test_the_ends_of_iterated_sampling_are_told(table, first, last, error):
    page = _page(table)
    assert f"log p(x | w) changes from -{first} ± {error} after 1 step to -{last} ± {error} after 64 for JMVAE" in page
    assert f"JMVAE-kl has -{first} ± {error} without iterated sampling." in page


@pytest.mark.parametrize("table", PAPER)
def test_the_commits_are_named_and_whether_files_differed_from_them(table):
    record, page = PAGES[table][0](), PAGES[table][1]
    assert page(record).endswith("\n\nMeasured at commit fedcba9876.\n")
    record["trainings"]["jmvae"]["dirty"] = True
    end = " Some of these results come from a working tree with uncommitted changes; they are marked in the record.\n"
    assert page(record).endswith(f"fedcba9876.{end}")


# From single values to the record, and from the record to the page.


def test_the_record_has_paired_errors_in_place_of_single_values():
    shared, *own = np.random.default_rng(0).normal(size=(4, 200))
    measured = {"table-1/jmvae/w-given-x": {"mean": -1.0, "standard_error": 0.1}, "figure-5/a": {"points": [1]}}
    for row, values in zip(("cvae", "cmma", "jmvae"), own, strict=True):
        examples = {"x": "0a"}
        for column, scale in (("x-given-w", 1.0), ("w-given-x", 2.0)):
            estimate = Estimate("q", "e", scale * (3 * shared + values), 1, 0, examples=examples)
            if (row, column) != ("jmvae", "w-given-x"):  # which was measured before values were kept
                measured[f"table-1/{row}/{column}"] = estimate.as_dict(values=True) | {"versions": {}}
    record = experiments.recorded(measured)
    assert list(record) == sorted(measured)
    assert not any(found.keys() & {"values", "versions", "points"} for found in record.values())
    expected = np.std(own[0] - own[1], ddof=1) / math.sqrt(200)
    assert record["table-1/cvae/x-given-w"]["paired_errors"].keys() == {"cmma", "jmvae"}
    for row, other in (("cvae", "cmma"), ("cmma", "cvae")):
        assert record[f"table-1/{row}/x-given-w"]["paired_errors"][other] == pytest.approx(expected, rel=1e-5)
        assert record[f"table-1/{row}/w-given-x"]["paired_errors"] == {other: pytest.approx(2 * expected, rel=1e-5)}
    assert "paired_errors" not in record["table-1/jmvae/w-given-x"]


PUBLISHED = [study for study in experiments.PAGES if (DOCS / "results" / f"{study}.json").is_file()]


def test_the_papers_studies_and_that_of_incomplete_rows_are_published():
    assert {"mnist", "celeba", "incomplete"} <= {*PUBLISHED}


@pytest.mark.parametrize("study", PUBLISHED)
def test_the_pages_in_the_docs_are_those_of_their_records_and_link_to_findings(study, tmp_path):
    (tmp_path / "results").symlink_to(DOCS / "results")
    page = experiments.write_page(tmp_path, study)
    assert "findings" not in page.read_text()
    (tmp_path / f"findings-{study}.md").touch()
    experiments.write_page(tmp_path, study)
    assert page.read_text() == (DOCS / page.name).read_text()
    assert f"](findings-{study}.md)" in page.read_text()


@pytest.mark.parametrize("study", PUBLISHED)
def test_findings_name_the_commits_of_their_numbers(study):
    record = json.loads((DOCS / "results" / f"{study}.json").read_text())
    text = (DOCS / f"findings-{study}.md").read_text()
    for commit in {found["commit"][:7] for found in record["measurements"].values()}:
        assert commit in text
    assert re.search(r"by hand on \d{4}-\d\d-\d\d", text)
