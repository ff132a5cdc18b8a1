"""Attribute editing: change what a photograph shows, and keep the rest.

    w ~ what the model says of x;   w' = w with changes
    x' = x + x'_mean - x_mean,      x_mean = E[p(x | z_mean)], z_mean = E[q(z | w)], and x'_mean likewise from w'

The signature `edit_<image>_by_<attributes>` computes it, in `serving.functions`.

References:
  [1] Suzuki and Matsuo, section 4.6.4 and Fig. 9.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae import images
from tf_jmvae._utils import checks
from tf_jmvae.data.celeba.arrays import PREPROCESSING, crop_face
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.serving.local import LiveModel
from tf_jmvae.specs import ModalitySpec, Preprocessing

__all__ = ["CROPS", "edit", "infer_attributes", "seen"]

CROPS = ("training", "none", "center", "face")
# How the square of OpenCV's cascade becomes the middle square of an aligned picture: medians over CelebA.
_FACE_TO_CENTER = {"enlarge": 1.345, "shift": -0.136}


def edit(
    model: MultimodalVAE | InferenceModel,
    image: Any,
    changes: Mapping[str, float],
    *,
    crop: str = "training",
    attributes: str | None = None,
    photograph: str | None = None,
) -> np.ndarray:
    """The image with some attributes changed, as pixels of the model's size.

    Args:
      model: A model that goes from images to attributes and from attributes to images, live or opened.
      image: uint8 RGB array `[H, W, 3]`, a path, or encoded bytes.
      changes: New values by attribute, e.g. `{"Smiling": 1, "Eyeglasses": -1}`; 2 or -2 exaggerates.
      crop: Part of the picture that the model sees, which the face must fill as in the training images. `"training"`,
        the default: the part that was taken of the training pictures; `"none"`: the whole middle; `"center"`: the same
        part of it as of the aligned pictures of CelebA; `"face"`: that part about the face that OpenCV finds (extra
        `faces`), for any photograph. An image of exactly the model's size is taken as it is.
      attributes: Name of the modality of the attributes; by default the only one that images can be edited by.
      photograph: Name of the modality of the image; by default the only one.

    Returns:
      uint8 `[h, w, 3]`, the model's event shape.

    Raises:
      ValueError: an unknown attribute (the message says which may be meant), a model without such modalities, or
        one that lacks a direction.
      OSError: `image` cannot be read.

    Examples:
      >>> edit(model, "portrait.jpg", {"Smiling": 1, "Eyeglasses": -1})
    """
    return _edit(model, image, changes, crop, attributes, photograph)[0]


def infer_attributes(
    model: MultimodalVAE | InferenceModel,
    image: Any,
    *,
    crop: str = "training",
    attributes: str | None = None,
    photograph: str | None = None,
) -> dict[str, float]:
    """Attributes that the model sees in an image.

    Args:
      model: A model that goes from images to attributes, and back.
      image: uint8 RGB array `[H, W, 3]`, a path, or encoded bytes.
      crop: Part of the picture, as for `edit`.
      attributes: Name of the modality of the attributes, as for `edit`.
      photograph: Name of the modality of the image, as for `edit`.

    Returns:
      The mean of each attribute by name; its sign says whether it is there.

    Raises:
      ValueError: a model without such modalities, or one that lacks a direction.
      OSError: `image` cannot be read.
    """
    return _edit(model, image, {}, crop, attributes, photograph)[1]


def seen(image: Any, spec: ModalitySpec, crop: str = "training") -> np.ndarray:
    """Part of a photograph that a model sees, uint8 `[h, w, C]`; arguments and errors as for `edit`."""
    checks.check_option("crop", crop, CROPS)
    picture = images.open_rgb(image)
    how = spec.preprocessing
    if crop == "face":
        picture = crop_face(picture, **_FACE_TO_CENTER)
        if picture is None:
            raise ValueError(
                "OpenCV finds no face in the image; let a face fill it, and take its middle (crop='center')."
            )
    if crop != "training":
        how = Preprocessing(PREPROCESSING["center"].crop if crop == "center" else (1, 1), how.kernel, how.range)
    return images.prepared(picture, spec.event_shape, how)


def _opened(model: MultimodalVAE) -> LiveModel:
    """The live model of the last edit where nothing has changed, so that many edits trace one function."""
    live = getattr(model, "_opened", None)
    if live is None or live.iterated_sampling != model.iterated_sampling:
        model._opened = live = LiveModel(model)
    return live


def _edit(model, image, changes, crop, attributes, photograph) -> tuple[np.ndarray, dict[str, float]]:
    """The edited image, and the attributes that the model saw; arguments as for `edit`."""
    opened = model if isinstance(model, InferenceModel) else _opened(model)
    photograph, attributes = opened.editable(photograph, attributes)
    encoded = tf.io.encode_png(seen(image, opened.modalities[photograph], crop)).numpy()
    return opened.edit(encoded, changes, attributes=attributes, photograph=photograph)
