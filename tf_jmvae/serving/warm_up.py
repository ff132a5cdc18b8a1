"""Requests that TF Serving replays while it loads a model, so that the first user does not wait."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_jmvae.serving.signatures import Endpoint

__all__ = ["WARM_UP", "example", "write"]

WARM_UP = "assets.extra/tf_serving_warmup_requests"


def write(folder: Path, name: str, made: Mapping[str, Endpoint]) -> None:
    """Writes a request of one row for every signature into a version's folder, as TFRecords of `PredictionLog`."""
    path = folder / WARM_UP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, endpoint in made.items():
            writer.write(_prediction_log(name, signature, example(endpoint)))


def example(endpoint: Endpoint) -> dict[str, np.ndarray]:
    """One row for each input: zeros, or a small black image."""
    image = np.array([tf.io.encode_png(np.zeros((8, 8, 1), np.uint8)).numpy()], object)
    return {
        name: image if spec.dtype == tf.string else np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in endpoint.inputs.items()
    }


def _prediction_log(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A `PredictionLog` as protocol buffers encode it, so that an export needs no package of TF Serving."""
    model_spec = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key, value in inputs.items():
        request += _field(2, _field(1, key.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString()))
    return _field(6, _field(1, request))  # predict_log.request


def _field(number: int, content: bytes) -> bytes:
    """A field of text, bytes or a message: its number and wire type 2, the length in groups of 7 bits, the content."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
