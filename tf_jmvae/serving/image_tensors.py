"""Images in the graph: encoded ones in, of any size, and pixels or PNG out.

Everything but the codecs themselves runs on any device.
"""

import tensorflow as tf

from tf_jmvae import heads
from tf_jmvae.modality import Modality
from tf_jmvae.models import MultimodalVAE

__all__ = ["from_bytes", "is_image", "to_png", "to_uint8"]

_WHITE = 255.0
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue


def is_image(modality: Modality) -> bool:
    """Whether its events are grey or RGB images, `[H, W, 1]` or `[H, W, 3]`, and neither classes nor counts."""
    is_grid = len(modality.event_shape) == 3 and modality.event_shape[-1] in (1, 3)
    return is_grid and not isinstance(modality.head, heads.Categorical | heads.Poisson)


def from_bytes(model: MultimodalVAE, name: str, encoded: tf.Tensor) -> tf.Tensor:
    """What the model reads, `[B, H, W, C]`, from encoded images, string `[B]`.

    The largest square in the middle, or rather the largest part with the sides' ratio H : W, is resized
    with antialiasing. Then it is standardised where the modality is, else 255 becomes 1.

    Args:
      model: whose modality it is.
      name: the modality's.
      encoded: PNG, JPEG, GIF (its first frame) or BMP.
    """
    height, width, channels = model.modalities[name].event_shape

    def decode(image: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_image(image, channels=3, expand_animations=False)
        pixels = _middle(tf.cast(tf.ensure_shape(pixels, (None, None, 3)), tf.float32), height, width)
        if channels == 1:
            pixels = tf.reduce_sum(pixels * _LUMINANCE, axis=-1, keepdims=True)
        rows = tf.einsum("hi,iwc->hwc", _resizing(tf.shape(pixels)[0], height), pixels)
        return tf.einsum("wj,hjc->hwc", _resizing(tf.shape(pixels)[1], width), rows)

    pixels = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec((height, width, channels), tf.float32))
    if name in model.standardizations:
        return model.standardizations[name](pixels)
    return pixels / _WHITE


def to_uint8(model: MultimodalVAE, name: str, values: tf.Tensor) -> tf.Tensor:
    """The model's images, `[B, H, W, C]`, as uint8."""
    standardization = model.standardizations.get(name)
    pixels = values * _WHITE if standardization is None else standardization.inverse(values)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, _WHITE), tf.uint8)


def to_png(images: tf.Tensor) -> tf.Tensor:
    """uint8 `[B, H, W, C]` to PNG, string `[B]`."""
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.TensorSpec((), tf.string))


def _middle(pixels: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The largest part about the middle whose sides have the ratio height : width."""
    size = tf.shape(pixels)
    cropped_height = tf.maximum(tf.minimum(size[0], size[1] * height // width), 1)
    cropped_width = tf.maximum(tf.minimum(size[1], size[0] * width // height), 1)
    top, left = (size[0] - cropped_height) // 2, (size[1] - cropped_width) // 2
    return pixels[top : top + cropped_height, left : left + cropped_width]


def _resizing(size: tf.Tensor, new_size: int) -> tf.Tensor:
    """Weights `[new_size, size]` of bilinear resizing with antialiasing: a triangle about each new pixel's place."""
    scale = tf.cast(size, tf.float32) / new_size
    centre = (tf.range(new_size, dtype=tf.float32) + 0.5) * scale
    place = tf.cast(tf.range(size), tf.float32) + 0.5
    weights = tf.nn.relu(1.0 - tf.abs(place[None] - centre[:, None]) / tf.maximum(scale, 1.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
