"""Arrays as pictures inside the page."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["Picture", "strip"]


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
      pixels: uint8 `[H, W, 1]` or `[H, W, 3]`.
      alt: what it shows, in words.
      rows: images in it, one below the other.
    """

    pixels: np.ndarray
    alt: str
    rows: int = 1

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def style(self) -> str:
        """`"ink"`, which is dark on white and may be shown as light on dark, or `"photograph"`."""
        return "ink" if self.pixels.shape[-1] == 1 else "photograph"

    @property
    def uri(self) -> str:
        """All its bytes: a PNG, or a JPEG of colours."""
        buffer = io.BytesIO()
        if self.style == "ink":
            Image.fromarray(self.pixels[..., 0]).save(buffer, format="PNG", optimize=True)
        else:
            Image.fromarray(self.pixels).save(buffer, format="JPEG", quality=92, subsampling=0)
        kind = "png" if self.style == "ink" else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def strip(images: np.ndarray, alt: str) -> Picture:
    """Images one below the other, uint8 `[N, H, W, C]`."""
    return Picture(images.reshape(-1, *images.shape[2:]), alt, len(images))
