"""Crop and resizing of pictures to a modality's pixels with Pillow; `tensors` does the same in the graph."""

import numpy as np
from PIL import Image

from tf_jmvae.specs import Preprocessing

__all__ = ["as_picture", "prepared"]

_KERNELS = {"lanczos": Image.Resampling.LANCZOS, "triangle": Image.Resampling.BILINEAR}


def prepared(image: Image.Image, event_shape: tuple[int, int, int], preprocessing: Preprocessing) -> np.ndarray:
    """Crops a picture to the part that a modality shows, and resizes it to its size with antialiasing.

    Args:
      image: Any Pillow image; one of exactly the modality's size is taken as it is.
      event_shape: Shape of the modality's images, `(H, W, 1)` for grey or `(H, W, 3)` for RGB.
      preprocessing: Crop and kernel of the modality's images.

    Returns:
      uint8 `[H, W, C]`, from black, 0, to white, 255.
    """
    height, width, channels = event_shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        box = _middle(image.size, width, height, preprocessing.crop)
        image = image.crop(box).resize((width, height), _KERNELS[preprocessing.kernel])
    return np.asarray(image).reshape(height, width, channels)


def as_picture(pixels: np.ndarray) -> Image.Image:
    """uint8 `[H, W, 1]` or `[H, W, 3]` as a Pillow image, grey or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _middle(size: tuple[int, int], width: int, height: int, crop: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part about the middle: the largest of these proportions, and of it `crop`."""
    kept, of = crop
    largest = (min(size[0], size[1] * width // height), min(size[1], size[0] * height // width))
    part = [max((2 * side * kept + of) // (2 * of), 1) for side in largest]
    left, top = ((whole - side) // 2 for whole, side in zip(size, part, strict=True))
    return left, top, left + part[0], top + part[1]
