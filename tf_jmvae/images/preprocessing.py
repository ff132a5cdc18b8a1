"""Preprocessing of pictures with Pillow: reading as upright RGB, cropping, resizing, and grids of images."""

import io
import os
import pathlib
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from tf_jmvae.specs import Preprocessing

MAX_PIXELS = 50_000_000
"""Largest number of pixels, more than a photograph of a face needs; a small file may claim far more (a bomb)."""

# Pillow's other readers are rarely needed and less secure; that of EPS runs a program.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
_ARRAY_SHAPES = "[H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"
_KERNELS = {"lanczos": Image.Resampling.LANCZOS, "triangle": Image.Resampling.BILINEAR}
_WHITE = 255


def open_rgb(source: str | os.PathLike | bytes | np.ndarray) -> Image.Image:
    """Opens a picture as RGB, upright according to its EXIF data, with transparent parts on white.

    Grey, CMYK, palette and 16-bit pictures become 8-bit RGB; of an animation the first frame is read.

    Args:
      source: path or bytes of an encoded image (JPEG, PNG, GIF, BMP, TIFF, WebP, PPM), or a uint8 array `[H, W]` or
        `[H, W, 1]` (grey), `[H, W, 3]` (RGB), `[H, W, 4]` (RGBA).

    Returns:
      Pillow image of mode RGB.

    Raises:
      OSError: if the file is missing, empty, truncated or not an image.
      ValueError: if the picture has more than 50 megapixels (checked before decoding) or floating-point pixels, or an
        array has another shape or dtype.
    """
    if isinstance(source, np.ndarray):
        return _as_rgb(_from_array(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return _decoded(io.BytesIO(source), f"The image of {len(source)} bytes")
    if isinstance(source, str | os.PathLike):
        with pathlib.Path(source).open("rb") as file:
            return _decoded(file, str(source))
    raise TypeError(f"Expected an image's path, bytes, or a uint8 array {_ARRAY_SHAPES}; got {type(source)}.")


def prepared(image: Image.Image, event_shape: tuple[int, int, int], preprocessing: Preprocessing) -> np.ndarray:
    """Crops and resizes a picture to an image of a modality, with antialiasing.

    Args:
      image: Pillow image; not cropped if it has exactly the modality's size.
      event_shape: shape of the modality's images, `(H, W, 1)` for grey or `(H, W, 3)` for RGB.
      preprocessing: `Preprocessing` of the modality, with the crop and the kernel.

    Returns:
      uint8 array `[H, W, C]`, from black, 0, to white, 255.
    """
    height, width, channels = event_shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        box = _middle(image.size, width, height, preprocessing.crop)
        image = image.crop(box).resize((width, height), _KERNELS[preprocessing.kernel])
    return np.asarray(image).reshape(height, width, channels)


def as_picture(pixels: np.ndarray) -> Image.Image:
    """Converts uint8 `[H, W, 1]` or `[H, W, 3]` to a Pillow image, grey or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def grid(images: np.ndarray, *, factor: int = 1, gap: int = 0) -> np.ndarray:
    """Tiles uint8 `[rows, columns, H, W, C]` to one image, with pixels enlarged by `factor` and white gaps."""
    rows, columns, height, width, channels = images.shape
    images = images.repeat(factor, axis=2).repeat(factor, axis=3)
    sides = [(0, 0), (0, 0), (gap, 0), (gap, 0), (0, 0)]
    cells = np.pad(images, sides, constant_values=_WHITE).transpose(0, 2, 1, 3, 4)
    whole = cells.reshape(rows * (factor * height + gap), columns * (factor * width + gap), channels)
    return np.pad(whole, [(0, gap), (0, gap), (0, 0)], constant_values=_WHITE)


def _decoded(file: BinaryIO, name: str) -> Image.Image:
    if not file.read(1):
        raise OSError(f"{name} is empty.")
    file.seek(0)
    try:
        image = Image.open(file, formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{name}: {error} Expected at most {MAX_PIXELS // 10**6} megapixels.") from error
    except Image.UnidentifiedImageError as error:
        raise OSError(f"{name} is not an image. Expected one of {', '.join(_FORMATS)}.") from error
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
    except Exception as error:  # decoders raise many types of errors for damaged files
        raise _damaged(name, error) from error


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
        # 16 bits per pixel with white at 65535, which Pillow would clip at 255.
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")


def _middle(size: tuple[int, int], width: int, height: int, crop: tuple[int, int]) -> tuple[int, int, int, int]:
    """Returns the box (left, top, right, bottom) of the largest center crop with these proportions, cut by `crop`."""
    kept, of = crop
    largest = (min(size[0], size[1] * width // height), min(size[1], size[0] * height // width))
    part = [max((2 * side * kept + of) // (2 * of), 1) for side in largest]
    left, top = ((whole - side) // 2 for whole, side in zip(size, part, strict=True))
    return left, top, left + part[0], top + part[1]
