"""The README and the docs say what is so: their commands and code run, their names exist."""

import ast
import pathlib
import pydoc
import re
import shlex
import subprocess
import sys

import celeba_folder
import mnist_folder
import pages
import pytest

from tf_jmvae import cli

ROOT = pathlib.Path(__file__).parents[1]


README = ROOT / "README.md"
COMMANDS = [line for block in pages.blocks(README, "sh") for line in block.text.strip().splitlines()]
# This suite, what runs before it, and what tests/test_editing.py, tests/serving and tests/demo run.
NOT_HERE = ("make test", "make lint", *(f".venv/bin/tf-jmvae {verb}" for verb in ("edit", "export", "demo")))


TRAIN = "make train"


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith((*NOT_HERE, TRAIN + " "))])
def test_readme_command(command, tmp_path):
    """As printed, but with one epoch, its run in a temporary folder, and what is installed where these tests run."""
    if command.startswith("pip install"):
        command = f"{sys.executable} -m pip install --no-deps --no-build-isolation --target {tmp_path / 'site'} ."
    elif command == TRAIN:
        command += f' ARGS="--epochs 1 --train-size 100 --run-dir {tmp_path}/run"'
    if command.startswith("make"):
        command += f" VENV={sys.prefix} --assume-old={sys.prefix}/.installed"
    command = re.sub(r"^\.venv/", f"{sys.prefix}/", command)
    done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    if command.startswith(TRAIN):
        _check_run(tmp_path / "run", done.stdout)
    if "--help" in command:
        assert "--epochs" in done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(TRAIN + " ")])
def test_readme_training(command, tmp_path, tmp_path_factory, monkeypatch, capsys):
    """The command that make runs with these ARGS, but with little data: the MNIST at hand, or cartoons as CelebA."""
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path))
    (options,) = re.fullmatch(r'make train ARGS="(.*)"', command).groups()
    options = re.sub(r" --(?:run-dir|epochs) [^\s]+", "", options) + f" --run-dir {tmp_path / 'run'} --epochs 1"
    if "mnist" in command:
        mnist_folder.keep_in(mnist_folder.prepare(tmp_path_factory), monkeypatch)
        options += f" --train-size 100 --data-dir {shlex.quote(str(mnist_folder.FOLDER))}"
    elif "celeba" in command:
        celeba_folder.make(tmp_path / "celeba", 20)
        options = options.replace("--data-dir celeba", f"--data-dir {tmp_path / 'celeba'} --batch-size 7")
    else:
        options += " --train-size 100"
    assert cli.main(["train", *shlex.split(options)]) == 0
    _check_run(tmp_path / "run", capsys.readouterr().out)


def _check_run(folder, printed):
    expected = {"model.keras", "config.json", "history.json", "metrics.json", "generated.png", "history.png"}
    assert {path.name for path in folder.iterdir()} == expected | {"tensorboard"}
    assert "kl_prior" in printed


def test_readme_code_runs_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    namespace = pages.run(README)
    assert (tmp_path / "digits.keras").is_file()
    model, labels = namespace["model"], namespace["labels"]
    assert model.generate({"w": labels}, num_samples=8)["x"].shape == (5, 8, 8, 8, 1)
    assert namespace["model"].evaluate(namespace["digits"].test_batches(), verbose=0, return_dict=True)["elbo"] < 0


def _maths_rows():
    table = re.findall(r"^\| (.+?) \| (.+) \| `(.+?)` \| (.+) \|$", (ROOT / "docs/maths.md").read_text(), re.MULTILINE)
    return [(equation, function, re.findall(r"`(.+?)`", tests)) for equation, _, function, tests in table]


def test_every_equation_has_a_row():
    equations = [row[0] for row in _maths_rows()]
    assert [f"({number})" for number in range(1, 13)] == [e for e in equations if e.startswith("(")]


@pytest.mark.parametrize(("equation", "function", "tests"), _maths_rows(), ids=[row[0] for row in _maths_rows()])
def test_functions_and_tests_named_in_the_maths_exist(equation, function, tests):
    owner, _, name = function.rpartition(".")
    assert name in vars(pydoc.locate(owner)), f"{equation}: {owner} does not itself define {name}"
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), f"{equation}: no {file}"
        assert not name or f"def {name}(" in (ROOT / file).read_text(), f"{equation}: no {test}"


def test_other_names_in_the_maths_exist():
    names = re.findall(r"\(`(tf_jmvae\.[\w.]+)`\)", (ROOT / "docs/maths.md").read_text())
    assert names
    for name in names:
        assert pydoc.locate(name) is not None, name


def test_files_named_in_the_architecture_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    names = re.findall(r"^ +(\w+(?:\.py|/))", text, re.MULTILINE)
    assert len(names) > 50
    for name in names:
        assert (ROOT / name).exists() or list((ROOT / "tf_jmvae").rglob(name)), name


def test_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def _layers():
    """What docs/architecture.md calls downwards, lowest first."""
    text = (ROOT / "docs/architecture.md").read_text()
    return re.split(r",\s+", re.search(r"lowest first: ([^.]*)\.", text)[1])


LAYERS = _layers()


def _imports(path):
    """Modules that a file imports at its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_every_package_and_module_has_its_place_among_the_layers():
    found = {
        path.stem for path in (ROOT / "tf_jmvae").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(found - {"__init__", "__main__", "_public"}) == sorted(LAYERS)


@pytest.mark.parametrize("path", sorted((ROOT / "tf_jmvae").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward_and_only_reports_know_matplotlib(path):
    own = path.relative_to(ROOT / "tf_jmvae").with_suffix("").parts[0]
    imported = list(_imports(path))
    if own not in ("report", "studies"):
        assert not [name for name in imported if name.startswith("matplotlib")]
    if own not in ("__init__", "_public", "__main__"):
        above = tuple(f"tf_jmvae.{layer}." for layer in LAYERS[LAYERS.index(own) + 1 :])
        assert not [name for name in imported if f"{name}.".startswith(above)]
