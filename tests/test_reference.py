"""The documentation builds without a warning, and its reference has every public name, with its arguments."""

import logging
import os
import re
import subprocess
import sys

import griffe
import pages
import pytest

import tf_jmvae

REFERENCE = pages.ROOT / "docs/reference"
DIRECTIVES = set(re.findall(r"^::: (\S+)", "\n".join(p.read_text() for p in REFERENCE.glob("*.md")), re.MULTILINE))
SUBMODULES = [name for name in tf_jmvae.__all__ if hasattr(getattr(tf_jmvae, name), "__all__")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=pages.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def _public():
    """Every name that users import, by the path that they import it by."""
    for name in tf_jmvae.__all__:
        if name in SUBMODULES:
            yield from (f"tf_jmvae.{name}.{member}" for member in getattr(tf_jmvae, name).__all__)
        else:
            yield f"tf_jmvae.{name}"


def test_the_submodules_are_known():
    assert set(SUBMODULES) >= {"callbacks", "data", "distributions", "evaluation", "heads", "hub", "images", "networks"}
    assert set(SUBMODULES) >= {"optimizers", "serving"}


@pytest.mark.parametrize("name", sorted(_public()))
def test_every_public_name_has_its_place(name, site):
    """An anchor of its own, by which other pages link to it."""
    html = "".join(page.read_text() for page in (site / "reference").glob("*.html"))
    assert f'id="{name}"' in html
    assert name in DIRECTIVES or name.rpartition(".")[0] in DIRECTIVES


def test_pages_ask_nothing_of_other_hosts(site):
    """It works offline: scripts, styles, fonts and pictures are its own."""
    for page in site.rglob("*.html"):
        for tag in re.findall(r"<(?:script|img|link)\b[^>]*>", page.read_text()):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag) or 'rel="canonical"' in tag, (
                f"{page.name}: {tag}"
            )
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text()), style.name


@pytest.fixture(scope="module")
def package():
    logging.getLogger("griffe").setLevel(logging.ERROR)
    return griffe.load("tf_jmvae", search_paths=[pages.ROOT], docstring_parser="google", resolve_aliases=True)


def _found(package, name):
    member = package[name.removeprefix("tf_jmvae.")]
    member = member.final_target if member.is_alias else member
    # `serving.export` is a function, and also the module that has it.
    return member[member.name] if member.is_module else member


def _sections(member):
    return {section.kind.value: section.value for section in member.docstring.parse(warnings=False)}


def _arguments(function):
    return [p.name for p in function.parameters if p.name not in ("self", "cls")]


def _explained(member):
    sections = _sections(member)
    return {p.name.lstrip("*") for p in (*sections.get("parameters", ()), *sections.get("attributes", ()))}


@pytest.mark.parametrize("name", sorted(_public()))
def test_every_public_name_is_explained(name, package):
    """Each argument, and what comes back; a method that overrides one says at least what is other than there."""
    member = _found(package, name)
    assert member.docstring, name
    assert not re.search(r"^ *Example:$", member.docstring.value, re.MULTILINE), (
        f"{name}: the site knows Examples: only"
    )
    if member.is_function:
        _check_function(member, name)
    elif member.is_class:
        inherited = {argument for base in member.mro() for argument in _all_arguments(base)}
        own = _all_arguments(member)
        made_by_users = not name.startswith("tf_jmvae.hub.")  # `load` makes them
        missing = set(own) - _explained(member) - {"args", "kwargs"}
        assert not (made_by_users and missing), f"{name}: {missing}"
        if "parameters" in _sections(member):
            unknown = _explained_parameters(member) - inherited - set(own)
            assert not unknown, f"{name}: no such argument as {unknown}"
        for owner in (member, *member.mro()):
            for method in owner.members.values():
                overrides = any(method.name in base.members for base in owner.mro())
                if method.is_function and not (overrides or method.name.startswith("_") or _of_keras(method)):
                    _check_function(method, f"{name}.{method.name}")


def _all_arguments(cls):
    """Of its own constructor, or, of a dataclass, its fields."""
    if "dataclass" in cls.labels:
        return [p.name for p in cls.parameters if p.name != "self"]
    return _arguments(cls.members["__init__"]) if "__init__" in cls.members else []


def _explained_parameters(member):
    return {p.name.lstrip("*") for p in _sections(member)["parameters"]}


def _of_keras(method):
    """What Keras calls, and users do not: it keeps Keras's meaning."""
    hooks = ("build", "from_config", "get_", "compile_from_config", "make_", "on_", "update_step")
    steps = ("train_step", "test_step", "predict_step", "fit", "evaluate", "predict", "apply")
    steps += ("train_on_batch", "test_on_batch", "predict_on_batch", "save_own_variables", "load_own_variables")
    steps += ("set_model",)
    return method.name.startswith(hooks) or method.name in steps


def _check_function(function, name):
    assert function.docstring, f"{name} has no docstring"
    sections, arguments = _sections(function), _arguments(function)
    if not arguments:
        return
    explained = {p.name.lstrip("*") for p in sections.get("parameters", ())}
    assert explained == set(arguments), f"{name}: {explained ^ set(arguments)}"
    if str(function.returns) != "None":
        assert "returns" in sections, f"{name} does not say what it returns"


def test_entries_of_arguments_and_attributes_begin_in_lower_case():
    names = {"Boolean", "DataFrame", "Keras", "Matplotlib", "Pillow", "Gaussian"}
    block = re.compile(r"^( *)(?:Args|Attributes):\n((?:\1  .*\n|\n)+)", re.MULTILINE)
    found = [
        f"{path.name}: {entry}"
        for path in sorted((pages.ROOT / "tf_jmvae").rglob("*.py"))
        for match in block.finditer(path.read_text())
        for entry in re.findall(rf"^{match[1]}  \*{{0,2}}\w+: ([A-Z][a-z]+)\b", match[2], re.MULTILINE)
        if entry not in names
    ]
    assert not found
