"""Damaged and hostile files, thousands of them: always the documented error with a message, never anything else.

Each input is a mutation of a good file, or made to be evil, from a seeded generator.
"""

import contextlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import stat
import tarfile
import warnings
import zipfile
from importlib import resources

import celeba_folder
import jobs
import numpy as np
import pytest
from PIL import Image
from record import SEED, WRITES, record

from tf_jmvae import images
from tf_jmvae._utils.files import RunError
from tf_jmvae.serving import archives, card
from tf_jmvae.training import presets, run_folder

pytestmark = pytest.mark.timeout(3600)

TIMES = {"presets": 3000, "run": 2000, "cards": 2500, "images": 2500, "archives": 2000}
MORE = 3 if WRITES else 1
SECONDS = 5  # of the processor, for one input

WORDS = [
    *b"nan inf -inf -1 0 1e999 null true [] {} '' [[]] 1.5 0x10 1979-05-27 [1,2] {'a':1}".replace(b"'", b'"').split(),
    b"9" * 400,
    b"[" * 3000,
    b'{"a":' * 2000,
    "\u202e\ud83d".encode("utf-8", "surrogatepass"),
    b"\xff\xfe\x00",
    b"\n",
    b"..",
    b"/etc/passwd",
]


def _mutate(content, generator):
    """Flips, cuts, repeats, drops, inserts: one to four of them."""
    content = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4))):
        at = generator.randrange(len(content) + 1)
        length = generator.choice((1, 1, 4, 30))
        match generator.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << generator.randrange(8)
            case 1 if at < len(content):
                content[at] = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))
            case 2:
                del content[at:]
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[at : at + length] * generator.choice((1, 20))
            case 5:
                content[at:at] = generator.choice(WORDS)
            case _:
                content[at : at + length] = generator.randbytes(length)
    return bytes(content)


def _other_value(content, generator):
    """One value of a text file becomes another."""
    lines = content.split(b"\n")
    places = [number for number, line in enumerate(lines) if b"=" in line or b":" in line]
    number = generator.choice(places)
    sign = b"=" if b"=" in lines[number] else b":"
    comma = b"," if lines[number].endswith(b",") else b""
    lines[number] = lines[number].partition(sign)[0] + sign + b" " + generator.choice(WORDS) + comma
    return b"\n".join(lines)


def _damage(content, generator):
    return (_mutate, _other_value)[generator.randrange(2)](content, generator)


@contextlib.contextmanager
def _limited():
    """An input that takes longer fails the test."""

    def stop(number, frame):
        pytest.fail(f"an input took more than {SECONDS} s")

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _fuzz(name, read, inputs, errors, says):
    """Reads every input; what is refused must be refused with one of `errors`, and a message that `says` the file."""
    refused = 0
    for content in inputs:
        with _limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read(content)
                continue
            except Exception as error:
                raised = error
        assert isinstance(raised, errors), f"{type(raised).__name__}: {raised}, for {content[:2000]!r}"
        assert says in str(raised), f"{raised}, for {content[:2000]!r}"
        assert len(str(raised)) < 5_000
        refused += 1
    assert refused > len(inputs) / 4  # mutations matter
    record(
        f"fuzzing of {name}",
        len(inputs),
        f"the documented error with a message ({refused:,}), or read; no crash; each under {SECONDS} s",
    )


def test_presets(tmp_path):
    generator = random.Random(SEED)
    files = [f for f in (resources.files("tf_jmvae.training") / "presets").iterdir() if f.name.endswith(".toml")]
    contents = [f.read_bytes() for f in files if f.name.startswith("_") or b"extends" not in f.read_bytes()]
    jobs.write_preset(tmp_path / "tiny.toml", "jmvae")
    contents += [(tmp_path / "tiny.toml").read_bytes()] * 3
    (tmp_path / "tiny.toml").rename(tmp_path / "base.toml")
    contents += [b'extends = "base"\nsource = "a test"\n[model]\nlatent_dim = 3\n']
    path = tmp_path / "fuzzed.toml"

    def read(content):
        path.write_bytes(content)
        presets.load(str(path))

    inputs = [_damage(generator.choice(contents), generator) for _ in range(TIMES["presets"] * MORE)]
    _fuzz("presets (TOML)", read, inputs, (ValueError,), "fuzzed.toml")


def test_configurations_of_runs(tmp_path):
    generator = random.Random(SEED)
    config = presets.load(str(jobs.write_preset(tmp_path / "tiny.toml", "jmvae")))
    run_dir = tmp_path / "run"
    run_folder.prepare(run_dir, config)
    (run_dir / "metrics.json").write_text("{}")
    good = (run_dir / "config.json").read_bytes()

    def read(content):
        (run_dir / "config.json").write_bytes(content)
        run_folder.describe(run_dir)
        run_folder.prepare(run_dir, config)

    inputs = [_damage(good, generator) for _ in range(TIMES["run"] * MORE)]
    _fuzz("configurations of runs (JSON)", read, inputs, (RunError,), str(run_dir))


def test_cards(tmp_path):
    generator = random.Random(SEED)
    contents = [(pathlib.Path(__file__).parents[2] / "saved_models/mnist_jmvae_kl/1" / card.CARD).read_bytes()]
    path = tmp_path / card.CARD

    def read(content):
        path.write_bytes(content)
        card.read(tmp_path)

    inputs = [_damage(generator.choice(contents), generator) for _ in range(TIMES["cards"] * MORE)]
    _fuzz("model cards", read, inputs, (ValueError,), str(path))


def _encoded():
    """A small photograph in every format, and as some of their variants."""
    face = celeba_folder.draw(dict.fromkeys(celeba_folder.ATTRIBUTES, False), np.random.default_rng(0)).resize((24, 28))
    variants = [
        *((face, kind, {}) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")),
        (face, "JPEG", {"progressive": True}),
        (face.convert("CMYK"), "JPEG", {}),
        (face.convert("RGBA"), "PNG", {}),
        (face.convert("P"), "PNG", {"transparency": 0}),
        (face, "GIF", {"save_all": True, "append_images": [face.rotate(9)]}),
        (face, "TIFF", {"compression": "tiff_lzw"}),
    ]
    for image, kind, options in variants:
        file = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(file, kind, **options, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}))
        yield file.getvalue()


def test_images():
    generator = random.Random(SEED)
    contents = list(_encoded())

    def read(content):
        image = images.open_rgb(content)
        assert image.mode == "RGB"
        assert image.width * image.height <= images.MAX_PIXELS

    inputs = [_mutate(generator.choice(contents), generator) for _ in range(TIMES["images"] * MORE)]
    _fuzz("images", read, inputs, (ValueError, OSError), "The image of")


NAMES = [
    "1/model.pb",
    "1/../../evil",
    "../evil",
    "/tmp/evil",
    "a/b",
    "a",
    ".",
    "",
    "a\\..\\b",
    "a\0b",
    "é" * 99,
    "x" * 300,
]
KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)


def _tar(generator):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=generator.choice(("w", "w:gz"))) as archive:
        for _ in range(generator.randrange(1, 5)):
            entry = tarfile.TarInfo(generator.choice(NAMES))
            entry.type = generator.choice((tarfile.REGTYPE,) * 6 + KINDS)
            entry.linkname = generator.choice(("", "/etc/passwd", "../evil", "a"))
            entry.mode = generator.choice((0o644, 0o777, 0, stat.S_ISUID | 0o755))
            content = generator.randbytes(generator.choice((0, 10, 600)))
            entry.size = len(content) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(content) if entry.isreg() else None)
            if generator.random() < 0.1:
                entry.size = generator.choice((2**33 - 1, 5 * 2**30, 10**6))  # more than there is
                archive.fileobj.write(entry.tobuf(tarfile.GNU_FORMAT))
    return file.getvalue()


def _zip(generator):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")  # of two entries of one name
        for _ in range(generator.randrange(1, 5)):
            info = zipfile.ZipInfo(generator.choice(NAMES))
            kind = generator.choice((0, 0, 0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO))
            info.external_attr = (kind | 0o644) << 16
            methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            info.compress_type = generator.choice(methods)
            archive.writestr(info, generator.randbytes(generator.choice((0, 10, 600))))
    return file.getvalue()


def test_archives(tmp_path):
    generator = random.Random(SEED)
    outside = tmp_path / "outside"

    def read(content):
        suffix = ".zip" if content[:2] == b"PK" else ".tar"
        archive, folder = tmp_path / f"fuzzed{suffix}", outside / "folder"
        archive.write_bytes(content)
        folder.mkdir(parents=True)
        try:
            archives.unpack(archive, folder)
        finally:
            assert os.listdir(outside) == ["folder"]  # noqa: PTH208 - fast
            for parent, folders, files in os.walk(folder):
                for name in (*folders, *files):
                    assert stat.S_IFMT(os.lstat(os.path.join(parent, name)).st_mode) in (stat.S_IFREG, stat.S_IFDIR)  # noqa: PTH118
            shutil.rmtree(outside)

    inputs = []
    for _ in range(TIMES["archives"] * MORE):
        content = generator.choice((_tar, _zip))(generator)
        inputs.append(_mutate(content, generator) if generator.random() < 0.6 else content)
    before = sorted(os.listdir("/tmp/evil")) if os.path.exists("/tmp/evil") else None  # noqa: PTH110, PTH208
    _fuzz("archives (tar, tar.gz, zip)", read, inputs, (ValueError,), "fuzzed.")
    assert (sorted(os.listdir("/tmp/evil")) if os.path.exists("/tmp/evil") else None) == before  # noqa: PTH110, PTH208


@pytest.mark.parametrize(("name", "nested"), [("presets", "x = " + "[" * 100_000), ("cards", '{"a":' * 100_000)])
def test_deep_nesting_is_an_error_like_others(name, nested, tmp_path):
    path = tmp_path / (card.CARD if name == "cards" else "deep.toml")
    path.write_text(nested)
    with pytest.raises(ValueError, match=path.name):
        card.read(tmp_path) if name == "cards" else presets.load(str(path))


def test_a_run_whose_configuration_is_a_list_is_named(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    for content in ("[]", "{}", json.dumps({"config": 3, "versions": {}}), '{"config": {"data": []}}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(RunError, match=r"config\.json"):
            run_folder.describe(tmp_path)
