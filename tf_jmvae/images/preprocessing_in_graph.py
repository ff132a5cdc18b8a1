"""Preprocessing of images within a graph: decoding of images of any size, and conversion to pixels or PNG.

Everything but the codecs runs on any device. Up to rounding, encoded pictures become what `images.prepared` makes of
them: Pillow's resizing [1], with a kernel that grows with the reduction, first horizontally, then vertically, each
time rounded to whole pixel values.

References:
  [1] Pillow, `src/libImaging/Resample.c`.
"""

import tensorflow as tf

from tf_jmvae.specs import ModalitySpec, Preprocessing

_WHITE = 255.0
_LUMINANCE = (19595, 38470, 7471)  # weights of red, green and blue in 1 / 65536, as in Pillow's conversion to grey
_LOBES = 3.0  # of the Lanczos kernel


def from_bytes(encoded: tf.Tensor, spec: ModalitySpec) -> tf.Tensor:
    """Decodes images, strings `[B]`, to raw values of a modality, `[B, H, W, C]`.

    The formats are PNG, JPEG, GIF (the first frame) and BMP. Unlike in `images.open_rgb`, EXIF orientation is ignored
    and transparent parts are not put on white.
    """
    height, width, channels = spec.event_shape
    black, white = spec.preprocessing.range

    def decode(image: tf.Tensor) -> tf.Tensor:
        pixels = tf.cond(
            tf.io.is_jpeg(image),
            lambda: tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE"),  # as in Pillow
            lambda: tf.io.decode_image(image, channels=3, expand_animations=False),
        )
        pixels = tf.cast(tf.ensure_shape(pixels, (None, None, 3)), tf.int32)
        if channels == 1:
            pixels = (tf.reduce_sum(pixels * _LUMINANCE, axis=-1, keepdims=True) + 2**15) // 2**16
        return _prepared(tf.cast(pixels, tf.float32), height, width, spec.preprocessing)

    pixels = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec((height, width, channels), tf.float32))
    return black + pixels * ((white - black) / _WHITE)


def to_pixels(raw: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Converts raw values of an image, `[..., H, W, C]`, to uint8, clipped at black and white."""
    black, white = preprocessing.range
    pixels = (tf.cast(raw, tf.float32) - black) * (_WHITE / (white - black))
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, _WHITE), tf.uint8)


def to_png(images: tf.Tensor) -> tf.Tensor:
    """Encodes uint8 `[B, H, W, C]` as PNG, strings `[B]`."""
    return tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.TensorSpec((), tf.string))


def _prepared(pixels: tf.Tensor, height: int, width: int, preprocessing: Preprocessing) -> tf.Tensor:
    """Computes `images.prepared`; the weights of an axis that keeps its size are the identity."""
    size = tf.shape(pixels)
    as_it_is = tf.logical_and(tf.equal(size[0], height), tf.equal(size[1], width))
    kept, of = (tf.where(as_it_is, 1, number) for number in preprocessing.crop)
    largest = tf.minimum(size[0], size[1] * height // width), tf.minimum(size[1], size[0] * width // height)
    part = [tf.maximum((2 * side * kept + of) // (2 * of), 1) for side in largest]
    top, left = ((size[axis] - part[axis]) // 2 for axis in (0, 1))
    pixels = pixels[top : top + part[0], left : left + part[1]]
    across = tf.einsum("wj,hjc->hwc", _resizing(part[1], width, preprocessing.kernel), pixels)
    return _whole(tf.einsum("hi,iwc->hwc", _resizing(part[0], height, preprocessing.kernel), _whole(across)))


def _whole(pixels: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.floor(pixels + 0.5), 0.0, _WHITE)


def _resizing(size: tf.Tensor, new_size: int, kernel: str) -> tf.Tensor:
    """Returns resizing weights `[new_size, size]`: the normalised kernel around each new pixel's center."""
    scale = tf.cast(size, tf.float32) / new_size
    stretch = tf.maximum(scale, 1.0)
    centre = (tf.range(new_size, dtype=tf.float32) + 0.5) * scale
    place = tf.cast(tf.range(size), tf.float32) + 0.5
    distance = (place[None] - centre[:, None]) / stretch
    if kernel == "triangle":
        weights = tf.nn.relu(1.0 - tf.abs(distance))
    else:
        sinc = tf.experimental.numpy.sinc
        weights = tf.where(tf.abs(distance) < _LOBES, sinc(distance) * sinc(distance / _LOBES), 0.0)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
