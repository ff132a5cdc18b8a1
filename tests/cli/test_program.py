"""What all verbs share: help without TensorFlow, exit codes, and messages in place of tracebacks."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import types
import warnings

import keras
import pytest

import tf_jmvae
from tf_jmvae import cli
from tf_jmvae._utils import command as _command
from tf_jmvae.cli import info, program, report
from tf_jmvae.registry import DATASETS

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The command's own entry, in a process that says after each command line what it printed and whether
# TensorFlow, Keras or TensorFlow Probability are loaded by then.
RECORDER = """
import contextlib, io, json, sys
sys.argv = ["/somewhere/bin/tf-jmvae"]
from tf_jmvae.cli import main

found = []
for line in json.loads(sys.stdin.read()):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(line)
        except SystemExit as stopped:
            code = stopped.code
    heavy = sorted({"tensorflow", "keras", "tensorflow_probability"} & sys.modules.keys())
    found.append([code, out.getvalue(), err.getvalue(), heavy])
import tf_jmvae
late = [tf_jmvae.__version__, "tensorflow" in sys.modules, tf_jmvae.JMVAE.__name__, "tensorflow" in sys.modules]
print(json.dumps([found, late]))
"""

HELPS = [["--help"], ["--version"], *([verb, "--help"] for verb in program.VERBS)]
MISTAKES = [
    [],
    ["trian"],
    ["train", "--epoch"],
    *([verb, "--no-such-option"] for verb in program.VERBS),
    ["generate", "--latent", "x"],
    ["completion", "tcsh"],
]
QUICK_FAILURES = [
    ["train", "--preset", "mnist-vea"],
    ["edit", "a.keras", "b.png", "--output", "c.jpg"],
    ["report", "no-such-run"],
    ["evaluate", "no-such-run", "--examples", "0"],
]
SCRIPTS = [["completion", "bash"], ["completion", "zsh"], ["completion", "fish"]]


@pytest.fixture(scope="module")
def recorded():
    """Exit code, stdout, stderr and what is loaded, for each command line; and of the package afterwards."""
    lines = [*HELPS, *MISTAKES, *QUICK_FAILURES, *SCRIPTS]
    done = subprocess.run(
        [sys.executable, "-c", RECORDER], input=json.dumps(lines), capture_output=True, text=True, check=True
    )
    found, late = json.loads(done.stdout.splitlines()[-1])
    return {tuple(line): record for line, record in zip(lines, found, strict=True)}, late


def test_nothing_that_can_be_said_at_once_loads_tensorflow(recorded):
    assert {line: record[3] for line, record in recorded[0].items() if record[3]} == {}


def test_every_help_has_examples_of_its_verb(recorded):
    for line in HELPS:
        code, out, err, _ = recorded[0][tuple(line)]
        assert (code, err) == (0, "")
        if line[0] in program.VERBS:
            assert out.startswith(f"usage: tf-jmvae {line[0]} ")
            examples = out.partition("Examples:\n")[2].splitlines()
            assert examples[0].startswith(f"  tf-jmvae {line[0]}")
            assert "--debug" in out


def test_the_help_lists_every_verb_and_each_has_a_module(recorded):
    out = recorded[0][("--help",)][1]
    modules = {path.stem for path in (ROOT / "tf_jmvae/cli").glob("*.py")}
    assert set(program.VERBS) <= modules
    for verb, summary in program.VERBS.items():
        assert f"  {verb}" in out
        assert summary in out


def test_usage_errors_end_in_2_with_a_message_and_no_output(recorded):
    for line in MISTAKES:
        code, out, err, _ = recorded[0][tuple(line)]
        assert (code, out) == (2, ""), line
        assert "--help" in err
        assert "Traceback" not in err
    assert "Did you mean train?" in recorded[0][("trian",)][2]


def test_failures_end_in_1_with_one_line(recorded):
    for line in QUICK_FAILURES:
        code, out, err, _ = recorded[0][tuple(line)]
        assert (code, out) == (1, "")
        assert err.startswith(f"tf-jmvae {line[0]}: ")
        assert err.count("\n") == 1


def test_the_package_has_all_its_names_later_in_the_command(recorded):
    assert recorded[1] == [tf_jmvae.__version__, False, "JMVAE", True]


KNOWN = """
import json, sys
sys.argv = ["tf-jmvae"]
import keras
from tf_jmvae.training.run_folder import load_model
print(json.dumps(sorted(name for name in keras.saving.get_custom_objects() if name.startswith("tf_jmvae>"))))
"""


def test_the_command_knows_every_class_that_a_models_file_may_name():
    known = subprocess.run([sys.executable, "-c", KNOWN], capture_output=True, text=True, check=True)
    all_of_them = [name for name in keras.saving.get_custom_objects() if name.startswith("tf_jmvae>")]
    assert json.loads(known.stdout) == sorted(all_of_them)


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["/usr/bin/tf-jmvae", "train"], [], True),
        (["C:/Scripts/tf-jmvae.exe"], [], True),
        ([str(ROOT / "train.py"), "--help"], [], True),
        ([str(ROOT / "tf_jmvae/__main__.py"), "info"], [], True),
        (["-m", "info"], ["python", "-W", "error", "-m", "tf_jmvae", "info"], True),
        (["-m"], ["python", "-mtf_jmvae"], True),
        (["/home/me/train.py"], [], False),
        (["/home/me/tf-jmvae.py"], [], False),
        (["-m", "tf_jmvae"], ["python", "-m", "pytest", "tf_jmvae"], False),
        (["-c"], ["python", "-c", "import tf_jmvae"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_only_the_own_command_loads_late(monkeypatch, argv, orig_argv, expected):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert _command.is_running() is expected


def test_everybody_else_gets_everything_from_the_import():
    for name in tf_jmvae.__all__:
        assert name in vars(tf_jmvae)
    with pytest.raises(AttributeError, match="has no attribute 'JMVEA'"):
        _ = tf_jmvae.JMVEA


def test_the_names_of_datasets_are_those_that_load():
    assert {name for name in DATASETS.names() if callable(DATASETS.get(name))} == {
        "celeba",
        "digits",
        "five-digits",
        "mnist",
        "spoken-digits",
        "table",
    }


def _fail(error):
    def run(options):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("what to do"), 1, "tf-jmvae info: what to do\n"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), 1, "tf-jmvae info: a.png: No such file or dir"),
        (ImportError("cannot import 'a'", name="b.c"), 1, "tf-jmvae info: cannot import 'a' (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, "\ntf-jmvae info: interrupted.\n"),
    ],
)
def test_how_a_verb_can_end(monkeypatch, capsys, error, code, message):
    monkeypatch.setattr(info, "run", _fail(error))
    assert cli.main(["info"]) == code
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(message)


def test_sigterm_ends_a_verb_as_ctrl_c_does(monkeypatch, capsys):
    monkeypatch.setattr(info, "run", lambda options: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["info"]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "\ntf-jmvae info: terminated.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_debug_shows_where_a_mistake_was_found(monkeypatch):
    monkeypatch.setattr(info, "run", _fail(ValueError("here")))
    with pytest.raises(ValueError, match="here"):
        cli.main(["info", "--debug"])


def test_a_defect_of_the_program_is_not_called_a_mistake_of_the_user(monkeypatch):
    for error in (ZeroDivisionError(), ImportError("cannot import 'a'", name="tf_jmvae.training.presets")):
        monkeypatch.setattr(info, "run", _fail(error))
        with pytest.raises(type(error)):
            cli.main(["info"])


def test_a_warning_is_one_line_and_those_of_libraries_about_libraries_are_none(monkeypatch):
    shown = []

    def run(options):
        shown.append(warnings.formatwarning(UserWarning("3 images are broken"), UserWarning, "data.py", 7))
        for category in (DeprecationWarning, FutureWarning):  # which these tests make errors
            warnings.warn("use the other function", category, stacklevel=1)

    before = warnings.formatwarning
    monkeypatch.setattr(info, "run", run)
    monkeypatch.setattr(sys, "argv", ["/bin/tf-jmvae"])
    assert cli.main(["info"]) == 0
    assert shown == ["tf-jmvae: warning: 3 images are broken\n"]
    assert warnings.formatwarning is before


def test_report_and_demo_pass_on_what_they_were_asked(monkeypatch, tmp_path, capsys):
    calls = []

    def write(*arguments, **options):
        calls.append((*arguments, options))
        return tmp_path / "report.html"

    page = types.SimpleNamespace(write=write)
    monkeypatch.setitem(sys.modules, "tf_jmvae.report.page", page)
    monkeypatch.setattr("tf_jmvae.report.page", page, raising=False)
    monkeypatch.setattr(report.webbrowser, "open", lambda url: calls.append(url))
    assert cli.main(["report", str(tmp_path), "--data-dir", "originals", "--open"]) == 0
    assert f"The report is {tmp_path / 'report.html'}." in capsys.readouterr().out
    assert calls == [(tmp_path, None, {"data_dir": pathlib.Path("originals")}), (tmp_path / "report.html").as_uri()]

    demo = types.SimpleNamespace(launch=lambda *arguments, **options: calls.append((arguments, options)))
    monkeypatch.setitem(sys.modules, "tf_jmvae.demo", demo)
    monkeypatch.setattr("tf_jmvae.demo", demo, raising=False)
    assert cli.main(["demo", str(tmp_path), "--port", "8080", "--no-browser"]) == 0
    assert calls[-1] == ((str(tmp_path),), {"host": "127.0.0.1", "port": 8080, "open_browser": False})


def test_the_demo_without_its_extra_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == 'tf-jmvae demo: The demo needs gradio: pip install "tf-jmvae[demo]".\n'
    assert cli.main(["demo", "grpc://localhost:8500/v1/models/mnist"]) == 1  # an address is no file that is missing
    assert "The demo needs gradio" in capsys.readouterr().err
    assert cli.main(["demo", "absent.keras"]) == 1
    assert "There is no model absent.keras" in capsys.readouterr().err
    assert cli.main(["demo", "--port", "70000"]) == 1
    assert "--port must lie between 0 and 65535; got 70000" in capsys.readouterr().err
