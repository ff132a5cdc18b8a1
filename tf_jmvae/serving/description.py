"""What the model card says of an exported model."""

import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tf_jmvae.models import MultimodalVAE
from tf_jmvae.provenance import environment
from tf_jmvae.serving import card
from tf_jmvae.serving.signatures import Settings

__all__ = ["describe"]


def describe(name: str, model: MultimodalVAE, settings: Settings, folder: Path) -> dict[str, Any]:
    """The content of `model_card.json` but for training and metrics, for the files that are in `folder`."""
    spec = replace(model.spec, name=name, num_steps=int(model.iteration(settings.iterated_sampling).num_steps))
    return {
        "format": card.FORMAT,
        **spec.to_json(),
        "num_samples": settings.num_samples,
        "signatures": _signatures(folder),
        **environment(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": card.file_checksums(folder),
    }


def _signatures(folder: Path) -> dict[str, Any]:
    """Inputs and outputs of every signature, as the SavedModel has them."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return {
        name: {"inputs": _tensors(signature.inputs), "outputs": _tensors(signature.outputs)}
        for name, signature in sorted(saved.meta_graphs[0].signature_def.items())
        if not name.startswith("__")  # TensorFlow's own initialisation
    }


def _tensors(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, Any]:
    return {
        name: {
            "dtype": tf.dtypes.as_dtype(info.dtype).name,
            "shape": [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim],
        }
        for name, info in sorted(infos.items())
    }
