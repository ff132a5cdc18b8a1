"""Sheets of captioned pictures, drawn with Pillow."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_jmvae.images.preprocessing import grid

__all__ = ["sheet", "sprite"]

_TILE = 84  # pixels, at least: small digits are enlarged by a whole factor
_GAP, _LINE, _TITLE = 6, 13, 15
_INK = (30, 30, 30)


def sheet(rows: Sequence[np.ndarray], captions: Sequence[Sequence[str]], titles: Sequence[str]) -> np.ndarray:
    """A grid of pictures on white, uint8 `[H, W, 3]`, with lines of text below each column and a title above each row.

    Each row has uint8 images `[N, H, W, C]`, N the same in all, and there are N captions.
    """
    font = ImageFont.load_default(size=10)
    factor = max(1, -(-_TILE // rows[0].shape[2]))
    width = rows[0].shape[2] * factor
    strips = [_picture(grid(row[None], factor=factor, gap=_GAP)) for row in rows]
    lines = max(map(len, captions), default=0)
    height = sum(strip.height + _TITLE for strip in strips) + lines * _LINE
    canvas = Image.new("RGB", (strips[0].width, height), "white")
    pen, top = ImageDraw.Draw(canvas), 0
    for title, strip in zip(titles, strips, strict=True):
        pen.text((_GAP, top + 4), title, fill=_INK, font=font)
        canvas.paste(strip, (0, top + _TITLE))
        top += _TITLE + strip.height
    for column, texts in enumerate(captions):
        for line, text in enumerate(texts):
            place = (_GAP + column * (width + _GAP), top - 4 + line * _LINE)
            pen.text(place, _fitting(text, width, font), fill=_INK, font=font)
    return np.asarray(canvas)


def sprite(images: np.ndarray) -> Image.Image:
    """Small pictures, uint8 `[N, H, W, C]`, in a square grid, row by row, as the embedding projector cuts them out."""
    side = math.isqrt(len(images) - 1) + 1
    white = np.full((side**2 - len(images), *images.shape[1:]), 255, np.uint8)
    return _picture(grid(np.concatenate([images, white]).reshape(side, side, *images.shape[1:])))


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image if image.shape[-1] == 3 else image[..., 0]).convert("RGB")


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    shown = text
    while text and font.getlength(shown) > width:
        text = text[:-1]
        shown = f"{text}…"
    return shown
