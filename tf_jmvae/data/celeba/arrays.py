"""CelebA's photographs as arrays on disk: cropped, by default or to the face that OpenCV finds, resized and written."""

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
"""How images are made of pictures, by crop. Of an aligned 178 x 218 picture a square of 148 pixels is kept: from the
hair to the chin, without most of the background; the customary crop of generative models of CelebA at 64 x 64. Of a
face that is found, all."""

ENLARGE = 1.3
"""The cascade's square ends at brows and chin; so much larger it holds hair and jaw as well."""
MIN_HEIGHT = 0.4
"""Of the image's height: in aligned pictures anything smaller is a false find, as the paper's authors took it to be."""

_CASCADE = "haarcascade_frontalface_default.xml"
_threads = threading.local()  # a cascade must not be used by two threads at once
_LOOK_AHEAD = 64  # images in memory at a time


class Picture(NamedTuple):
    """Not yet decoded: `source` is a path or bytes."""

    name: str
    source: pathlib.Path | bytes
    attributes: np.ndarray
    partition: int


Collection = tuple[Iterable[Picture], int, dict[str, Any]]
"""The pictures one by one, their number, and what the report says of them."""


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


def write(folder: pathlib.Path, collection: Collection, image_size: int, crop: str, strict: bool, verbose: int) -> None:
    """Writes `images.npy`, `attributes.npy`, `partition.npy` and the report, `info.json`, into the folder.

    Raises `ValueError` if no image is left, or one is broken and `strict`.
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
    # Written as a file and not through a memory map: on a full disk that would kill the process.
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
                f"CelebA: none of {size} images is left: {len(broken)} are broken, {size - len(broken)} without a face."
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
    """`map` in threads, in order, at most `_LOOK_AHEAD` at a time; Pillow decodes without Python's lock."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = collections.deque()
        for picture in pictures:
            waiting.append(pool.submit(function, picture))
            if len(waiting) == _LOOK_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    """NumPy pads the header, so that one with another first length takes the same room."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _cascade() -> Any:
    """A cv2.CascadeClassifier of this thread's own."""
    with extra("faces", "Finding faces, unlike crop='center',"):
        import cv2

        if not hasattr(cv2, "CascadeClassifier"):
            raise ModuleNotFoundError(f"OpenCV {cv2.__version__} has no face detector", name="OpenCV 4")
    if not hasattr(_threads, "cascade"):
        _threads.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + _CASCADE)
    return _threads.cascade
