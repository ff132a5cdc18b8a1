"""Images as one PNG: a row for each example, a column for each sample."""

from pathlib import Path

import numpy as np

__all__ = ["grid", "write_png"]

_SHOWN = 112  # pixels: small images are enlarged to about that, so that a viewer need not blur them
_GAP = 2
_PAPER = 255


def grid(images: np.ndarray) -> np.ndarray:
    """uint8 `[rows, columns, H, W, C]` to one image, `[.., .., C]`, with gaps of `2` pixels.

    Small images are enlarged by a whole factor, each pixel a square.
    """
    rows, columns, height, width, channels = images.shape
    factor = max(_SHOWN // max(height, width), 1)
    images = images.repeat(factor, axis=2).repeat(factor, axis=3)
    height, width = height * factor + _GAP, width * factor + _GAP
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, channels), _PAPER, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * height + _GAP, column * width + _GAP
            sheet[top : top + height - _GAP, left : left + width - _GAP] = images[row, column]
    return sheet


def write_png(path: Path, sheet: np.ndarray) -> None:
    """Writes it, atomically; one channel is grey."""
    from PIL import Image

    from tf_jmvae.files import explained, replace_atomically

    image = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_atomically(path, lambda temporary: image.save(temporary, format="PNG"))
