"""Preprocessing of drawings and photographs like the model's training images."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from tf_jmvae import editing, images
from tf_jmvae.demo.interface import DemoModel, InputError

_PAPER = 0.25  # fraction of the darkest ink below which it is shadow or the grain of paper
_FAINTEST = 32  # smallest difference of pixel values between ink and paper
_PARTS = {
    "training": "Cropped as the training pictures were",
    "none": "The largest centred part of the picture",
    "center": "The centre of the picture, cropped as for CelebA",
    "face": "Cropped around the face",
}
_BOX = 20 / 28  # fraction of the image's side: the box of MNIST's digits


class PictureError(InputError):
    """Error of a picture that cannot be read, with a message for the user."""


class Prepared(NamedTuple):
    """Preprocessed picture, as the model sees it."""

    pixels: np.ndarray  # uint8 [H, W, C], the model's event shape
    note: str  # description of the preprocessing


def prepare(
    source: str | bytes | os.PathLike | np.ndarray | None, model: DemoModel, crop: str = "training"
) -> Prepared:
    """Preprocesses a picture like the model's training images.

    `source` is a file or its content, where transparent parts are paper, or uint8 pixel values `[H, W, C]` of the
    model's size. `crop` of photographs is one of `tf_jmvae.editing.CROPS`. Raises `PictureError` if there is no
    picture, or it is empty, damaged or too large.
    """
    if source is None:
        raise PictureError("There is no picture yet: draw one, upload one, or take an example.")
    field = model.fields[model.picture]
    height, width, channels = field.event_shape
    if isinstance(source, np.ndarray) and source.shape == field.event_shape:
        return _binarised(source, model, "A picture of the model's own size, used as it is")
    try:
        picture = images.open_rgb(source)
        if channels == 3:
            shown = editing.seen(np.asarray(picture), field, crop)
            return Prepared(shown, f"{_PARTS[crop]}, {width} x {height} pixels.")
    except (OSError, ValueError, ImportError) as error:
        message = str(error)
        if isinstance(source, str | os.PathLike):  # the name of the temporary folder is of no use to the user
            message = message.replace(str(source), Path(source).name)
        raise PictureError(message) from error
    grey = picture.convert("L")
    if model.handwriting is None or height != width:
        pixels = images.prepared(grey, field.event_shape, field.preprocessing)[..., 0]
        note = f"The centre of the picture, in grey-scale, {width} x {height} pixels"
    elif grey.size == (width, height) and _paper(grey) < 128:
        pixels, note = np.asarray(grey), f"Already {width} x {height} and white on black: used as it is"
    else:
        pixels = as_mnist(grey, width, box=1.0 if model.handwriting == "digits" else _BOX)
        note = "Made white on black, cut out, scaled like MNIST's digits and centred by mass"
    return _binarised(pixels[..., None], model, note)


def _binarised(pixels: np.ndarray, model: DemoModel, note: str) -> Prepared:
    """Binarises pixel values for models of MNIST, which are trained on black and white."""
    if model.handwriting != "mnist":
        return Prepared(pixels, f"{note}.")
    return Prepared(np.where(pixels >= 128, 255, 0).astype(np.uint8), f"{note}, then binarised.")


def as_mnist(grey: Image.Image, size: int, box: float = _BOX) -> np.ndarray:
    """Converts ink on paper of any shades to white on black, uint8 `[size, size]`, like MNIST.

    The ink is cut out, scaled with antialiasing to fit a box of `box * size` pixels with its proportions kept, and
    moved so that its center of mass is as close to the image's center as possible. Raises `PictureError` if nothing
    stands out from the paper.
    """
    ink = np.asarray(grey, np.float32)
    paper = _paper(grey)
    ink = np.clip(paper - ink if paper >= 128 else ink - paper, 0, None)
    if ink.max() < _FAINTEST:
        raise PictureError("The picture is empty: draw or choose a digit that stands out from its background.")
    ink = ink / ink.max()
    ink[ink < _PAPER] = 0
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = round(box * size) / max(cut.size)
    small = cut.resize([max(1, round(side * scale)) for side in cut.size], Image.Resampling.LANCZOS)
    values = np.clip(np.asarray(small), 0, None)
    values = values / values.max()  # shrinking makes thin lines faint
    canvas = np.zeros((size, size), np.float32)
    centre = np.array([(values * (at + 0.5)).sum() for at in np.indices(values.shape)]) / values.sum()
    top, left = np.clip(np.round(size / 2 - centre), 0, np.subtract(size, values.shape)).astype(int)
    canvas[top : top + values.shape[0], left : left + values.shape[1]] = values
    return np.round(255 * np.clip(canvas, 0, 1)).astype(np.uint8)


def _paper(grey: Image.Image) -> float:
    """Computes the pixel value of the background, the median along the border."""
    pixels = np.asarray(grey)
    return float(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))
