"""The benchmarks' turns, statistics and processes; no time is asserted."""

import dataclasses
import json
import pathlib
import sys
import time

import harness
import pytest
import quality
import report_ratios

from tf_jmvae._utils.files import write_json


@pytest.fixture
def options(tmp_path):
    return harness.Options(results=tmp_path, peer_python=pathlib.Path(sys.executable))


def test_summary_of_hand_values():
    assert harness.summary([3.0, 1.0, 2.0, 10.0]) == {
        "median": 2.5,
        "low": 1.0,
        "high": 10.0,
        "rounds": [3.0, 1.0, 2.0, 10.0],
    }


def test_every_round_begins_with_another_side():
    calls, values = [], iter(range(100))

    def measure(name):
        return lambda: (calls.append(name), float(next(values)))[1]

    found = harness.alternate({name: measure(name) for name in "abc"}, 4, pause=0)
    assert "".join(calls) == "abc" + "bca" + "cab" + "abc"
    assert found["a"] == harness.summary([0.0, 5.0, 7.0, 9.0])  # in the order of the rounds


def test_speed_pairs_the_rounds():
    ours, theirs = harness.summary([20.0, 30.0, 25.0]), harness.summary([10.0, 10.0, 5.0])
    assert report_ratios.speed(ours, theirs, rates=True) == (2.5, 2.0, 5.0)
    assert report_ratios.speed(ours, theirs, rates=False) == (0.4, 0.2, 0.5)


def test_comparisons_keep_to_their_precision():
    found = {
        name: harness.summary([value])
        for name, value in {
            "tf_jmvae, float32": 6.0,
            "tf_jmvae, mixed_bfloat16": 12.0,
            "multivae": 2.0,
            "pytorch": 3.0,
            "pytorch, compiled": 4.0,
            "pytorch, bfloat16": 24.0,
        }.items()
    }
    ratios = {peer: ratio.value for peer, ratio in report_ratios.against(found, rates=True).items()}
    assert ratios == {"MultiVae": 3.0, "PyTorch": 1.5, "PyTorch, best": 0.5}
    times = {name: harness.summary([1 / at["median"]]) for name, at in found.items()}
    again = {peer: ratio.value for peer, ratio in report_ratios.against(times, rates=False).items()}
    assert again == pytest.approx(ratios)


def test_a_goal_is_passed_when_its_epoch_ends():
    run = {
        "epoch_seconds": [30.0, 60.0, 60.0, 90.0],
        "points": [{"epoch": 2, "mean": -95.0}, {"epoch": 3, "mean": -89.9}, {"epoch": 4, "mean": -89.0}],
    }
    assert quality.passed(run) == {"-90": 2.5, "-88": None}


def test_differences_are_of_the_same_examples():
    variants = {"a": {"values": [-1.0, -5.0, -3.0]}, "b": {"values": [-1.5, -5.0, -4.0]}}
    found = quality.differences(variants)["b"]
    assert found["mean"] == pytest.approx(-0.5)
    assert found["standard_error"] == pytest.approx(0.5 / 3**0.5)  # of -0.5, 0 and -1


def test_a_peer_answers_whatever_its_libraries_print(options, tmp_path, monkeypatch):
    folder = tmp_path / "peers"
    folder.mkdir()
    protocol = harness.HERE / "peers" / "protocol.py"
    (folder / "protocol.py").symlink_to(protocol)
    (folder / "echo.py").write_text(
        f"import sys; sys.path.insert(0, {str(protocol.parent)!r})\n"
        "import protocol\n"
        "def double(value):\n    print('a library says hello')\n    return 2 * value\n"
        "def fail():\n    sys.exit(3)\n"
        "protocol.serve({'double': double, 'fail': fail}, ('numpy',))\n"
    )
    monkeypatch.setattr(harness, "HERE", tmp_path)
    with harness.Peer(options, "echo") as peer:
        assert list(peer.versions) == ["numpy"]
        assert [peer.ask("double", value=value) for value in (1, 2.5)] == [2, 5.0]
        assert peer.ask("memory") > 5  # MiB: a Python
        with pytest.raises(SystemExit, match=r"echo\.py ended"):
            peer.ask("fail")


def test_a_missing_peer_says_what_to_do(options, tmp_path):
    missing = dataclasses.replace(options, peer_python=tmp_path / "python")
    with pytest.raises(SystemExit, match="make bench"):
        harness.Peer(missing, "training")


def test_what_is_finished_is_not_measured_again(tmp_path, monkeypatch, capsys):
    measured = []

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["x.py", "--results", str(tmp_path), *arguments])
        return harness.run("x", "", lambda options: measured.append(options) or {"number": len(measured)})

    write_json(tmp_path / "x.json", {"of": "an older form"})
    assert [run(), run(), run("--again")] == [0, 0, 0]
    assert len(measured) == 2
    assert "--again" in capsys.readouterr().out
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["number"] == 2
    assert found["processor"]["cores"] >= 1
    assert {"versions", "commit", "dirty", "minutes", "seed"} <= found.keys()


def test_a_quick_run_leaves_the_results_alone():
    own = harness.RESULTS / harness.folder_of(harness.processor())
    assert harness.parse("", []).results == own
    assert harness.parse("", [], by_processor=False).results == harness.RESULTS
    assert harness.parse("", ["--quick"]).results == harness.QUICK_RESULTS != harness.RESULTS


def test_a_processor_has_a_folder_of_its_own():
    facts = {"name": "Intel(R) Xeon(R) @ 2.0GHz", "cores": 2, "instructions": ["avx2", "amx_tile"]}
    assert harness.folder_of(facts) == "intel-r-xeon-r-2-0ghz-amx_tile"
    assert harness.folder_of({**facts, "instructions": []}) == "intel-r-xeon-r-2-0ghz"


def test_processor_time_is_that_of_work_and_not_of_waiting():
    assert harness.repeat_cpu(lambda: time.sleep(0.01), 0.1) < 0.005
    assert harness.repeat_cpu(lambda: sum(range(100_000)), 0.2) > 1e-4
