"""The pages of the documentation: their Python runs, their commands parse, what they show and quote is there."""

import contextlib
import json
import re
import shlex

import keras
import numpy as np
import pages
import pytest
import serving_stub
import tyro
from scipy import stats

from tf_jmvae import cli
from tf_jmvae.registry import LIKELIHOODS
from tf_jmvae.registry import MODELS as KINDS
from tf_jmvae.tables import description
from tf_jmvae.training import presets

DOCS = pages.ROOT / "docs"
MODELS = sorted((DOCS / "models").glob("*.md"))
PAGES = [pages.ROOT / "README.md", *sorted(DOCS.glob("*.md")), *MODELS]
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


def test_the_tutorial_of_gaps_runs_and_what_it_says_of_them_holds(folder, capsys):
    page = DOCS / "incomplete.md"
    space = pages.run(page, lambda text: text)
    said = re.search(r"```text\n(.+?)\n```", page.read_text())[1]
    assert said in capsys.readouterr().out
    better = (space["errors"] ** 2).mean() / (space["column_means"] ** 2).mean()
    assert (better < 0.9).all()  # than the means of the columns
    assert 0.9 < space["inside"] < 1.0  # 95% of a normal distribution
    assert np.mean(space["named"][space["lost"]] == space["target"][1400:][space["lost"]]) > 0.5


def test_the_page_of_tables_runs_and_fills_better_than_the_means_of_columns(folder):
    space = pages.run(DOCS / "tables.md")
    assert space["named"] > 0.8
    assert np.sqrt((space["errors"] ** 2).mean().mean()) < 0.9
    assert space["answer"]["measured"].shape == (2, 13)


def test_the_page_of_serving_runs(folder):
    with serving_stub.ServingStub({MODEL.name: {1: MODEL / "1"}}) as stub:
        space = pages.run(DOCS / "serving.md", lambda text: text.replace("localhost:8500", stub.grpc))
    assert space["image"].startswith(b"\x89PNG")
    assert space["features"].shape == (1, 64)


def test_the_page_of_migration_runs(folder):
    space = pages.run(DOCS / "migration.md")
    assert space["images"].shape == (5, 8, 64)
    assert 0 <= space["images"].numpy().min() <= space["images"].numpy().max() <= 1


def _run_quickly(page):
    return pages.run(page, lambda text: re.sub(r"\bepochs=\d+", "epochs=1", text))


def _assert_shapes(page, space):
    """What a line's comment says of the shape of its result: `images = ...  # [5, 8, 8, 1]`."""
    code = "".join(block.text for block in pages.blocks(page, "python"))
    said = re.findall(r"^(\w+) = .*# (\[[\d, ]+\])", code, re.MULTILINE)
    assert said
    for name, shape in said:
        assert list(np.shape(space[name])) == json.loads(shape), name
        assert np.isfinite(space[name]).all(), name


def _assert_mistakes_are_noticed(page, space):
    quoted = pages.quoted(page)
    assert quoted
    for mistake, message in quoted:
        with pytest.raises(ValueError, match=pages.pattern(message)):
            exec(compile(mistake, str(page), "exec"), dict(space))


@pytest.mark.parametrize("page", MODELS, ids=lambda page: page.stem)
def test_the_page_of_a_model_runs(page, folder):
    """Its examples are short, and give what they say."""
    for example in pages.blocks(page, "python"):
        assert len(example.text.splitlines()) <= 25
    space = _run_quickly(page)
    assert type(space["model"]) is KINDS.get(page.stem)
    _assert_shapes(page, space)
    for name in ("images", "samples", "labels"):
        if name in space:
            assert 0 <= np.min(space[name]) <= np.max(space[name]) <= 1


def test_every_kind_of_model_has_a_page():
    assert {page.stem for page in MODELS} == set(KINDS.names())


def _measured_numbers():
    """Every number of the pages of results and the records that they are made of, as printed and as floats."""
    printed = "".join((DOCS / name).read_text() for name in ("results.md", "results-celeba.md", "findings-mnist.md"))
    records = [json.loads((DOCS / "results" / f"{name}.json").read_text()) for name in ("mnist", "celeba")]
    metrics = [value for record in records for run in record["trainings"].values() for value in run["metrics"].values()]
    return set(re.findall(r"-?\d+\.\d+(?:e-\d+)?", printed)), metrics


@pytest.mark.parametrize("page", MODELS, ids=lambda page: page.stem)
def test_numbers_of_a_model_are_those_of_the_results(page):
    printed, metrics = _measured_numbers()
    measured = re.split(r"^## What was measured$", page.read_text(), flags=re.MULTILINE)[1]
    for number in re.findall(r"-?\d+\.\d+(?:e-\d+)?", measured):
        digits = len(number.partition(".")[2])
        assert number in printed or any(f"{value:.{digits}f}" == number for value in metrics), number


def test_the_page_of_texts_runs_and_its_model_writes_and_reads(folder, capsys):
    page = DOCS / "text.md"
    space = pages.run(page, lambda text: text)
    _assert_shapes(page, space)
    assert {space["as_words"](tokens) for tokens in space["data"]["text"]} == set(space["captions"])
    for kind, texts in zip(space["kinds"], space["written"].numpy(), strict=True):
        assert np.mean([space["as_words"](tokens).endswith(" ".join(kind)) for tokens in texts]) > 0.8
    assert space["read"].numpy().argmax() == space["kinds"].index(("blue", "square"))
    assert "blue square" in capsys.readouterr().out


def test_the_page_of_a_likelihood_of_ones_own_runs(folder):
    page = DOCS / "own-likelihood.md"
    try:
        space = _run_quickly(page)
        _assert_shapes(page, space)
        _assert_mistakes_are_noticed(page, space)
        np.testing.assert_allclose(space["same"], space["expected"], rtol=1e-5)
        assert space["configured"].modalities["wind"].likelihood == "direction"
        head = space["Direction"](event_shape=(2,))
        cosine, sine = np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32)
        law = stats.vonmises(np.hypot(cosine, sine), np.arctan2(sine, cosine))
        angles = np.linspace(-3, 3, 10).reshape(5, 2).astype(np.float32)
        expected = law.logpdf(angles).sum(axis=1)
        np.testing.assert_allclose(head.distribution(cosine, sine).log_prob(angles), expected, rtol=1e-4)
        loaded = type(space["survey"]).from_config(space["survey"].get_config())
        assert loaded.modalities["answers"].head.num_classes == 5
        with pytest.raises(ValueError, match="Expected whole numbers from 0 to 4"):
            loaded.elbo({"answers": [[5, 0]]})
    finally:
        for name, kind in (("direction", "Direction"), ("classes", "ClassNumbers")):
            LIKELIHOODS._entries.pop(name, None)
            keras.saving.get_custom_objects().pop(f"tf_jmvae>{kind}", None)


def test_the_page_of_a_network_of_ones_own_runs(folder):
    page = DOCS / "own-network.md"
    try:
        space = _run_quickly(page)
        _assert_shapes(page, space)
        _assert_mistakes_are_noticed(page, space)
        for value, expected in zip(space["frozen"], space["features"].get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
        assert {"encoder/x", "subset_encoders/x/x", "decoders/x"} <= set(space["names"])
        copied = space["captioned"].networks()["encoder/photo"]
        assert len(copied.trainable_weights) == 2  # those of the layer behind what is frozen
        for value, expected in zip(copied.get_weights(), space["reader"].get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
    finally:
        keras.saving.get_custom_objects().pop("mine>Residual", None)


def test_every_page_with_python_is_run_here():
    """The README by tests/test_docs.py; the troubleshooting has mistakes, for tests/test_troubleshooting.py."""
    found = {page.name for page in PAGES if pages.blocks(page, "python")} - {page.name for page in MODELS}
    run = {"README.md", "tutorial.md", "incomplete.md", "tables.md", "text.md", "serving.md", "migration.md"}
    assert found == {*run, "own-likelihood.md", "own-network.md"}


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
            "reproduce-incomplete": ["reproduce", "incomplete"],
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
    monkeypatch.setattr(description, "load", lambda _: presets.load("digits-jmvae-kl"))  # of files that are not here
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
