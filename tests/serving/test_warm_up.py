"""Warm-up requests are encoded by hand: TF Serving's own classes read the same from them."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tf_jmvae.serving import signatures
from tf_jmvae.serving.export import WARM_UP, write_warm_up


@pytest.mark.parametrize("size", [1, 24, 25, 3000, 600_000])  # lengths of one byte, two, three and four
def test_a_request_is_what_tensorflow_serving_would_write(size, tmp_path):
    inputs = {"x": tf.TensorSpec((None, size)), "seed": tf.TensorSpec((None, 2), tf.int32)}
    made = signatures.Endpoint(tf.function(lambda inputs: inputs), inputs, inputs)
    write_warm_up(tmp_path, "ziffern_ä", {"generate_x": made})
    expected = prediction_log_pb2.PredictionLog()
    request = expected.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = "ziffern_ä", "generate_x"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros((1, size), np.float32)))
    request.inputs["seed"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 2), np.int32)))
    (record,) = tf.data.TFRecordDataset(str(tmp_path / WARM_UP)).as_numpy_iterator()
    assert prediction_log_pb2.PredictionLog.FromString(record) == expected
