"""CelebA's photographs as arrays on disk: cropped to the center or to a detected face, resized and written."""

import collections
import concurrent.futures
import math
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
from PIL import Image

from tf_jmvae import images
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import write_json
from tf_jmvae.specs import Preprocessing

PREPROCESSING = {
    "center": Preprocessing(crop=(148, 178), range=(0.0, 255.0)),
    "face": Preprocessing(range=(0.0, 255.0)),
}
"""`Preprocessing` of photographs by crop. The center crop keeps a square of 148 pixels of an aligned photograph of
178 x 218: from the hair to the chin, without most of the background; the usual crop of generative models of CelebA at
64 x 64. The face crop keeps all of the detected square."""

ENLARGE = 1.3
"""Factor that enlarges the cascade's square, from brows to chin, to include hair and jaw."""
MIN_HEIGHT = 0.4
"""Smallest face as a fraction of the image's height: smaller ones are false positives, as in the paper."""

_CASCADE = "haarcascade_frontalface_default.xml"
_threads = threading.local()  # a cascade must not be used by two threads at once
_LOOK_AHEAD = 64  # number of images in memory at a time


class Picture(NamedTuple):
    """Photograph that is not decoded: `source` is a path or bytes."""

    name: str
    source: pathlib.Path | bytes
    attributes: np.ndarray
    partition: int


Collection = tuple[Iterable[Picture], int, dict[str, Any]]
"""Iterable of the pictures, their number, and the entries of the report about them."""


def crop_face(image: Image.Image, *, enlarge: float = ENLARGE, shift: float = 0.0) -> Image.Image | None:
    """Crops a square around the largest frontal face of an RGB image; None if none is `MIN_HEIGHT` high.

    The detected square is moved down by the fraction `shift` of its height (negative is up) and enlarged about its
    center; then it is moved and, if necessary, shrunk to lie within the image. Raises `ImportError` without OpenCV 4.
    """
    smallest = math.ceil(MIN_HEIGHT * image.height)
    boxes = _cascade().detectMultiScale(
        np.asarray(image.convert("L")), scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest)
    )
    boxes = [tuple(map(int, box)) for box in boxes if box[3] >= smallest]
    if not boxes:
        return None
    # OpenCV's threads return faces in any order, so ties go to the upper, then the left one.
    left, top, width, height = min(boxes, key=lambda box: (-box[3], box[1], box[0]))
    side = min(round(enlarge * max(width, height)), *image.size)
    centre = left + width / 2, top + height / 2 + shift * height
    left, top = (
        min(max(math.floor(middle - side / 2 + 0.5), 0), length - side)
        for middle, length in zip(centre, image.size, strict=True)
    )
    return image.crop((left, top, left + side, top + side))


def write(folder: pathlib.Path, collection: Collection, image_size: int, crop: str, strict: bool, verbose: int) -> None:
    """Writes `images.npy`, `attributes.npy`, `partition.npy` and the report, `info.json`, into the folder.

    Raises `ValueError` if no image is left, or if one is broken and `strict` is True.
    """

    def decode(picture: Picture) -> tuple[Picture, np.ndarray | None, Exception | None]:
        try:
            seen = images.open_rgb(picture.source)
            seen = crop_face(seen) if crop == "face" else seen
            shape = (image_size, image_size, 3)
            return picture, None if seen is None else images.prepared(seen, shape, PREPROCESSING[crop]), None
        except (OSError, ValueError) as error:
            return picture, None, error

    pictures, size, report = collection
    kept, broken, first_error = [], [], None
    progress = keras.utils.Progbar(size, verbose=verbose, unit_name="image")
    # Written as a file, because a memory map would kill the process on a full disk.
    with (folder / "images.npy").open("wb") as file:
        _write_header(file, (size, image_size, image_size, 3))
        for done, (picture, pixels, error) in enumerate(_parallel(decode, pictures), start=1):
            if error is not None:
                if strict:
                    raise ValueError(f"CelebA: {picture.name} is broken: {error}") from error
                broken.append(picture.name)
                first_error = first_error or error
            elif pixels is not None:
                kept.append(picture)
                file.write(pixels.tobytes())
            if done % _LOOK_AHEAD == 0 or done == size:
                progress.update(done)
        if not kept:
            raise ValueError(
                f"CelebA: none of {size} images is left: {len(broken)} are broken, {size - len(broken)} have no face."
            ) from first_error
        file.seek(0)
        _write_header(file, (len(kept), image_size, image_size, 3))
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / "attributes.npy", np.stack([picture.attributes for picture in kept]))
    np.save(folder / "partition.npy", np.array([picture.partition for picture in kept], np.int8))
    faces_found = len(kept) if crop == "face" else None
    outcome = {"prepared": len(kept), "broken": broken, "faces_found": faces_found}
    write_json(folder / "info.json", report | outcome | {"crop": crop, "image_size": image_size})


def _parallel(function: Callable[[Picture], Any], pictures: Iterable[Picture]) -> Iterator[Any]:
    """Maps in threads, in order, at most `_LOOK_AHEAD` at a time; Pillow releases the GIL to decode."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = collections.deque()
        for picture in pictures:
            waiting.append(pool.submit(function, picture))
            if len(waiting) == _LOOK_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    """Writes a .npy header, whose size does not depend on the first length because NumPy pads it."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _cascade() -> Any:
    """Returns this thread's cv2.CascadeClassifier."""
    with extra("faces", "Finding faces, unlike crop='center',"):
        import cv2

        if not hasattr(cv2, "CascadeClassifier"):
            raise ModuleNotFoundError(f"OpenCV {cv2.__version__} has no face detector", name="OpenCV 4")
    if not hasattr(_threads, "cascade"):
        _threads.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + _CASCADE)
    return _threads.cascade
