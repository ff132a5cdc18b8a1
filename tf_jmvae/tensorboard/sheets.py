"""Sheets of captioned pictures, drawn with Pillow."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_jmvae.images.grids import grid

__all__ = ["sheet", "sprite"]

_TILE = 84  # pixels, at least: small digits are enlarged by a whole factor
_GAP, _LINE = 6, 13
_INK = (30, 30, 30)


def sheet(rows: Sequence[np.ndarray], captions: Sequence[Sequence[str]], titles: Sequence[str] = ()) -> np.ndarray:
    """A grid of pictures on white, with a caption of some lines below each column and a title above each row.

    Args:
      rows: uint8 images `[N, H, W, C]` each, N the same in all.
      captions: the lines below each column, N.
      titles: of the rows.

    Returns:
      uint8 `[H, W, 3]`.
    """
    font = ImageFont.load_default(size=10)
    factor = max(1, -(-_TILE // rows[0].shape[2]))
    width = rows[0].shape[2] * factor
    heights = [row.shape[1] * factor + (_LINE + 2 if titles else 0) for row in rows]
    lines = max(map(len, captions), default=0)
    size = (
        len(captions) * (width + _GAP) + _GAP,
        sum(heights) + _GAP * (len(rows) + 1) + lines * _LINE,
    )
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    top = _GAP
    for number, row in enumerate(rows):
        if titles:
            pen.text((_GAP, top - 2), titles[number], fill=_INK, font=font)
        for column, picture in enumerate(row):
            place = (_GAP + column * (width + _GAP), top + (_LINE + 2 if titles else 0))
            canvas.paste(_picture(picture).resize((width, picture.shape[0] * factor), Image.Resampling.NEAREST), place)
        top += heights[number] + _GAP
    for column, texts in enumerate(captions):
        for line, text in enumerate(texts):
            place = (_GAP + column * (width + _GAP), top - 4 + line * _LINE)
            pen.text(place, _fitting(text, width, font), fill=_INK, font=font)
    return np.asarray(canvas)


def sprite(images: np.ndarray) -> Image.Image:
    """Small pictures in a square grid, row by row, as the embedding projector cuts them out.

    Args:
      images: uint8 `[N, H, W, C]`.
    """
    side = math.isqrt(len(images) - 1) + 1
    white = np.full((side**2 - len(images), *images.shape[1:]), 255, np.uint8)
    return _picture(grid(np.concatenate([images, white]).reshape(side, side, *images.shape[1:])))


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image if image.shape[-1] == 3 else image[..., 0]).convert("RGB")


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
