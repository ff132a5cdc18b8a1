"""Arrays as pictures inside the page."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["Picture", "picture", "strip"]


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
      uri: with all its bytes.
      alt: what it shows, in words.
      width: in pixels.
      height: in pixels.
      style: `"ink"`, which is dark on white and may be shown as light on dark, or `"photograph"`.
    """

    uri: str
    alt: str
    width: int
    height: int
    style: str


def picture(image: np.ndarray, alt: str) -> Picture:
    """One image, uint8 `[H, W, 1]` or `[H, W, 3]`: a PNG, or a JPEG of colours."""
    grey = image.shape[-1] == 1
    drawn = Image.fromarray(image[..., 0] if grey else image)
    buffer = io.BytesIO()
    if grey:
        drawn.save(buffer, format="PNG", optimize=True)
    else:
        drawn.save(buffer, format="JPEG", quality=92, subsampling=0)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    uri = f"data:image/{'png' if grey else 'jpeg'};base64,{encoded}"
    return Picture(uri, alt, drawn.width, drawn.height, "ink" if grey else "photograph")


def strip(images: np.ndarray, alt: str) -> Picture:
    """Images one below the other, uint8 `[N, H, W, C]`."""
    return picture(images.reshape(-1, *images.shape[2:]), alt)
