"""Reading of pictures in any common format as upright 8-bit RGB images, on white."""

import contextlib
import io
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

__all__ = ["MAX_PIXELS", "open_rgb"]

MAX_PIXELS = 50_000_000
"""More than any camera's photograph of a face needs; a small file may claim to hold far more (a decompression bomb)."""

# Pillow's other readers are rarely needed and more easily attacked; that of EPS runs a program.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
_ARRAY_SHAPES = "[H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"


def open_rgb(source: str | os.PathLike | bytes | np.ndarray) -> Image.Image:
    """Opens a picture as RGB: turned upright as its EXIF data say, transparent parts over white.

    Grey, CMYK, palette and 16-bit pictures become 8-bit RGB; of an animation, the first frame.

    Args:
      source: Path or bytes of an encoded image (JPEG, PNG, GIF, BMP, TIFF, WebP, PPM), or a uint8 array `[H, W]` or
        `[H, W, 1]` (grey), `[H, W, 3]` (RGB), `[H, W, 4]` (RGBA).

    Returns:
      A Pillow image of mode RGB.

    Raises:
      OSError: there is no such file, or it is empty, truncated or no image.
      ValueError: more than 50 megapixels, refused before decoding; floating-point pixels; or an
        array of another shape or type.
    """
    if isinstance(source, np.ndarray):
        return _as_rgb(_from_array(source))
    with _opened(source) as (file, name):
        if not file.read(1):
            raise OSError(f"{name} is empty.")
        file.seek(0)
        try:
            image = Image.open(file, formats=_FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(f"{name}: {error} Expected at most {MAX_PIXELS // 10**6} megapixels.") from error
        except Image.UnidentifiedImageError as error:
            raise OSError(f"{name} is no image. Expected one of {', '.join(_FORMATS)}.") from error
        except Exception as error:
            raise _damaged(name, error) from error
        _check_pixels(*image.size, name)
        if image.mode == "F":
            raise ValueError(f"{name} has floating-point pixels. Expected 8 or 16 bits per channel.")
        try:
            image.load()
            return _as_rgb(ImageOps.exif_transpose(image))
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever the damage makes them stumble over
            raise _damaged(name, error) from error


@contextlib.contextmanager
def _opened(source: str | os.PathLike | bytes) -> Iterator[tuple[BinaryIO, str]]:
    """The encoded image as a file, with its name for messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source), f"The image of {len(source)} bytes"
    elif isinstance(source, str | os.PathLike):
        with pathlib.Path(source).open("rb") as file:
            yield file, str(source)
    else:
        raise TypeError(f"Expected an image's path, bytes, or a uint8 array {_ARRAY_SHAPES}; got {type(source)}.")


def _damaged(name: str, error: Exception) -> OSError:
    return OSError(f"{name} is damaged or truncated ({type(error).__name__}: {error}).")


def _check_pixels(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name} has {width} x {height} pixels. Expected at most {MAX_PIXELS // 10**6} megapixels.")


def _from_array(array: np.ndarray) -> Image.Image:
    right_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not right_shape or 0 in array.shape:
        raise ValueError(
            f"Expected an image as a uint8 array {_ARRAY_SHAPES}, with values from 0 to 255; "
            f"got {array.dtype}, shape {list(array.shape)}."
        )
    _check_pixels(array.shape[1], array.shape[0], "The array")
    return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits per pixel, which Pillow would cut off at 255: 65535 is white.
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")
