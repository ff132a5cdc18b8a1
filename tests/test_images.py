"""Any photograph becomes upright 8-bit RGB; what is not an image is refused by name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tf_jmvae import images
from tf_jmvae.specs import Preprocessing

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def _encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def colors():
    """3 rows, 4 columns, every pixel another."""
    return np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)


def test_a_path_bytes_and_an_array_give_the_same(tmp_path, colors):
    encoded = _encoded(Image.fromarray(colors))
    (tmp_path / "a.png").write_bytes(encoded)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), encoded, colors):
        image = images.open_rgb(source)
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), colors)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1)])
def test_grey_arrays_have_three_equal_channels(shape):
    grey = np.arange(12, dtype=np.uint8).reshape(shape)
    expected = np.repeat(grey.reshape(3, 4, 1), 3, axis=2)
    np.testing.assert_array_equal(np.asarray(images.open_rgb(grey)), expected)


def test_transparent_pixels_are_laid_over_white():
    rgba = np.array([[[0, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 51]]], np.uint8)
    for source in (rgba, _encoded(Image.fromarray(rgba)), _encoded(Image.fromarray(rgba), "WEBP", lossless=True)):
        np.testing.assert_array_equal(np.asarray(images.open_rgb(source)), [[WHITE, RED, (204, 204, 204)]])


def test_a_transparent_colour_of_a_palette_or_grey_png_is_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([*BLUE, *GREEN])
    palette.putpixel((1, 0), 1)
    opaque = images.open_rgb(_encoded(palette))
    np.testing.assert_array_equal(np.asarray(opaque), [[BLUE, GREEN]])
    see_through = images.open_rgb(_encoded(palette, transparency=0))
    np.testing.assert_array_equal(np.asarray(see_through), [[WHITE, GREEN]])
    grey = Image.fromarray(np.array([[7, 9]], np.uint8))
    np.testing.assert_array_equal(np.asarray(images.open_rgb(_encoded(grey, transparency=7))), [[WHITE, (9, 9, 9)]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_keep_their_most_significant_half(kind):
    grey = np.array([[0, 128, 129, 257, 0x7FFF, 0x8080, 65535]], np.uint16)
    expected = np.rint(grey / 65535 * 255)
    result = np.asarray(images.open_rgb(_encoded(Image.fromarray(grey), kind)))
    np.testing.assert_array_equal(result, np.repeat(expected[..., None], 3, axis=2))


def test_one_bit_and_cmyk_become_rgb():
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    np.testing.assert_array_equal(np.asarray(images.open_rgb(_encoded(bits))), [[(0, 0, 0), WHITE]])
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    result = np.asarray(images.open_rgb(_encoded(cmyk, "JPEG", quality=100))).astype(int)
    assert np.abs(result - RED).max() <= 4


# What has to be done to the stored rows and columns, by EXIF's definition of the tag "Orientation".
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_applied(colors, orientation, upright):
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = images.open_rgb(_encoded(Image.fromarray(colors), exif=exif))
    np.testing.assert_array_equal(np.asarray(result), upright(colors))


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (2, 2), color) for color in (GREEN, RED)]
    result = images.open_rgb(_encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(np.asarray(result), np.full((2, 2, 3), GREEN))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.5, 0.97])
def test_a_truncated_image_is_named(tmp_path, kind, part):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    encoded = _encoded(noise, kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(encoded[: int(part * len(encoded))])
    with pytest.raises(OSError, match=rf"half\.{kind.lower()} is (damaged or truncated|not an image)"):
        images.open_rgb(path)


def test_an_empty_file_and_no_image_are_named(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(OSError, match=r"empty\.jpg is empty"):
        images.open_rgb(tmp_path / "empty.jpg")
    (tmp_path / "page.jpg").write_text("<html>404 Not Found</html>")
    with pytest.raises(OSError, match=r"page\.jpg is not an image\. Expected one of JPEG, PNG"):
        images.open_rgb(tmp_path / "page.jpg")
    with pytest.raises(OSError, match="The image of 3 bytes is not an image"):
        images.open_rgb(b"abc")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        images.open_rgb(tmp_path / "nowhere.jpg")


def test_a_format_that_runs_programs_is_no_image():
    with pytest.raises(OSError, match="is not an image"):
        images.open_rgb(_encoded(Image.new("RGB", (8, 8)), "EPS"))


@pytest.mark.parametrize("size", [(7072, 7072), (10_000, 10_000), (20_000, 20_000), (60_000, 60_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, size):
    """A PNG of a few bytes that claims to be huge, and has no pixels at all."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(ValueError, match=r"bomb\.png.* Expected at most 50 megapixels"):
        images.open_rgb(path)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_the_same_error_where_warnings_are():
    with pytest.raises(ValueError, match=r"The image of .* Expected at most 50 megapixels"):
        images.open_rgb(b"P6 10000 10000 255\n" + bytes(100))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int64),
    ],
)
def test_another_array_is_refused(array):
    with pytest.raises(ValueError, match=r"Expected an image as a uint8 array \[H, W\].*got \w+, shape \["):
        images.open_rgb(array)


def test_floating_point_pixels_and_other_things_are_refused():
    with pytest.raises(ValueError, match=r"floating-point pixels\. Expected 8 or 16 bits"):
        images.open_rgb(_encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"))
    with pytest.raises(TypeError, match=r"Expected an image's path, bytes, or a uint8 array.*got <class 'int'>"):
        images.open_rgb(3)


@pytest.mark.parametrize(("height", "width"), [(218, 178), (178, 218), (5, 5), (4, 7), (1, 9)])
def test_the_part_that_is_kept_has_as_much_on_either_side(height, width):
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = Image.fromarray(np.stack([rows, columns, columns], axis=-1))
    for side in {1, min(height, width) // 2, min(height, width)} - {0}:
        how = Preprocessing(crop=(side, min(height, width)))
        cropped = images.prepared(image, (side, side, 3), how).astype(int)
        assert cropped.shape == (side, side, 3)
        for channel, length in ((0, height), (1, width)):
            before, after = cropped[..., channel].min(), length - 1 - cropped[..., channel].max()
            assert after - before in (0, 1)


def test_a_picture_that_shrinks_is_averaged():
    """Of stripes one pixel wide, antialiasing leaves their mean; picking pixels would leave stripes or one colour."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    result = images.prepared(Image.fromarray(stripes), (8, 8, 3), Preprocessing())
    assert result.shape == (8, 8, 3)
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result[:, 1:-1], 127.5, atol=4)


def test_a_picture_of_that_size_is_kept():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    result = images.prepared(Image.fromarray(pixels), (8, 8, 3), Preprocessing(crop=(1, 2)))
    np.testing.assert_array_equal(result, pixels)
