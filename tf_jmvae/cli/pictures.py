"""Images as one PNG: a row for each example, a column for each sample."""

from pathlib import Path

import numpy as np

__all__ = ["grid", "write_png"]

_SHOWN = 112  # pixels: small images are enlarged to about that, so that a viewer need not blur them


def grid(images: np.ndarray) -> np.ndarray:
    """uint8 `[rows, columns, H, W, C]` to one image, `[.., .., C]`, with gaps; small images are enlarged."""
    from tf_jmvae.images import grids

    return grids.grid(images, factor=max(_SHOWN // max(images.shape[2:4]), 1), gap=2)


def write_png(path: Path, sheet: np.ndarray) -> None:
    """Writes it, atomically; one channel is grey."""
    from PIL import Image

    from tf_jmvae.files import replace_atomically

    image = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    replace_atomically(path, lambda temporary: image.save(temporary, format="PNG"))
