"""A small model with the signatures and the card of an exported one, made without `model.export`."""

import json
import pathlib

import tensorflow as tf

from tf_jmvae.serving import card

TENSOR_X = {"dtype": "float32", "shape": [None, 3]}


class PlainModel(tf.Module):
    """z is the sum of an image x `[2, 2, 1]`, doubled; w is made from it."""

    def __init__(self, scale=2.0):
        super().__init__()
        self.scale = tf.Variable(scale)

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], name="x")])
    def encode(self, x):
        mean = self.scale * tf.reduce_sum(x, axis=(1, 2))
        return {"mean": mean, "standard_deviation": tf.ones_like(mean)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], name="x")])
    def generate(self, x):
        return {"w": tf.nn.softmax(self.encode(x)["mean"] * [[0.0, 1.0, -1.0]])}

    @tf.function(input_signature=[tf.TensorSpec([None, 1], name="z")])
    def decode_as_png(self, z):
        pixels = tf.saturate_cast(tf.tile(z[:, :, None, None], [1, 2, 2, 1]), tf.uint8)
        return {"x_bytes": tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)}


def write(folder, model=None, signatures=None, **changes):
    """Saves a model as the version folder `folder`, with its card; gives the folder."""
    folder = pathlib.Path(folder)
    if model is None:
        model = PlainModel()
        signatures = {
            "serving_default": model.encode,
            "encode": model.encode,
            "encode_from_x": model.encode,
            "generate_w_from_x": model.generate,
            "decode_as_png": model.decode_as_png,
        }
    tf.saved_model.save(model, str(folder), signatures)
    write_card(folder, **changes)
    return folder


def write_card(folder, **changes):
    content = {
        "format": 1,
        "name": "plain",
        "kind": "JMVAEKL",
        "modalities": {
            "x": {
                "event_shape": [2, 2, 1],
                "likelihood": "bernoulli",
                "given": False,
                "standardized": False,
                "entry_names": [],
            },
            "w": {
                "event_shape": [3],
                "likelihood": "categorical",
                "given": False,
                "standardized": False,
                "entry_names": ["no", "perhaps", "yes"],
            },
        },
        "latent_dim": 1,
        "signatures": {
            "encode": {"inputs": {"x": {"dtype": "float32", "shape": [None, 2, 2, 1]}}, "outputs": {"mean": TENSOR_X}}
        },
        "num_steps": 1,
        "num_samples": 100,
        "training": {"epochs": 3},
        "metrics": {"log_likelihood": -1.5},
        "versions": {"tensorflow": "2.21.0"},
        "commit": None,
        "dirty": None,
        "created": "2026-01-01T00:00:00+00:00",
        "files": card.file_checksums(folder),
    }
    (folder / card.CARD).write_text(json.dumps(content | changes))
