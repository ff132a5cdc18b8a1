"""Drawings and photographs become what MNIST's images are; what cannot be read is refused in words."""

import io
import struct
import types
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tf_jmvae.data.celeba.arrays import PREPROCESSING
from tf_jmvae.demo.drawings import PictureError, as_mnist, prepare
from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.specs import ModalitySpec, ModelSpec


def _model(dataset, **modalities):
    """What the page knows of a model without one."""
    spec = ModelSpec("JMVAEKL", modalities, 2, training={"config": {"data": {"dataset": dataset}}})
    return DemoModel(types.SimpleNamespace(spec=spec))


MNIST = _model("mnist", x=ModalitySpec((28, 28, 1), "bernoulli"), w=ModalitySpec((10,), "categorical"))
FACES = _model(
    "celeba", x=ModalitySpec((16, 16, 3), "gaussian", standardized=True, preprocessing=PREPROCESSING["center"])
)


def _encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _one(paper="white", ink="black", mode="RGB", size=(200, 160), box=(40, 30, 60, 130)):
    """A vertical stroke, 21 pixels wide and 101 high, far from the middle."""
    image = Image.new(mode, size, paper)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image


# A stroke of 21 x 101 fits into 20 rows as 4 columns; its centre of mass comes to the middle.
EXPECTED = np.zeros((28, 28), np.uint8)
EXPECTED[4:24, 12:16] = 255


def test_a_stroke_fills_the_box_of_mnist_and_is_centred_by_its_mass():
    np.testing.assert_array_equal(prepare(_encoded(_one()), MNIST).pixels[..., 0], EXPECTED)


def test_the_centre_of_mass_of_an_uneven_drawing_is_the_middle():
    image = _one()
    ImageDraw.Draw(image).rectangle((40, 30, 110, 60), fill="black")
    values = as_mnist(image.convert("L"), 28).astype(float)
    rows, columns = np.mgrid[:28, :28] + 0.5
    assert abs((rows * values).sum() / values.sum() - 14) <= 0.55
    assert abs((columns * values).sum() / values.sum() - 14) <= 0.55
    assert np.ptp(np.flatnonzero(values.any(axis=1))) == 19


def _gif():
    file = io.BytesIO()
    _one().save(file, "GIF", save_all=True, append_images=[Image.new("RGB", (200, 160), "red")])
    return file.getvalue()


def _rotated():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown turned by 90 degrees clockwise
    return _encoded(_one().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=100, subsampling=0)


def _sixteen_bits():
    return _encoded(Image.fromarray(np.asarray(_one(mode="L", paper=255, ink=0)).astype(np.uint16) * 257))


KINDS = {
    "grey": lambda: _encoded(_one(mode="L", paper=255, ink=0)),
    "white on black": lambda: _encoded(_one(paper="black", ink="white")),
    "pencil on grey paper": lambda: _encoded(_one(paper=(200, 200, 190), ink=(90, 90, 110))),
    "CMYK": lambda: _encoded(_one().convert("CMYK"), "JPEG", quality=100),
    "RGBA": lambda: _encoded(_one(mode="RGBA", paper=(0, 0, 0, 0), ink=(0, 0, 0, 255))),
    "LA": lambda: _encoded(_one(mode="LA", paper=(0, 0), ink=(0, 255))),
    "palette": lambda: _encoded(_one().convert("P")),
    "1 bit": lambda: _encoded(_one().convert("1")),
    "16 bits": _sixteen_bits,
    "animated GIF": _gif,
    "turned by EXIF": _rotated,
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_file_gives_the_same(kind):
    seen = prepare(KINDS[kind](), MNIST)
    assert (seen.pixels.dtype, seen.pixels.shape) == (np.uint8, (28, 28, 1))
    np.testing.assert_array_equal(seen.pixels[..., 0], EXPECTED)


def test_an_image_of_mnist_is_taken_as_it_is_but_for_binarisation():
    values = np.zeros((28, 28), np.uint8)
    values[2:9, 3:8] = 127
    values[5, 3:8] = 128
    seen = prepare(_encoded(Image.fromarray(values)), MNIST)
    np.testing.assert_array_equal(seen.pixels[..., 0], np.where(values > 127, 255, 0))
    assert "as it is" in seen.note


def _grey(dataset, side=8):
    return _model(dataset, x=ModalitySpec((side, side, 1), "bernoulli"))


def test_only_models_of_digits_have_pictures_of_ink():
    ramp = np.tile(np.linspace(0, 255, 8).astype(np.uint8), (8, 1))
    for dataset in ("", "celeba"):  # nothing is known of these, or they are no digits: as it is, grey
        seen = prepare(_encoded(Image.fromarray(ramp)), _grey(dataset))
        np.testing.assert_array_equal(seen.pixels[..., 0], ramp)
    own_size = ramp[..., None]
    np.testing.assert_array_equal(prepare(own_size, _grey("digits")).pixels, own_size)
    np.testing.assert_array_equal(prepare(own_size, _grey("mnist")).pixels, np.where(own_size > 127, 255, 0))
    slope = _one()
    ImageDraw.Draw(slope).line((60, 130, 150, 40), fill="black", width=20)
    assert len(np.unique(prepare(_encoded(slope), _grey("digits")).pixels)) > 2  # scaled, and left grey


def test_a_thin_line_does_not_vanish():
    seen = prepare(_encoded(_one(size=(1000, 1000), box=(500, 200, 502, 800))), MNIST)
    assert (seen.pixels > 0).any(axis=1).sum() >= 18


def test_a_photograph_for_a_model_of_faces_is_its_middle():
    image = Image.new("RGB", (64, 32), "red")
    image.paste((0, 0, 255), (16, 0, 48, 32))
    seen = prepare(_encoded(image), FACES).pixels
    np.testing.assert_array_equal(seen, np.broadcast_to([0, 0, 255], (16, 16, 3)))
    half = prepare(_encoded(image.resize((640, 320))), FACES, crop="center").pixels
    np.testing.assert_array_equal(half, np.broadcast_to([0, 0, 255], (16, 16, 3)))


def _bomb(side):
    """A PNG that claims to be huge and holds nothing."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")))
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no picture yet"),
        (b"", "empty"),
        (b"Dear diary, this is not an image.", "not an image"),
        (_encoded(_one())[:200], "damaged or truncated"),
        (_bomb(10_000), "Expected at most 50 megapixels"),
        (_bomb(60_000), "megapixels"),
        (_encoded(Image.new("RGBA", (280, 280))), "is empty"),
        (_encoded(Image.new("RGB", (280, 280), "white")), "is empty"),
        (_encoded(Image.new("L", (28, 28), 130)), "is empty"),
    ],
    ids=["nothing", "empty", "text", "truncated", "100 megapixels", "bomb", "clear canvas", "white", "grey"],
)
def test_what_cannot_be_read_is_refused_in_words(content, message, tmp_path):
    source = content
    if content is not None:
        source = tmp_path / "upload.png"
        source.write_bytes(content)
    with pytest.raises(PictureError, match=message) as error:
        prepare(source, MNIST)
    assert str(tmp_path) not in str(error.value)  # where uploads are kept is nobody's business
