"""The largest face of a photograph, found by OpenCV's Haar cascade (extra `faces`)."""

import math
import threading
from typing import Any

import numpy as np
from PIL import Image

from tf_jmvae._utils.extras import extra

__all__ = ["ENLARGE", "MIN_HEIGHT", "crop_face"]

ENLARGE = 1.3
"""The cascade's square ends at brows and chin; so much larger it holds hair and jaw as well."""
MIN_HEIGHT = 0.4
"""Of the image's height: in aligned pictures anything smaller is a false find, as the paper's authors took it to be."""

_CASCADE = "haarcascade_frontalface_default.xml"
_threads = threading.local()  # a cascade must not be used by two threads at once


def crop_face(image: Image.Image, *, enlarge: float = ENLARGE, shift: float = 0.0) -> Image.Image | None:
    """A square around the largest frontal face of an RGB image; None if none is as high as `MIN_HEIGHT` of it.

    The found square is moved down by `shift` of its height (negative is up) and enlarged about its centre; where it
    would leave the picture it is moved inside, and made as small as the picture if it must be. Raises `ImportError`
    without OpenCV 4.
    """
    smallest = math.ceil(MIN_HEIGHT * image.height)
    boxes = _cascade().detectMultiScale(
        np.asarray(image.convert("L")), scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest)
    )
    boxes = [tuple(map(int, box)) for box in boxes if box[3] >= smallest]
    if not boxes:
        return None
    # OpenCV's own threads find them in any order, so of two equals the upper, then the left one.
    left, top, width, height = min(boxes, key=lambda box: (-box[3], box[1], box[0]))
    side = min(round(enlarge * max(width, height)), *image.size)
    centre = left + width / 2, top + height / 2 + shift * height
    left, top = (
        min(max(math.floor(middle - side / 2 + 0.5), 0), length - side)
        for middle, length in zip(centre, image.size, strict=True)
    )
    return image.crop((left, top, left + side, top + side))


def _cascade() -> Any:
    """A cv2.CascadeClassifier of this thread's own."""
    with extra("faces", "Finding faces, unlike crop='center',"):
        import cv2

        if not hasattr(cv2, "CascadeClassifier"):
            raise ModuleNotFoundError(f"OpenCV {cv2.__version__} has no face detector", name="OpenCV 4")
    if not hasattr(_threads, "cascade"):
        _threads.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + _CASCADE)
    return _threads.cascade
