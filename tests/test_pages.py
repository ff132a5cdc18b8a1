"""The pages of the documentation: their Python runs, their commands parse, what they show and quote is there."""

import contextlib
import re
import shlex

import numpy as np
import pages
import pytest
import serving_stub
import tyro

from tf_jmvae import cli

DOCS = pages.ROOT / "docs"
PAGES = [pages.ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
MODEL = pages.ROOT / "saved_models/mnist_jmvae_kl"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a page runs: with the model of the repository, and nothing else."""
    (tmp_path / "saved_models").mkdir()
    (tmp_path / "saved_models" / MODEL.name).symlink_to(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def test_the_tutorial_runs(folder):
    """As printed, but with two epochs."""
    page = DOCS / "tutorial.md"
    space = pages.run(page, lambda text: re.sub(r"\bepochs=\d+", "epochs=2", text))
    drawn = set(re.findall(r"\]\(images/(.+?)\)", page.read_text()))
    assert drawn == {path.name for path in folder.glob("*.png")}
    assert all((DOCS / "images" / name).is_file() for name in drawn)
    words = {"caption": space["bag"]("a bold wide three")}
    for other in (space["again"], space["loaded"]):
        found, expected = (
            model.generate(words, targets=["label"], latent="mean")["label"] for model in (other, space["model"])
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
    # The captions say what is in the images: bold ones have more ink.
    bold, thin = (space["ink"][space["strokes"] == stroke] for stroke in ("bold", "thin"))
    assert bold.min() > thin.max()
    assert (space["digit_said"](space["captions"]) == space["digits"].target).all()


def test_the_page_of_serving_runs(folder):
    with serving_stub.ServingStub({MODEL.name: {1: MODEL / "1"}}) as stub:
        space = pages.run(DOCS / "serving.md", lambda text: text.replace("localhost:8500", stub.grpc))
    assert space["image"].startswith(b"\x89PNG")
    assert space["features"].shape == (1, 64)


def test_the_page_of_migration_runs(folder):
    space = pages.run(DOCS / "migration.md")
    assert space["images"].shape == (5, 8, 64)
    assert 0 <= space["images"].numpy().min() <= space["images"].numpy().max() <= 1


def test_every_page_with_python_is_run_here():
    """The README by tests/test_docs.py; the troubleshooting has mistakes, for tests/test_troubleshooting.py."""
    found = {page.name for page in PAGES if pages.blocks(page, "python")}
    assert found == {"README.md", "tutorial.md", "serving.md", "migration.md"}


class _Parsed(BaseException):
    """The command line was understood: nothing of it shall run."""


def _commands():
    for page in PAGES:
        for block in pages.blocks(page, "sh"):
            for line in block.text.replace("\\\n", " ").strip().splitlines():
                if line and not line.startswith("#"):
                    yield page.name, line


@pytest.mark.parametrize(("page", "line"), sorted(set(_commands())))
def test_commands_are_understood(page, line, monkeypatch):
    """By the real command, make or pip; what they run is not run here."""
    words = shlex.split(line)
    targets = set(re.findall(r"^([a-z-]+):", (pages.ROOT / "Makefile").read_text(), re.MULTILINE))
    arguments = words[1:]
    if words[0] == "make":
        assert words[1] in targets
        options = [word.removeprefix("ARGS=") for word in words[2:]]
        verbs = {
            "train": ["train"],
            "reproduce-mnist": ["reproduce", "mnist"],
            "reproduce-celeba": ["reproduce", "celeba"],
        }
        if words[1] not in verbs:
            return
        arguments = verbs[words[1]] + shlex.split(" ".join(options))
    elif words[0].endswith("python") and words[1] == "train.py":
        arguments = ["train", *words[2:]]
    elif not words[0].endswith("tf-jmvae"):
        assert words[0] in ("pip", "docker", "curl", "export", "python", ".venv/bin/python", "cd", "git", "tensorboard")
        return
    if "--help" in arguments:
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        assert left.value.code == 0
        return
    _assert_parses(arguments, monkeypatch)


def _assert_parses(arguments, monkeypatch):
    parse = tyro.cli

    def parse_only(*args, **kwargs):
        parse(*args, **kwargs)
        raise _Parsed

    monkeypatch.setattr(tyro, "cli", parse_only)
    with pytest.raises(_Parsed):
        cli.main(arguments)


def _table_of_commands():
    """Of the README, and of the page of commands."""
    section = (pages.ROOT / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    text = section + (DOCS / "commands.md").read_text()
    return sorted(set(re.findall(r"^\| `(\w+(?: .*?)?)` \|", text, re.MULTILINE)))


def _verbs(capsys):
    with contextlib.suppress(SystemExit):
        cli.main(["--help"])
    return set(re.findall(r"^ {2,4}([a-z]+)(?: {2,}.*)?$", capsys.readouterr().out, re.MULTILINE))


def test_the_table_of_commands_has_every_verb(capsys):
    verbs = _verbs(capsys)
    assert {"train", "edit", "export", "reproduce"} <= verbs
    assert verbs <= {line.split()[0] for line in _table_of_commands()}


@pytest.mark.parametrize("line", _table_of_commands())
def test_the_table_of_commands_is_understood(line, monkeypatch, capsys):
    assert line.split()[0] in _verbs(capsys)
    _assert_parses(shlex.split(line), monkeypatch)


def test_links_lead_somewhere():
    """Also those to headings, of all pages; MkDocs looks after the rest."""
    for page in [*PAGES, *sorted((DOCS / "reference").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
