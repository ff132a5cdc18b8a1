"""docs/performance.md is made from the results alone; the numbers on it follow from theirs."""

import json
import sys

import harness
import pytest
import report
import report_quality
from PIL import Image

ORIGIN = {
    "seed": 0,
    "quick": False,
    "processor": {"name": "Abacus 9000", "cores": 2, "instructions": ["avx2"]},
    "versions": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1"},
    "commit": "0123456789abcdef",
    "dirty": False,
    "minutes": 1.5,
}
PEERS = {"torch": "9.9.1", "multivae": "1.0.3", "pixyz": "0.3.3"}


def of(*rounds):
    return harness.summary([float(value) for value in rounds])


def results():
    trained = {
        "tf_jmvae, float32": of(90, 100, 110),
        "tf_jmvae, mixed_bfloat16": of(190, 200, 210),
        "multivae": of(50, 50, 50),
        "pixyz": of(25, 25, 20),
        "pytorch": of(40, 40, 40),
        "pytorch, compiled": of(80, 80, 80),
        "pytorch, bfloat16": of(400, 400, 400),
    }
    facts = {"parameters": 1234567, "bound": -500.25}
    trained_points = {"median": 100.0, "low": 90.0, "high": 120.0, "rounds": [90.0, 100.0, 120.0]}
    points = {str(k): {**trained_points, "parameters": 1000 * k, "flops_per_example": 10**6 * k} for k in (2, 3)}
    run = {"epoch_seconds": [60.0, 60.0], "finished": True}
    bounds = [
        {"epoch": 1, "mean": -89.0, "standard_error": 0.25},
        {"epoch": 2, "mean": -87.5, "standard_error": 0.25},
    ]
    found = {
        "training": {
            "examples_per_second": {"mnist/128": trained},
            "checks": {"mnist": {"tf_jmvae": facts, "pytorch": facts, "flops_per_example": 17_000_000}},
        },
        "importance_sampling": {
            "seconds_per_example": {"tf_jmvae": of(0.01, 0.01), "multivae": of(0.02, 0.03)},
            "samples": 1000,
            "examples": 100,
            "mean_log_likelihood": {"tf_jmvae": -549.77, "multivae": -549.76},
        },
        "iterated_sampling": {"seconds": {"64": {"tf_jmvae": of(0.1), "pytorch": of(0.2)}}, "steps": 100},
        "calls": {
            "milliseconds": {"sample/100": {"compiled": of(2, 2), "op by op": of(30, 40)}},
            "first_call_seconds": {"sample": 0.25},
        },
        "serving": {
            "export_seconds": 2.0,
            "load_seconds": 0.5,
            "milliseconds": {
                "generate_x_from_w/1": {
                    "tf_jmvae, exported": of(0.4),
                    "tf_jmvae, generate": of(4),
                    "pytorch": of(0.1),
                    "onnxruntime": of(0.2),
                    "an empty function": of(0.05),
                }
            },
        },
        "memory": {
            "mebibytes": {"training/mnist/128": {"tf_jmvae, float32": 900.0, "multivae": 800.0}},
            "scored": {"samples": 1000, "examples": 100},
        },
        "products": {
            "gflops_per_second": {
                dtype: {"128x784x512": {"tensorflow": of(150), "torch": of(100)}} for dtype in ("float32", "bfloat16")
            },
            "examples_per_second": {
                "training/mnist/128": {"flops_per_example": 17e6, "float32": 200.0, "bfloat16": 800.0},
                "importance_sampling": {"flops_per_example": 2e6, "float32": 125_000.0, "bfloat16": 250_000.0},
            },
        },
        "quality": {
            "settings": {
                "alpha": 0.1,
                "rate": 1e-3,
                "batch": 128,
                "epochs": 60,
                "warm_up": 5,
                "goals": [-90.0, -88.0],
                "samples": 100,
                "variant_epochs": 15,
                "examples": 60_000,
                "quick": False,
            },
            "runs": {
                "tf_jmvae, float32": {**run, "points": bounds, "passed": {"-90": 1.0, "-88": 2.0}},
                "pytorch": {**run, "points": bounds, "passed": {"-90": 1.5, "-88": None}},
            },
            "variants": {
                name: {"mean": -90.0, "standard_error": 0.25, "minutes": 1.0} for name in ("float32", "mixed_bfloat16")
            },
            "differences": {"mixed_bfloat16": {"mean": 0.1, "standard_error": 0.05}},
        },
        "curves": {
            "batch_size": {
                size: {"tf_jmvae, float32": trained_points, "pytorch": trained_points} for size in ("32", "64")
            },
            "modalities": {"single": points, "all": points},
            "latent_dim": points,
            "samples": {"10": trained_points, "100": trained_points},
        },
    }
    found["incomplete"] = {
        "batch": 128,
        "examples_per_second": {"nothing may be missing": points["2"], "50% of w missing": points["2"]},
        "cost_of_an_epoch": {"nothing may be missing": 1.0, "50% of w missing": 0.97},
    }
    found["start"] = {
        "seconds": {"import tensorflow, keras": of(4, 4), "tf-jmvae info": of(5, 6, 10)},
        "fit": {"mnist-jmvae-kl": {"first": 3.21, "after": 0.0123, "batch": 128}},
        "signatures": {"load": {"first": 1500.0}, "a": {"first": 90, "second": 2}, "b": {"first": 110, "second": 4}},
    }
    found["scale"] = {
        "rows": {"size": 1000, "batch": 10, "per_second": {"generate": 250.0}, "mebibytes": 900.0},
        "images": {
            "128": {
                "batch": 32,
                "parameters": 5,
                "examples_per_second": {"tf_jmvae, float32": of(6, 6), "pytorch, channels_last": of(3, 4)},
                "mebibytes": {"tf_jmvae, float32": 1500.0, "pytorch, channels_last": 1400.0},
            }
        },
    }
    return {name: {**result, **ORIGIN, "peers": PEERS} for name, result in found.items()}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page that the command writes, and its folder."""
    folder, docs = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("docs")
    for name, result in results().items():
        (folder / f"{name}.json").write_text(json.dumps(result))
    (folder / "serving-old.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["report.py", "--results", str(folder), "--docs", str(docs)])
        patch.setattr(report, "PROFILE", folder / "profile.md")
        (folder / "profile.md").write_text("Most of it goes to matrix products.\n")
        assert report.main() == 0
    return (docs / "performance.md").read_text(), docs


def test_sections_come_in_order(page):
    titles = [line[3:] for line in page[0].splitlines() if line.startswith("## ")]
    assert titles == [
        "Summary",
        "Training throughput",
        "Rows that lack modalities",
        "Evaluation and iterated sampling",
        "Everyday calls",
        "Generation",
        "Peak memory",
        "Startup time",
        "Many rows and large images",
        "Time to quality",
        "Where the time goes",
        "How cost grows",
        "How this was measured",
    ]
    assert "Most of it goes to matrix products." in page[0]


def test_an_epoch_of_incomplete_rows_is_beside_the_complete_one(page):
    assert "| 50% of w missing | 100 (90 to 120) | 0.97 |" in page[0]


def test_a_call_is_beside_itself_op_by_op():
    text = report.page([{"calls": results()["calls"]}], {}, None)
    assert "| sample | 100 | 2.00 (2.00 to 2.00) | 35.00 (30.00 to 40.00) | 17.50 (15.00 to 20.00) | 0.2 |" in text


def test_commands_are_beside_the_import_of_tensorflow(page):
    assert "| `tf-jmvae info` | 6.00 (5.00 to 10.00) | 1.50 |" in page[0]
    assert "takes 3.2 s for `mnist-jmvae-kl` with batches of 128, and 0.012 s for a later step." in page[0]
    assert (
        "loaded in 1.5 s. The median first call of its 2 signatures takes 100 ms (at most 110), the second 3.0 ms."
        in page[0]
    )


def test_many_rows_and_large_images(page):
    assert "| generate | 250 | 4.0 |" in page[0]
    assert "| 128 x 128 | 32 | tf_jmvae, float32 | 6.0 (6.0 to 6.0) | 1,500 |  |" in page[0]
    assert "| 128 x 128 | 32 | PyTorch, channels_last | 3.5 (3.0 to 4.0) | 1,400 | 1.71 (1.50 to 2.00) |" in page[0]


def test_origin_is_named(page):
    for fact in (
        "2 cores of this processor: Abacus 9000 (avx2)",
        "TensorFlow 2.21.0",
        "MultiVae 1.0.3",
        "PyTorch 9.9.1",
        "0123456789",
    ):
        assert fact in page[0]
    assert "quick run" not in page[0]


def test_products_are_in_the_appendix(page):
    text = (page[1] / "performance-appendix.md").read_text()
    assert "## What arithmetic allows: Abacus 9000 (avx2)" in text
    assert "| 128 x 784 x 512 | 150 | 100 | 150 | 100 |" in text


def of_two_processors():
    """The second is half as fast at bfloat16, and of it training alone was measured."""
    other = json.loads(json.dumps(results()["training"]))
    other["processor"] = {"name": "Slide rule", "cores": 2, "instructions": []}
    other["examples_per_second"]["mnist/128"]["tf_jmvae, mixed_bfloat16"] = of(95, 100, 105)
    return [results(), {"training": other}]


def test_of_several_processors_the_summary_has_the_range():
    text = report.page(of_two_processors(), {}, None)
    row = next(line for line in text.splitlines() if line.startswith("| Training, MNIST, batch 128"))
    assert row.split("|")[2].strip() == "2.00 to 2.00"
    assert row.split("|")[5].strip() == "0.25 to 0.50"
    assert "Joint importance bound, 1000 samples | 2.50 |" in text
    slower = [line for line in text.splitlines() if line.startswith("Slower than a peer")]
    assert slower[1].startswith("Slower than a peer on Slide rule: Training, MNIST, batch 128 (PyTorch in its best")
    assert "each of these processors: Abacus 9000 (avx2); Slide rule." in text
    assert text.count("| tf_jmvae, mixed_bfloat16 |") == 1


def test_the_appendix_has_the_tables_of_the_others():
    text = report.appendix(of_two_processors())
    assert "## Slide rule" in text
    assert "| tf_jmvae, mixed_bfloat16 | 100 (95 to 105) |" in text
    assert "0.25 (0.24 to 0.26)" in text


def test_the_processor_of_which_most_was_measured_comes_first(tmp_path):
    first, second = of_two_processors()
    for folder, found in (("a", second), ("b", first)):
        (tmp_path / folder).mkdir()
        for name, result in found.items():
            (tmp_path / folder / f"{name}.json").write_text(json.dumps(result))
    assert [len(found) for found in report.load_all(tmp_path)] == [len(first), 1]


def test_summary_says_how_many_times_faster(page):
    row = next(line for line in page[0].splitlines() if line.startswith("| Training, MNIST, batch 128"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        "2.00 (1.80 to 2.20)",  # beside MultiVae: 100 / 50
        "4.00 (3.60 to 5.50)",
        "1.25 (1.12 to 1.38)",  # the faster of eager and compiled
        "0.50 (0.47 to 0.53)",  # 200 / 400
        "",
    ]
    assert "Joint importance bound, 1000 samples | 2.50 (2.00 to 3.00)" in page[0]
    slower = next(line for line in page[0].splitlines() if line.startswith("Slower than a peer"))
    assert "Training, MNIST, batch 128 (PyTorch in its best precision: 0.50)" in slower
    assert "Generation, latency of one row, images from labels (PyTorch: 0.25)" in slower
    assert "Generation, latency of one row, images from labels (ONNX Runtime: 0.50)" in slower
    assert slower.count(";") == 2
    assert "| `generate_x_from_w` | 1 | 0.40 (0.40 to 0.40) | 0.05 (0.05 to 0.05) |" in page[0]


def test_memory_and_quality_in_the_summary(page):
    assert "training, MNIST, batch 128: 900 MiB (MultiVae 800)" in page[0]
    assert "-90 nats after 1.0 minutes (tf_jmvae, float32) against 1.5 minutes (PyTorch), 1.50 times as fast" in page[0]
    assert "-88 nats after" not in page[0]  # PyTorch did not get there
    assert "| PyTorch | 1.5 min | not reached |" in page[0]
    assert "smaller than the standard error of the bound itself" in page[0]


def test_rates_are_shares_of_the_limit(page):
    assert "| tf_jmvae, float32 | 100 (90 to 110) | 50% |" in page[0]
    assert "| tf_jmvae, mixed_bfloat16 | 200 (190 to 210) | 25% |" in page[0]
    assert "| tf_jmvae | 10.00 ms (10.00 to 10.00) | 80% |" in page[0]  # 1,000 samples in 10 ms, of 125,000 a second


def test_pictures_are_there(page):
    text, docs = page
    named = {line.split("(images/")[1][:-1] for line in text.splitlines() if line.startswith("![")}
    assert named == {path.name for path in (docs / "images").iterdir()}
    for name in named:
        with Image.open(docs / "images" / name) as image:
            assert image.width > 500


def test_what_was_not_measured_is_left_out():
    text = report.page([{"memory": results()["memory"]}], {}, None)
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["Summary", "Peak memory", "How this was measured"]


def test_a_quick_run_says_so():
    memory = {**results()["memory"], "quick": True}
    assert "measures nothing" in report.page([{"memory": memory}], {}, None)


def test_differences_beyond_the_error_are_named():
    quality = results()["quality"]
    quality["differences"]["mixed_bfloat16"]["mean"] = -0.3
    text = report_quality.quality({"quality": quality})
    assert "Larger than the standard error of the bound itself: mixed_bfloat16." in text
