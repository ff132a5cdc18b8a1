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
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / WARM_UP
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, endpoint in made.items():
            record = prediction_log_pb2.PredictionLog()
            request = record.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, value in example(endpoint).items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(record.SerializeToString())


def example(endpoint: Endpoint) -> dict[str, np.ndarray]:
    """One row for each input: zeros, or a small black image."""
    image = np.array([tf.io.encode_png(np.zeros((8, 8, 1), np.uint8)).numpy()], object)
    return {
        name: image if spec.dtype == tf.string else np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in endpoint.inputs.items()
    }
