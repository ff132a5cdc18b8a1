"""Attribute editing: changes attributes of a photograph and keeps the rest.

    w = the attributes predicted from x;   w' = w with changes
    x' = x + x'_mean - x_mean,      x_mean = E[p(x | z_mean)], z_mean = E[q(z | w)], and x'_mean likewise from w'

The signature `edit_<image>_by_<attributes>` in `serving.functions` computes it.

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
from tf_jmvae.models import MultimodalVAE, compiled
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.serving.local import LiveModel
from tf_jmvae.specs import ModalitySpec, Preprocessing

__all__ = ["CROPS", "edit", "infer_attributes", "seen"]

CROPS = ("training", "none", "center", "face")
# Maps the square of OpenCV's cascade to the center square of an aligned photograph: medians over CelebA.
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
    """Edits attributes of an image, and returns pixel values of the model's size.

    Args:
      model: `MultimodalVAE` or opened model that generates attributes from images and images from attributes.
      image: uint8 RGB array `[H, W, 3]`, a path, or encoded bytes.
      changes: dict of new values by attribute, e.g. `{"Smiling": 1, "Eyeglasses": -1}`; 2 or -2 exaggerates.
      crop: part of the photograph that the model sees, which the face must fill as in the training images.
        `"training"`, the default, is the crop of the training images; `"none"` is the whole center square; `"center"`
        is the part of it that is used of the aligned photographs of CelebA; `"face"` is the same part around the face
        that OpenCV finds (extra `faces`), for any photograph. An image of exactly the model's size is not cropped.
      attributes: name of the modality of the attributes; by default the only one with named attributes.
      photograph: name of the modality of the image; by default the only image modality.

    Returns:
      uint8 array `[h, w, 3]`, the model's event shape.

    Raises:
      ValueError: if an attribute is unknown (the message suggests similar names), or the model lacks such modalities or
        one of the directions.
      OSError: if `image` cannot be read.

    Examples:
      >>> edit(model, "portrait.jpg", {"Smiling": 1, "Eyeglasses": -1})
    """
    return edited(model, image, changes, crop, attributes, photograph)[0]


def infer_attributes(
    model: MultimodalVAE | InferenceModel,
    image: Any,
    *,
    crop: str = "training",
    attributes: str | None = None,
    photograph: str | None = None,
) -> dict[str, float]:
    """Predicts the attributes of an image.

    Args:
      model: `MultimodalVAE` or opened model, as for `edit`.
      image: uint8 RGB array `[H, W, 3]`, a path, or encoded bytes.
      crop: part of the photograph, as for `edit`.
      attributes: name of the modality of the attributes, as for `edit`.
      photograph: name of the modality of the image, as for `edit`.

    Returns:
      Dict of the mean of each attribute by name; its sign says whether the attribute is present.

    Raises:
      ValueError: if the model lacks such modalities or one of the directions.
      OSError: if `image` cannot be read.
    """
    return edited(model, image, {}, crop, attributes, photograph)[1]


def edited(
    model: MultimodalVAE | InferenceModel,
    image: Any,
    changes: Mapping[str, float],
    crop: str = "training",
    attributes: str | None = None,
    photograph: str | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    """Returns the edited image and the attributes predicted from the original; arguments and errors as for `edit`."""
    opened = model if isinstance(model, InferenceModel) else _opened(model)
    photograph, attributes = opened.editable(photograph, attributes)
    encoded = tf.io.encode_png(seen(image, opened.modalities[photograph], crop)).numpy()
    return opened.edit(encoded, changes, attributes=attributes, photograph=photograph)


def seen(image: Any, spec: ModalitySpec, crop: str = "training") -> np.ndarray:
    """Returns the part of a photograph that a model sees, uint8 `[h, w, C]`; arguments and errors as for `edit`."""
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
    """Returns the cached live model, so that many edits trace one function."""
    return compiled.remembered(model, "opened", lambda: LiveModel(model))
