"""Faces in real photographs of CelebA, pasted where they are known to be."""

import pathlib
import sys

import numpy as np
import pytest
import requirements
from PIL import Image

from tf_jmvae.data.celeba import arrays as faces

CELEBA_IMAGES = pathlib.Path(__file__).resolve().parents[2].parent / "shared/data/celeba/img_align_celeba"


@pytest.fixture(scope="module")
def photographs():
    if not CELEBA_IMAGES.is_dir():
        requirements.skip("celeba", f"CelebA's images are not in {CELEBA_IMAGES}")
    return [Image.open(path).convert("RGB") for path in sorted(CELEBA_IMAGES.iterdir())[:40]]


@pytest.fixture(scope="module")
def photograph(photographs):
    """One in which a face is found."""
    return next(image for image in photographs if faces.crop_face(image) is not None)


def _fixed_boxes(monkeypatch, *boxes):
    """A detector that finds these `(left, top, width, height)`."""

    class Cascade:
        def detectMultiScale(self, grey, **_):  # noqa: N802
            return np.array(boxes) if boxes else ()

    monkeypatch.setattr(faces, "_cascade", Cascade)


def _coordinates(width, height):
    """An image whose red and green are its own columns and rows."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return Image.fromarray(np.stack([columns, rows, rows], axis=-1))


def _box(cropped):
    """`(left, top, right, bottom)` of a cut-out of `_coordinates`, both ends included."""
    pixels = np.asarray(cropped)
    return tuple(int(corner[channel]) for corner in (pixels[0, 0], pixels[-1, -1]) for channel in (0, 1))


def _where(cropped, image):
    """`(left, top)` of the only place of the image that has the pixels of the cut-out."""
    pattern, side = np.asarray(cropped), cropped.width
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(image), (side, side, 3))[:, :, 0]
    tops, lefts = np.nonzero((windows[:, :, ::9, ::9] == pattern[::9, ::9]).all(axis=(2, 3, 4)))
    assert len(tops) == 1
    return int(lefts[0]), int(tops[0])


def test_a_face_is_found_in_most_photographs(photographs):
    found = [face for face in map(faces.crop_face, photographs) if face is not None]
    assert len(found) >= 30
    for face in found:
        assert face.width == face.height >= 0.4 * 218


def test_a_found_face_has_eyes_and_mouth_of_the_aligned_picture(photographs):
    """CelebA is aligned: both eyes at (69, 111) and (108, 111), the mouth at y = 152, within a few pixels."""
    inside = 0
    for image in photographs:
        face = faces.crop_face(image)
        if face is not None:
            left, top = _where(face, image)
            inside += left < 69 and left + face.width > 108 and top < 111 and top + face.height > 152
    assert inside >= 30


def test_there_is_no_face_in_noise_or_one_colour():
    noise = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    assert faces.crop_face(Image.fromarray(noise)) is None
    assert faces.crop_face(Image.new("RGB", (178, 218), "gray")) is None
    assert faces.crop_face(Image.new("RGB", (1, 1))) is None


def test_a_face_is_found_where_it_was_put_and_not_if_too_small(photograph):
    background = Image.new("RGB", (250, 250), (90, 120, 150))
    background.paste(photograph, (60, 20))
    face = faces.crop_face(background)
    left, top = _where(face, background)
    assert left < 60 + 69
    assert left + face.width > 60 + 108
    assert top < 20 + 111
    assert top + face.height > 20 + 152
    small = Image.new("RGB", (900, 900), (90, 120, 150))
    small.paste(photograph, (400, 300))
    assert faces.crop_face(small) is None


def test_the_square_is_enlarged_about_its_centre(monkeypatch):
    _fixed_boxes(monkeypatch, (60, 70, 100, 100))
    assert _box(faces.crop_face(_coordinates(200, 220))) == (45, 55, 174, 184)


@pytest.mark.parametrize(
    ("box", "expected"),
    [((0, 0, 100, 100), (0, 0)), ((100, 120, 100, 100), (70, 90)), ((100, 70, 100, 100), (70, 55))],
)
def test_a_square_that_would_leave_the_picture_is_moved_inside(monkeypatch, box, expected):
    _fixed_boxes(monkeypatch, box)
    left, top, right, bottom = _box(faces.crop_face(_coordinates(200, 220)))
    assert (left, top) == expected
    assert (right - left, bottom - top) == (129, 129)


def test_a_square_larger_than_the_picture_is_as_large_as_it(monkeypatch):
    _fixed_boxes(monkeypatch, (0, 10, 178, 178))
    assert _box(faces.crop_face(_coordinates(178, 218))) == (0, 10, 177, 187)


def test_the_largest_is_taken_whatever_their_order(monkeypatch):
    boxes = [(10, 10, 90, 90), (60, 70, 100, 100), (0, 90, 100, 100)]
    results = set()
    for order in (boxes, boxes[::-1], boxes[1:] + boxes[:1]):
        _fixed_boxes(monkeypatch, *order)
        results.add(_box(faces.crop_face(_coordinates(200, 220))))
    assert results == {(45, 55, 174, 184)}  # of the two largest the upper one


@pytest.mark.parametrize(("side", "found"), [(87, False), (88, True)])
def test_a_face_must_be_as_high_as_two_fifths_of_the_picture(monkeypatch, side, found):
    _fixed_boxes(monkeypatch, (20, 20, side, side))
    assert (faces.crop_face(_coordinates(178, 218)) is not None) == found  # 0.4 x 218 = 87.2


def test_without_opencv_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r'needs cv2: pip install "tf-jmvae\[faces\]"'):
        faces.crop_face(Image.new("RGB", (178, 218)))


def test_opencv_without_the_detector_is_as_good_as_none(monkeypatch):
    """OpenCV 5 has moved it out of its wheels."""
    import cv2

    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(ImportError, match=r'needs OpenCV 4: pip install "tf-jmvae\[faces\]"'):
        faces.crop_face(Image.new("RGB", (178, 218)))


def test_the_square_is_enlarged_and_shifted_as_asked(monkeypatch):
    cascade = type("Cascade", (), {"detectMultiScale": lambda self, *args, **options: np.array([[40, 60, 100, 100]])})
    monkeypatch.setattr(faces, "_cascade", cascade)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (218, 178, 3)).astype(np.uint8))
    found = faces.crop_face(picture, enlarge=1.1, shift=-0.2)
    assert np.asarray(found).tobytes() == np.asarray(picture.crop((35, 35, 145, 145))).tobytes()
