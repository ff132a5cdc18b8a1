"""A model is loaded from wherever it is, only if it is what was exported and can do no harm."""

import functools
import http.server
import importlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
import threading
import zipfile

import numpy as np
import plain_models
import pytest
import tensorflow as tf
from PIL import Image

import tf_jmvae as tj
from tf_jmvae.serving import archives, card, hub

X = np.random.default_rng(0).random((5, 2, 2, 1), np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """NAME/1."""
    return plain_models.write(tmp_path_factory.mktemp("models") / "plain" / "1")


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "plain" / "1")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary files go; nothing may be left there."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.glob("tf_jmvae-*")) == []


def is_plain(model):
    mean = model.encode({"x": X})["mean"]
    np.testing.assert_allclose(mean, 2 * X.sum(axis=(1, 2)), rtol=1e-6)
    return True


def test_verbs_give_numpy(exported):
    model = hub.load(exported)
    assert is_plain(model)
    encoded = model.encode({"x": X})
    assert encoded.keys() == {"mean", "standard_deviation"}
    assert all(type(value) is np.ndarray and value.dtype == np.float32 for value in encoded.values())
    logits = encoded["mean"] * [[0, 1, -1]]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.generate({"x": X}, latent="mean")["w"], expected, rtol=1e-5)
    pictures = model.decode(np.array([[7.0], [300.0], [-4.0]]), images="png")["x"]
    assert pictures.dtype == object
    for encoded, value in zip(pictures, (7, 255, 0), strict=True):
        assert type(encoded) is bytes
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encoded))), np.full((2, 2), value))


def test_any_batch_size_even_none(exported):
    model = hub.load(exported)
    for size in (0, 1, 7):
        assert model.encode({"x": np.zeros((size, 2, 2, 1))})["mean"].shape == (size, 1)
    assert model.decode(np.zeros((0, 1)), images="png")["x"].shape == (0,)


def test_signatures_are_those_of_the_graph(exported):
    model = hub.load(exported)
    names = {"serving_default", "encode", "encode_from_x", "generate_w_from_x", "decode_as_png"}
    assert model.signatures.keys() == names
    encode, png = model.signatures["encode"], model.signatures["decode_as_png"]
    assert {name: (i.dtype, i.shape) for name, i in encode.inputs.items()} == {"x": ("float32", (None, 2, 2, 1))}
    assert {name: (i.dtype, i.shape) for name, i in encode.outputs.items()} == {
        "mean": ("float32", (None, 1)),
        "standard_deviation": ("float32", (None, 1)),
    }
    assert {name: i.dtype for name, i in png.outputs.items()} == {"x_bytes": "string"}


def test_wrong_requests_are_clear_errors(exported):
    model = hub.load(exported)
    with pytest.raises(ValueError, match=r"'x': expected shape \[batch, 2, 2, 1\]; got \[5, 2, 2\]"):
        model.encode({"x": X[..., 0]})
    with pytest.raises(ValueError, match="cannot encode 'w'"):
        model.encode({"w": X})
    for count in (0, -1, 1.0, True, "2"):
        with pytest.raises(ValueError, match=r"num_samples must be a whole number of 1 or more; got"):
            model.sample(count)


def test_encoded_images_are_bytes_and_images(tmp_path):
    model = plain_models.PlainModel()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x_bytes")])
    def encode(x_bytes):
        decode = functools.partial(tf.io.decode_png, channels=1)
        x = tf.map_fn(decode, x_bytes, fn_output_signature=tf.TensorSpec([2, 2, 1], tf.uint8))
        return model.encode(tf.cast(x, tf.float32))

    model.encode_bytes = encode
    signatures = {"encode_from_x": model.encode, "encode_from_x_bytes": encode}
    model = hub.load(plain_models.write(tmp_path / "1", model, signatures))
    file = io.BytesIO()
    Image.fromarray(np.array([[1, 2], [3, 4]], np.uint8)).save(file, "PNG")
    for images in ([file.getvalue()] * 2, (file.getvalue(),), np.array([file.getvalue()], object)):
        np.testing.assert_array_equal(model.encode({"x": images})["mean"], np.full((len(images), 1), 20))
    assert model.encode({"x": []})["mean"].shape == (0, 1)
    assert model.encode({"x": tf.zeros([0, 2, 2, 1])})["mean"].shape == (0, 1)
    with pytest.raises(ValueError, match=r"'encode_from_x_bytes' refuses these inputs: Unknown image .* required\.$"):
        model.encode({"x": [b"no image"]})
    for wrong in (np.array([1.0], object), [file.getvalue(), None]):
        with pytest.raises(TypeError, match="'x_bytes': expected encoded images"):
            model.encode({"x": wrong})


LIKELIHOODS = {"x": "bernoulli", "w": "categorical", "c": "counts", "p": "poisson", "g": "gaussian", "o": "Own"}


class _Reader(tf.Module):
    """A signature for each modality, which gives it back."""

    def __init__(self):
        super().__init__()
        self.echoes = {f"encode_from_{name}": self._echo(name) for name in LIKELIHOODS}
        self.echoes["decode"] = self._echo("z")

    def _echo(self, name):
        spec = tf.TensorSpec([None, 3], name=name)
        return tf.function(lambda inputs: {"mean": inputs[name]}, input_signature=[{name: spec}])


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    entry = {"event_shape": [3], "given": False, "standardized": False, "entry_names": []}
    modalities = {name: {**entry, "likelihood": likelihood} for name, likelihood in LIKELIHOODS.items()}
    module = _Reader()
    folder = plain_models.write(tmp_path_factory.mktemp("reader") / "1", module, dict(module.echoes))
    plain_models.write_card(folder, modalities=modalities)
    return hub.load(folder)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("x", [0, 255, 0], r"'x' holds 255\.0 at index \(1, 1\) \(1 such .*'bernoulli' cannot score\. .*in \[0, 1\]"),
        ("x", [-1e-3, 0, 0], r"'x' holds -0\.001.* at index \(1, 0\)"),
        ("w", [0, 0, 0], r"'w' holds .* at index \(1,\) \(1 such in all\).*'categorical' .* one-hot rows"),
        ("w", [0.5, 0.5, 0], "Expected one-hot rows"),
        ("w", [1, 1, 0], "Expected one-hot rows"),
        ("c", [0, 1.5, 2], r"'c' holds 1\.5 at index \(1, 1\).*Expected whole numbers of 0 or more"),
        ("c", [0, -1, 2], "'counts' cannot score"),
        ("p", [0, 0.5, 2], "'counts' cannot score.* Expected whole numbers of 0 or more"),
        *((name, [0, np.nan, 0], f"'{name}' holds nan at index") for name in LIKELIHOODS),
        *((name, [0, -np.inf, 0], f"'{name}' holds -inf at index") for name in LIKELIHOODS),
        *((name, [0, 1e300, 0], f"'{name}' holds 1e.300, which is too large") for name in LIKELIHOODS),
    ],
)
def test_values_that_the_model_cannot_have_seen_are_refused(reader, name, row, message):
    with pytest.raises(ValueError, match=message):
        reader.encode({name: np.array([[0, 1, 0], row])})


@pytest.mark.parametrize(
    ("name", "row"), [("x", [0, 0.5, 1]), ("w", [0, 1, 0]), ("c", [0, 9, 1]), ("p", [3, 0, 1]), ("g", [-1e30, 255, 0])]
)
def test_values_that_the_likelihood_scores_pass(reader, name, row):
    np.testing.assert_array_equal(reader.encode({name: [row]})["mean"], np.array([row], np.float32))
    assert reader.encode({name: np.zeros((0, 3))})["mean"].shape == (0, 3)


def test_latent_variables_must_be_finite(reader):
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="'z' holds NaN or infinity"):
            reader.decode(np.full((1, 3), value))
    assert reader.decode(np.full((1, 3), 255))["mean"].shape == (1, 3)


def test_card_path_and_repr(folder):
    model = hub.load(folder)
    assert model.card == card.read(folder)
    assert model.path == str(folder)
    assert repr(model) == f"<HubModel 'plain': JMVAEKL of x, w, from {folder}>"


def test_the_newest_version_is_the_largest_number(folder):
    for version in ("2", "9", "10"):
        plain_models.write(folder.with_name(version), name=f"version {version}")
    for other in ("11.tmp", "latest", "-12", "1_000", "²"):
        shutil.copytree(folder, folder.with_name(other))
    (folder.parent / "99").write_text("a file")
    assert hub.load(folder.parent).card["name"] == "version 10"
    assert hub.load(str(folder.parent)).path == str(folder.with_name("10"))
    assert hub.load(folder.with_name("9")).card["name"] == "version 9"


def test_a_version_is_a_number_that_a_server_counts_with():
    for name, version in {"0": 0, "1": 1, "10": 10, str(2**63 - 1): 2**63 - 1}.items():
        assert card.version_of(name) == version
    for name in ("", "01", "00", "-1", "+1", "1_0", " 1", "1\n", "1.0", "²", "١", str(2**63), "9" * 5000, "latest"):
        assert card.version_of(name) is None


def test_a_version_without_a_model_hides_none(folder):
    assert card.newest_version(folder.parent) == folder
    folder.with_name("2").mkdir()
    (folder.with_name("3") / "saved_model.pb").mkdir(parents=True)
    shutil.copytree(folder, folder.with_name("007"))
    assert card.newest_version(folder.parent) == folder
    assert hub.load(folder.parent).path == str(folder)
    shutil.rmtree(folder)
    assert card.newest_version(folder.parent) is None
    with pytest.raises(FileNotFoundError, match=r"plain has neither saved_model\.pb nor folders named by version"):
        hub.load(folder.parent)


def _as_links(folder, blobs):
    """Every file of a folder becomes a link, as in the cache of Hugging Face."""
    blobs.mkdir()
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        path.rename(blobs / str(number))
        path.symlink_to(os.path.relpath(blobs / str(number), path.parent))


def test_files_may_be_links(folder, tmp_path):
    _as_links(folder, tmp_path / "blobs")
    assert is_plain(hub.load(folder))
    assert is_plain(hub.load(folder.parent))
    shutil.rmtree(tmp_path / "blobs")
    with pytest.raises(FileNotFoundError, match="has neither"):
        hub.load(folder.parent)


def test_a_version_may_be_a_link(folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert is_plain(hub.load(folder.parent))
    assert is_plain(hub.load(folder))


def test_links_are_checked_like_files_and_lead_to_files_only(folder, tmp_path):
    _as_links(folder, tmp_path / "blobs")
    (folder / "more").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="more is a symbolic link or a special file"):
        hub.load(folder)
    (folder / "more").unlink()
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="more is a symbolic link or a special file"):
        hub.load(folder)
    (folder / "more").unlink()
    data = folder / "variables/variables.data-00000-of-00001"
    data.unlink()
    data.symlink_to(folder / "saved_model.pb")
    with pytest.raises(ValueError, match=r"variables\.data-00000-of-00001 was changed"):
        hub.load(folder)


def test_bytes_and_the_home_folder(folder, monkeypatch):
    assert is_plain(hub.load(os.fsencode(folder)))
    monkeypatch.setenv("HOME", str(folder.parents[1]))
    assert hub.load("~/plain").path == str(folder)
    with pytest.raises(FileNotFoundError, match=r"~nobody-of-this-name/plain does not exist"):
        hub.load("~nobody-of-this-name/plain")


def test_files_may_go_once_the_model_is_loaded(folder):
    model = hub.load(folder)
    shutil.rmtree(folder)
    assert is_plain(model)


def _tar(source, name, arcname, mode="w:gz"):
    with tarfile.open(name, mode) as archive:
        archive.add(source, arcname)
    return name


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar", ".zip", ".TAR.GZ"])
@pytest.mark.parametrize(("part", "arcname"), [("1", "."), ("1", "1"), ("", "."), ("", "plain")])
def test_an_archive_equals_its_folder(folder, tmp_path, suffix, part, arcname):
    path = tmp_path / f"model{suffix}"
    source = folder.parent / part
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in source.rglob("*"):
                archive.write(file, os.path.join(arcname, file.relative_to(source)))  # noqa: PTH118 - keeps "."
    else:
        _tar(source, path, arcname, "w" if suffix == ".tar" else "w:gz")
    shutil.rmtree(folder.parent)
    model = hub.load(path)
    assert is_plain(model)
    assert model.path == str(path)


def _entry(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


EVIL = {
    "above": (_entry("../evil"), "would be written outside"),
    "above, later": (_entry("1/variables/../../../evil"), "would be written outside"),
    "absolute": (_entry("/tmp/evil"), "would be written outside"),
    "backslash": (_entry("..\\evil"), "would be written outside"),
    "symbolic link": (_entry("1/a", type=tarfile.SYMTYPE, linkname="/etc"), "is a link or a device"),
    "inner symbolic link": (_entry("1/a", type=tarfile.SYMTYPE, linkname="saved_model.pb"), "is a link or a device"),
    "hard link": (_entry("1/a", type=tarfile.LNKTYPE, linkname="1/saved_model.pb"), "is a link or a device"),
    "character device": (_entry("1/a", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "is a link or a device"),
    "block device": (_entry("1/a", type=tarfile.BLKTYPE), "is a link or a device"),
    "pipe": (_entry("1/a", type=tarfile.FIFOTYPE), "is a link or a device"),
    "unknown": (_entry("1/a", type=b"V"), "is a link or a device"),
}


@pytest.mark.parametrize("evil", EVIL)
def test_an_evil_archive_is_refused_before_anything_is_written(folder, tmp_path, monkeypatch, evil):
    entry, problem = EVIL[evil]
    path = _tar(folder, tmp_path / "model.tar", "1", "w")
    with tarfile.open(path, "a") as archive:
        archive.addfile(entry)
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda *_, **__: pytest.fail("was unpacked"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=rf"model\.tar is refused: .*{problem}"):
        hub.load(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert not os.path.lexists("/tmp/evil")


@pytest.mark.parametrize(
    ("name", "mode", "problem"),
    [
        ("../evil", 0o100644, "would be written outside"),
        ("/tmp/evil", 0o100644, "would be written outside"),
        ("1/../../evil", 0o100644, "would be written outside"),
        ("1/a", 0o120777, "is a link or a device"),
        ("1/a", 0o020666, "is a link or a device"),
    ],
)
def test_an_evil_zip_is_refused_before_anything_is_written(folder, tmp_path, monkeypatch, name, mode, problem):
    path = tmp_path / "model.zip"
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(folder / "saved_model.pb", "1/saved_model.pb")
        archive.writestr(info, "/etc")
    monkeypatch.setattr(zipfile.ZipFile, "extractall", lambda *_, **__: pytest.fail("was unpacked"))
    with pytest.raises(ValueError, match=rf"model\.zip is refused: .*{problem}"):
        hub.load(path)
    assert not os.path.lexists("/tmp/evil")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_archives_over_the_limits_are_refused(folder, tmp_path, monkeypatch, kind):
    path = tmp_path / f"model.{kind}"
    if kind == "tar":
        _tar(folder, path, "1", "w")
    else:
        shutil.make_archive(str(path.with_suffix("")), "zip", folder)
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    monkeypatch.setattr(archives, "MAX_BYTES", total - 1)
    with pytest.raises(ValueError, match=r"is refused: it holds more than .* GiB or 100000 entries"):
        hub.load(path)
    monkeypatch.setattr(archives, "MAX_BYTES", total)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 3)
    with pytest.raises(ValueError, match="or 3 entries"):
        hub.load(path)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 100)
    assert is_plain(hub.load(path))


def test_sizes_that_headers_claim_count(tmp_path):
    """A sparse file of 5 TiB, and a header of 1 GiB: both in archives of a few bytes."""
    entry = _entry("1/saved_model.pb", size=5 * 2**40)
    (tmp_path / "a.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ValueError, match=r"a\.tar is refused: it holds more than 4 GiB"):
        hub.load(tmp_path / "a.tar")
    entry = _entry("header", size=2**30, type=tarfile.XHDTYPE)
    (tmp_path / "b.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ValueError, match=r"b\.tar is refused: it has a header of 1073741824 bytes"):
        hub.load(tmp_path / "b.tar")


@pytest.mark.parametrize("name", ["model.tar.gz", "model.tar", "model.zip"])
def test_a_truncated_archive_is_a_clear_error_wherever_it_ends(folder, tmp_path, name):
    path = tmp_path / name
    if name.endswith("zip"):
        shutil.make_archive(str(path.with_suffix("")), "zip", folder)
    else:
        _tar(folder, path, "1", "w:gz" if name.endswith("gz") else "w")
    content = path.read_bytes()
    with tarfile.open(path) if "tar" in name else zipfile.ZipFile(path):
        pass
    for length in range(0, len(content) - 10_240, len(content) // 23):
        path.write_bytes(content[:length])
        with pytest.raises((ValueError, FileNotFoundError), match=r"damaged, or not an archive|was exported|neither"):
            hub.load(path)


def test_what_is_no_archive_is_a_clear_error(tmp_path):
    for suffix in archives.SUFFIXES:
        path = tmp_path / f"page{suffix}"
        path.write_text("<html>404</html>" * 100)
        with pytest.raises(ValueError, match=r"page\..* is damaged, or not an archive"):
            hub.load(path)


def test_what_is_not_there_or_no_model_is_a_clear_error(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist\. Expected what model\.export\(\) wrote"):
        hub.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"temporary has neither saved_model\.pb nor folders named by version"):
        hub.load(tmp_path / "temporary")
    (tmp_path / "model.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"model\.keras is neither a folder nor an archive"):
        hub.load(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"ftp://a/b has a scheme that TensorFlow Hub does not know"):
        hub.load("ftp://a/b")
    (folder / card.CARD).unlink()
    with pytest.raises(FileNotFoundError, match=r"is a SavedModel without model_card\.json: .* did not write it"):
        hub.load(folder)


def test_only_the_folder_itself_is_searched_for_versions(folder):
    """In an archive a single folder is opened; a folder of models is not one of them, and names them."""
    models = folder.parents[1]
    with pytest.raises(FileNotFoundError, match=r"has neither .* It holds the model 'plain': load one of them"):
        hub.load(models)
    shutil.copytree(folder.parent, models / "another")
    (models / "none" / "1").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"It holds the models 'another', 'plain': load one of them"):
        hub.load(models)
    with pytest.raises(FileNotFoundError, match=r"It holds the models 'another', 'plain': load one of them"):
        hub.load(_tar(models, models / "temporary" / "all.tar", ".", "w"))


def test_a_changed_file_is_found_before_it_is_loaded(folder, monkeypatch):
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("was loaded"))
    data = folder / "variables/variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    with pytest.raises(ValueError, match=r"variables\.data-00000-of-00001 was changed"):
        hub.load(folder)
    with pytest.raises(ValueError, match="was changed"):
        hub.load(folder, allow_unsafe=True)


def test_an_unsafe_model_is_loaded_only_on_demand(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("7")
    model = plain_models.PlainModel()

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], name="x")])
    def encode(x):
        number = tf.strings.to_number(tf.io.read_file(str(secret)))
        return {"mean": tf.fill([tf.shape(x)[0], 1], number)}

    model.encode = encode
    folder = plain_models.write(tmp_path / "1", model, {"encode": encode})
    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("was loaded"))
        with pytest.raises(
            ValueError, match=r"is not loaded, since it could .*: ReadFile in __inference_encode.*allow_unsafe=True"
        ):
            hub.load(folder)
    model = hub.load(folder, allow_unsafe=True)
    np.testing.assert_array_equal(model.encode({"x": X})["mean"], np.full((5, 1), 7, np.float32))


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, its URL, and a function that stops the server."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "site").mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=str(tmp_path / "site"))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def stop():
        if thread.is_alive():
            server.shutdown()
            thread.join()
            server.server_close()

    yield tmp_path / "site", f"http://127.0.0.1:{server.server_port}", stop
    stop()


@pytest.mark.parametrize("arcname", [".", "plain"])
def test_a_url_is_downloaded_once(folder, served, arcname, tmp_path):
    site, url, stop = served
    _tar(folder.parent, site / "model.tar.gz", arcname)
    model = hub.load(f"{url}/model.tar.gz")
    assert is_plain(model)
    assert model.path.startswith(str(tmp_path / "cache"))
    stop()
    assert is_plain(hub.load(f"{url}/model.tar.gz"))


def test_a_download_that_was_damaged_says_what_to_remove(folder, served, tmp_path):
    site, url, _ = served
    os.truncate(folder / "saved_model.pb", 10)
    _tar(folder, site / "model.tar.gz", "1")
    with pytest.raises(ValueError, match=r"is truncated, 10 bytes of .* keeps the download in .*cache/\w+: remove it"):
        hub.load(f"{url}/model.tar.gz")
    (place,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    shutil.rmtree(place)
    shutil.rmtree(folder)
    plain_models.write(folder)
    _tar(folder, site / "model.tar.gz", "1")
    assert is_plain(hub.load(f"{url}/model.tar.gz"))


def test_what_a_server_lacks_or_breaks_is_a_clear_error(folder, served, tmp_path):
    site, url, stop = served
    with pytest.raises(OSError, match=r"nothing\.tar\.gz cannot be downloaded \(HTTPError: .*404"):
        hub.load(f"{url}/nothing.tar.gz")
    (site / "page.tar.gz").write_text("<html>")
    with pytest.raises(OSError, match=r"page\.tar\.gz cannot be downloaded"):
        hub.load(f"{url}/page.tar.gz")
    content = _tar(folder, site / "whole.tar.gz", "1").read_bytes()
    (site / "half.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"half\.tar\.gz cannot be downloaded"):
        hub.load(f"{url}/half.tar.gz")
    (folder / "link").symlink_to("/etc")
    _tar(folder, site / "evil.tar.gz", "1")
    with pytest.raises(ValueError, match=r"evil\.tar\.gz is refused \(Unexpected object type"):
        hub.load(f"{url}/evil.tar.gz")
    stop()
    with pytest.raises(OSError, match=r"gone\.tar\.gz cannot be downloaded \(URLError"):
        hub.load(f"{url}/gone.tar.gz")


def test_without_tensorflow_hub_only_urls_fail(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    assert is_plain(hub.load(exported))
    with pytest.raises(
        ImportError, match=r'unlike a folder or an archive, needs tensorflow_hub: pip install "tf-jmvae\[serving\]"'
    ):
        hub.load("https://example.com/model.tar.gz")


def test_tensorflow_hub_is_imported_though_it_wants_pkg_resources():
    before = sys.modules.get("pkg_resources")
    assert hub.import_tensorflow_hub().resolve
    assert sys.modules.get("pkg_resources") is before
    assert importlib.import_module("tensorflow_hub") is hub.import_tensorflow_hub()


def test_loading_needs_none_of_the_models_classes(exported, monkeypatch):
    for name in ("JMVAEKL", "Modality"):
        monkeypatch.delattr(tj, name)
    assert is_plain(hub.load(exported))
