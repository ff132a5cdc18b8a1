"""Many images as one."""

import numpy as np

__all__ = ["grid"]

_PAPER = 255


def grid(images: np.ndarray, *, factor: int = 1, gap: int = 0) -> np.ndarray:
    """uint8 `[rows, columns, H, W, C]` to one image, `[.., .., C]`, each pixel a square, with white gaps about each."""
    rows, columns, height, width, channels = images.shape
    images = images.repeat(factor, axis=2).repeat(factor, axis=3)
    sides = [(0, 0), (0, 0), (gap, 0), (gap, 0), (0, 0)]
    cells = np.pad(images, sides, constant_values=_PAPER).transpose(0, 2, 1, 3, 4)
    whole = cells.reshape(rows * (factor * height + gap), columns * (factor * width + gap), channels)
    return np.pad(whole, [(0, gap), (0, gap), (0, 0)], constant_values=_PAPER)
