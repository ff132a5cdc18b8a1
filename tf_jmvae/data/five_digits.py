"""Five views of a digit: five MNIST images of one class, each on random crops of a different picture.

The dataset is like PolyMNIST [1], which cannot be made from packages alone, but results are not comparable. The views
of a row have only the class in common.

References:
  [1] Sutter, Daunhawer and Vogt, Generalized multimodal ELBO, 2021 (arXiv 2105.02470).
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from tf_jmvae._utils.extras import extra
from tf_jmvae.data import digits
from tf_jmvae.data.prepared import cache_folder, load_or_prepare
from tf_jmvae.data.sources import Source
from tf_jmvae.registry import DATASETS
from tf_jmvae.specs import Preprocessing

PICTURES = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "hubble": "hubble_deep_field.jpg",
    "tissue": "ihc.png",
}
"""File in scikit-image's wheel of the background picture of each view, by modality."""

_SIDE = 28
_CLASSES = 10
_BATCH = 4096


@DATASETS.register("five-digits")
def five_digits(data_dir: str | os.PathLike | None = None, seed: int = 0) -> Source:
    """Loads RGB images `[N, 28, 28, 3]`, uint8, by the name of their picture, and labels w; 60,000 and 10,000 rows.

    In a random crop of the picture, the pixels of the digit (above 0.5) are inverted. The five digits of a row are five
    images of one class; each MNIST image is used once in each view. Equal seeds give equal bytes. The arrays, 820 MB in
    all, are made once, cached in `prepared.cache_folder()`, and memory-mapped.

    Args:
      data_dir: folder of MNIST's files, as for `digits.read`; None by default.
      seed: integer seed of the combinations of digits and of the crops; 0 by default.

    Raises:
      ImportError: if scikit-image is missing, which comes with the extra `data`.
      OSError: as for `digits.read`, or if the cached copy cannot be written.
    """
    pictures, splits = _pictures(), digits.read(data_dir)
    content = hashlib.blake2b(digest_size=8)
    for values in (*(part for split in splits for part in split), *pictures.values(), np.array([seed])):
        content.update(np.ascontiguousarray(values))
    folder = cache_folder() / f"five_digits-{content.hexdigest()}"

    def prepare(temporary: pathlib.Path) -> None:
        for name, random in zip(("train", "test"), np.random.default_rng(seed).spawn(2), strict=True):
            images, labels = splits[name == "test"]
            for (view, picture), own in zip(pictures.items(), random.spawn(len(pictures)), strict=True):
                np.save(temporary / f"{name}-{view}.npy", _drawn(images, labels, picture, own))

    def load(place: pathlib.Path) -> Source:
        parts = []
        for name, (_, labels) in zip(("train", "test"), splits, strict=True):
            part = {view: np.load(place / f"{name}-{view}.npy", mmap_mode="r") for view in PICTURES}
            wrong = [view for view, values in part.items() if values.shape != (len(labels), _SIDE, _SIDE, 3)]
            if wrong:
                raise ValueError(f"{place} is damaged: {name} of {', '.join(wrong)}.")
            parts.append({**part, "w": np.eye(_CLASSES, dtype=np.float32)[labels]})
        preprocessing = dict.fromkeys(PICTURES, Preprocessing(range=(0.0, 255.0)))
        return Source(*parts, preprocessing=preprocessing, class_names=tuple("0123456789"))

    return load_or_prepare(folder, prepare, load)


def _pictures() -> Mapping[str, np.ndarray]:
    """Loads the RGB pictures, uint8 `[H, W, 3]`, by view."""
    with extra("data", "The dataset five-digits"):
        import skimage
    folder = pathlib.Path(skimage.__file__).parent / "data"
    return {view: np.asarray(Image.open(folder / file).convert("RGB")) for view, file in PICTURES.items()}


def _drawn(images: np.ndarray, labels: np.ndarray, picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draws for each row another image of its class on a crop of the picture, uint8 `[N, 28, 28, 3]`."""
    order = np.empty(len(labels), int)
    for number in range(_CLASSES):
        rows = np.flatnonzero(labels == number)
        order[rows] = random.permutation(rows)
    tops, lefts = (random.integers(0, size - _SIDE + 1, len(labels)) for size in picture.shape[:2])
    crops = np.lib.stride_tricks.sliding_window_view(picture, (_SIDE, _SIDE), axis=(0, 1))  # [.., .., 3, 28, 28]
    drawn = np.empty((len(labels), _SIDE, _SIDE, 3), np.uint8)
    for start in range(0, len(labels), _BATCH):
        rows = slice(start, start + _BATCH)
        background = crops[tops[rows], lefts[rows]].transpose(0, 2, 3, 1)
        drawn[rows] = np.where(images[order[rows]] > 0.5, 255 - background, background)
    return drawn
