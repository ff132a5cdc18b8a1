"""Attribute editing: change what a photograph shows, and keep the rest.

    w ~ what the model says of x;   w' = w with changes
    x' = x + x'_mean - x_mean,      x_mean = E[p(x | z_mean)], z_mean = E[q(z | w)], and x'_mean likewise from w'

References:
  [1] Suzuki and Matsuo, section 4.6.4 and Fig. 9.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_jmvae import images
from tf_jmvae.data.celeba_arrays import CENTER_CROP
from tf_jmvae.data.faces import crop_face
from tf_jmvae.models import MultimodalVAE

__all__ = ["CROPS", "cropped", "edit", "infer_attributes"]

CROPS = ("none", "center", "face")
_ALIGNED_WIDTH = 178  # of CelebA's pictures
# How the square of OpenCV's cascade becomes the middle square of an aligned picture: medians over CelebA.
_FACE_TO_CENTER = {"enlarge": 1.345, "shift": -0.136}


def edit(
    model: MultimodalVAE,
    image: Any,
    changes: Mapping[str, float],
    *,
    crop: str = "none",
    attributes: str | None = None,
    photograph: str | None = None,
    num_steps: int = 1,
    seed: int = 0,
) -> np.ndarray:
    """The image with some attributes changed, as uint8 RGB of the model's size.

    Args:
      model: one that goes from images to attributes and from attributes to images.
      image: uint8 RGB `[H, W, 3]`, a path, or encoded bytes.
      changes: new values by attribute, e.g. `{"Smiling": 1, "Eyeglasses": -1}`; 2 or -2 exaggerates.
      crop: the part that the model sees, which the face must fill as in the training images. `"none"`: the whole
        middle square; `"center"`: the same part of it as of the aligned pictures of CelebA; `"face"`: that part about
        the face that OpenCV finds (extra `faces`), for any photograph.
      attributes: the modality of the attributes; by default the only one whose `entry_names` are known.
      photograph: the modality of the image; by default the only standardised image.
      num_steps: of iterated sampling, for models that need it.
      seed: of iterated sampling.

    Returns:
      uint8 `[h, w, 3]`, the model's event shape.

    Raises:
      ValueError: an unknown attribute (the message says which may be meant), a model without such modalities, or
        one that lacks a direction.
      OSError: `image` cannot be read.

    Examples:
      >>> edit(model, "portrait.jpg", {"Smiling": 1, "Eyeglasses": -1})
    """
    attributes, photograph = _modalities(model, attributes, photograph)
    indices = [_index(name, model.modalities[attributes].entry_names) for name in changes]
    x, w = _infer(model, image, crop, attributes, photograph, num_steps, seed)
    changed = w.copy()
    changed[:, indices] = list(changes.values())
    generate = {"latent": "mean", "targets": [photograph], "num_steps": num_steps, "seed": seed}
    difference = (
        model.generate({attributes: changed}, **generate)[photograph]
        - model.generate({attributes: w}, **generate)[photograph]
    )
    return model.postprocess({photograph: x + difference})[photograph][0]


def infer_attributes(
    model: MultimodalVAE,
    image: Any,
    *,
    crop: str = "none",
    attributes: str | None = None,
    photograph: str | None = None,
    num_steps: int = 1,
    seed: int = 0,
) -> dict[str, float]:
    """What the model says of an image.

    Args:
      model: one that goes from images to attributes.
      image: uint8 RGB `[H, W, 3]`, a path, or encoded bytes.
      crop: as for `edit`.
      attributes: as for `edit`.
      photograph: as for `edit`.
      num_steps: of iterated sampling, for models that need it.
      seed: of iterated sampling.

    Returns:
      The mean of each attribute by name; its sign says whether it is there.

    Raises:
      ValueError: a model without such modalities, or one that lacks this direction.
      OSError: `image` cannot be read.
    """
    attributes, photograph = _modalities(model, attributes, photograph)
    _, w = _infer(model, image, crop, attributes, photograph, num_steps, seed)
    return dict(zip(model.modalities[attributes].entry_names, map(float, w[0]), strict=True))


def cropped(image: Any, crop: str) -> Image.Image:
    """The square of a photograph that a model sees, RGB, of any size; arguments and errors as for `edit`."""
    if crop not in CROPS:
        raise ValueError(f"crop must be one of {', '.join(map(repr, CROPS))}; got {crop!r}.")
    picture = images.open_rgb(image)
    if crop == "none":
        return images.center_crop(picture)
    if crop == "center":
        return images.center_crop(picture, round(min(picture.size) * CENTER_CROP / _ALIGNED_WIDTH))
    face = crop_face(picture, **_FACE_TO_CENTER)
    if face is None:
        raise ValueError("OpenCV finds no face in the image; let a face fill it, and take its middle (crop='center').")
    return face


def _infer(
    model: MultimodalVAE, image: Any, crop: str, attributes: str, photograph: str, num_steps: int, seed: int
) -> tuple[tf.Tensor, np.ndarray]:
    """The image as the model reads it, `[1, h, w, 3]`, and its attributes, `[1, A]`."""
    square = images.to_array(cropped(image, crop), model.modalities[photograph].event_shape[0])
    x = model.preprocess({photograph: square[None]})[photograph]
    inferred = model.generate({photograph: x}, targets=[attributes], latent="mean", num_steps=num_steps, seed=seed)[
        attributes
    ]
    return x, inferred.numpy()


def _modalities(model: MultimodalVAE, attributes: str | None, photograph: str | None) -> tuple[str, str]:
    """The names of the two modalities, found where they are not given."""
    named = [name for name, modality in model.modalities.items() if modality.entry_names]
    pictures = [name for name in model.standardizations if model.modalities[name].event_shape[-1:] == (3,)]
    found = []
    for option, given, candidates in (("attributes", attributes, named), ("photograph", photograph, pictures)):
        if given is not None and given not in candidates:
            raise ValueError(f"{option}={given!r} is none of the modalities that can be edited: {candidates}.")
        if given is None and len(candidates) != 1:
            raise ValueError(
                "Editing needs a modality of attributes with entry_names and a standardized image of 3 channels; "
                f"found {candidates} for {option}. Pass {option}=... if there are several."
            )
        found.append(given or candidates[0])
    return found[0], found[1]


def _index(name: str, names: tuple[str, ...]) -> int:
    if name in names:
        return names.index(name)
    by_lower = {known.lower(): known for known in names}
    close = [by_lower[match] for match in difflib.get_close_matches(name.lower(), by_lower, n=3)]
    hint = f"Did you mean {' or '.join(close)}?" if close else f"The attributes are {', '.join(names)}."
    raise ValueError(f"Unknown attribute {name!r}. {hint}")
