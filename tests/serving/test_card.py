"""The model card is read only whole, and finds every byte that differs from what was exported."""

import hashlib
import json
import os
import shutil

import plain_models
import pytest

from tf_jmvae.serving import card

pytestmark = pytest.mark.usefixtures("_in_a_copy")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return plain_models.write(tmp_path_factory.mktemp("exported") / "1")


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "1")


@pytest.fixture
def _in_a_copy(folder):
    """Every test has its own copy of the model."""


def _text(folder):
    return json.loads((folder / card.CARD).read_text())


def _names(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != card.CARD
    )


def test_checksums_are_those_of_sha256sum(folder):
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra/empty").write_bytes(b"")
    (folder / "assets.extra/model_card.json").write_bytes(b"abc")
    checksums = card.file_checksums(folder)
    assert list(checksums) == sorted([*_names(folder), "assets.extra/model_card.json"])
    assert "variables/variables.index" in checksums
    # FIPS 180-4's own examples.
    empty, abc = checksums["assets.extra/empty"], checksums["assets.extra/model_card.json"]
    assert empty == {"bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    assert abc == {"bytes": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    content = (folder / "saved_model.pb").read_bytes()
    assert checksums["saved_model.pb"] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_what_was_written_is_read_and_verified(folder):
    content = card.read(folder)
    assert content == _text(folder)
    card.verify(folder, content)


def test_one_flipped_bit_anywhere_in_any_file_is_found(folder):
    content = card.read(folder)
    for name in _names(folder):
        original = (folder / name).read_bytes()
        for place in {0, len(original) // 2, len(original) - 1}:
            changed = bytearray(original)
            changed[place] ^= 1
            (folder / name).write_bytes(changed)
            with pytest.raises(ValueError, match=f"is not what was exported: {name} was changed\\."):
                card.verify(folder, content)
        (folder / name).write_bytes(original)
    card.verify(folder, content)


def test_truncated_missing_and_additional_files_are_named_together(folder):
    content = card.read(folder)
    data = folder / "variables/variables.data-00000-of-00001"
    size = data.stat().st_size
    os.truncate(data, size - 1)
    (folder / "variables/variables.index").unlink()
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets/words.txt").write_text("a")
    with pytest.raises(ValueError, match="is not what was exported") as error:
        card.verify(folder, content)
    for problem in (
        "variables/variables.index is missing",
        f"variables/{data.name} is truncated, {size - 1} bytes of {size}",
        "assets/words.txt is additional",
        "Copy or download the folder again",
    ):
        assert problem in str(error.value)


def test_of_many_problems_ten_are_named(folder):
    content = card.read(folder)
    for number in range(25):
        (folder / f"{number:02}").write_text("")
    with pytest.raises(ValueError, match="09 is additional; and 15 more"):
        card.verify(folder, content)


def test_symbolic_links_and_special_files_are_refused(folder, tmp_path):
    content = card.read(folder)
    index = folder / "variables/variables.index"
    index.rename(tmp_path / "index")
    index.symlink_to(tmp_path / "index")
    with pytest.raises(ValueError, match=r"variables\.index is a symbolic link"):
        card.verify(folder, content)
    index.unlink()
    (tmp_path / "index").rename(index)
    (folder / "assets.extra").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"assets\.extra is a symbolic link"):
        card.file_checksums(folder)
    (folder / "assets.extra").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(ValueError, match="pipe is a symbolic link or a special file"):
        card.file_checksums(folder)
    (folder / "pipe").unlink()
    (folder / card.CARD).rename(tmp_path / card.CARD)
    (folder / card.CARD).symlink_to(tmp_path / card.CARD)
    with pytest.raises(ValueError, match=r"model_card\.json is a symbolic link"):
        card.read(folder)


def test_links_to_files_pass_where_they_are_allowed(folder, tmp_path):
    content = card.read(folder)
    for name in (card.CARD, "variables/variables.index"):
        (folder / name).rename(tmp_path / "file")
        (tmp_path / "file").rename(tmp_path / name.replace("/", "-"))
        (folder / name).symlink_to(tmp_path / name.replace("/", "-"))
    assert card.read(folder, links=True) == content
    card.verify(folder, content, links=True)
    (folder / "variables/variables.index").unlink()
    (folder / "variables/variables.index").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"variables\.index is a symbolic link"):
        card.verify(folder, content, links=True)
    (folder / "variables/variables.index").unlink()
    (folder / "variables/variables.index").symlink_to("/dev/null")
    with pytest.raises(ValueError, match=r"variables\.index is a symbolic link or a special file"):
        card.file_checksums(folder, links=True)
    (folder / card.CARD).unlink()
    (folder / card.CARD).symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=r"model_card\.json is a symbolic link"):
        card.read(folder, links=True)


def test_no_folder_and_no_card(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        card.file_checksums(tmp_path / "nowhere")
    (folder / card.CARD).unlink()
    with pytest.raises(FileNotFoundError, match=r"model_card\.json"):
        card.read(folder)


def test_a_newer_format_is_named_as_such(folder):
    plain_models.write_card(folder, format=2, modalities="all different")
    with pytest.raises(ValueError, match=r"has format 2; this tf_jmvae reads format 1\. A newer version .* wrote it"):
        card.read(folder)


@pytest.mark.parametrize("form", [0, "1", True, 1.0, None, [1]])
def test_another_format_is_damage(folder, form):
    plain_models.write_card(folder, format=form)
    with pytest.raises(ValueError, match=r"model_card\.json is not a model card of format 1: format: "):
        card.read(folder)


def test_a_key_that_a_later_release_adds_is_no_error(folder):
    plain_models.write_card(folder, license="MIT")
    assert card.read(folder)["license"] == "MIT"


def test_a_missing_key_is_named(folder):
    whole = _text(folder)
    assert len(whole) == 15
    for key in whole:
        content = {name: value for name, value in whole.items() if name != key}
        (folder / card.CARD).write_text(json.dumps(content))
        with pytest.raises(ValueError, match=rf"model_card\.json is not a model card.* {key}: Field required"):
            card.read(folder)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": 3}, "name"),
        ({"latent_dim": "64"}, "latent_dim"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"num_samples": 1.5}, "num_samples"),
        ({"dirty": "no"}, "dirty"),
        ({"training": []}, "training"),
        ({"modalities": []}, "modalities"),
        ({"modalities": {"x": {}}}, r"modalities\.x: event_shape"),
        ({"signatures": {"encode": {"inputs": {}}}}, r"signatures\.encode\.outputs"),
        ({"signatures": {"e": {"inputs": {"x": {"dtype": "string", "shape": [-1]}}, "outputs": {}}}}, r"signatures\.e"),
        ({"files": {"a": {"bytes": 1}}}, r"files\.a\.sha256"),
        ({"files": {"a": {"bytes": -1, "sha256": "0" * 64}}}, r"files\.a\.bytes"),
        ({"files": {"a": {"bytes": 1, "sha256": "0" * 63}}}, r"files\.a\.sha256"),
    ],
)
def test_a_value_of_another_type_is_named(folder, change, place):
    plain_models.write_card(folder, **change)
    with pytest.raises(ValueError, match=rf"model_card\.json is not a model card.* {place}"):
        card.read(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x00\xff\xfe",
        b"\xff" * 100,
        b"[" * 2_000_000,
        b'{"a":' * 600_000,
        b'{"format": ' + b"9" * 5000 + b"}",
        b"null",
        b"[1, 2]",
        b'"text"',
        b'{"format": 1, "modalities": {"\\ud800": {}}}',
        b'{"format": 1, "\\ud800": "\\udfff", "name": "\\ud800"}',
        b"{" + b",".join(b'"%d": 1' % number for number in range(300_000)) + b"}",
    ],
)
def test_whatever_else_is_there_is_a_clear_error(folder, content):
    (folder / card.CARD).write_bytes(content)
    with pytest.raises(ValueError, match=r"model_card\.json.*(again|newer)") as error:
        card.read(folder)
    assert type(error.value) is ValueError
    assert len(str(error.value).encode()) < 1500


def test_deep_nesting_where_anything_goes_is_no_crash(folder):
    deep = "[" * 900 + "]" * 900
    text = json.dumps(_text(folder) | {"training": {"deep": "HERE"}}).replace('"HERE"', deep)
    (folder / card.CARD).write_text(text)
    assert card.read(folder)["training"]["deep"]


def test_a_truncated_card_is_damage_wherever_it_ends(folder):
    content = (folder / card.CARD).read_bytes()
    for length in range(0, len(content), 97):
        (folder / card.CARD).write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"model_card\.json is not JSON"):
            card.read(folder)


def test_a_huge_card_is_not_read(folder):
    with (folder / card.CARD).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="is larger than 4 MiB, which no model card is"):
        card.read(folder)
