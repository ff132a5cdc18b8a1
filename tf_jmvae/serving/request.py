"""Signatures, and requests that fit them: names, shapes, types and seeds, checked before anything runs."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import Message

from tf_jmvae._utils import checks
from tf_jmvae.random import seeds
from tf_jmvae.serving import names

__all__ = [
    "IMAGE_AXES",
    "Signature",
    "TensorInfo",
    "as_inputs",
    "as_tensor",
    "row_seeds",
    "rows_of",
    "signatures_of",
    "split_seeds",
]

IMAGE_AXES = 4  # batch, height, width, channels

if TYPE_CHECKING:
    from tf_jmvae.serving.inference import InferenceModel


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
      dtype: NumPy's name of the type; `"string"` for bytes.
      shape: with None for the batch axis.
    """

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a signature, by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    @classmethod
    def of(cls, inputs: Mapping[str, tf.TensorSpec], outputs: Mapping[str, tf.TensorSpec]) -> "Signature":
        """The signature of a function in this process."""
        infos = ({n: TensorInfo(s.dtype.name, tuple(s.shape)) for n, s in specs.items()} for specs in (inputs, outputs))
        return cls(*infos)


def signatures_of(definitions: Mapping[str, Message]) -> dict[str, Signature]:
    """The signatures of `SignatureDef` messages, as files and servers have them, in order."""
    return {
        name: Signature(_infos(definition.inputs), _infos(definition.outputs))
        for name, definition in sorted(definitions.items())
        if not name.startswith("__")  # TensorFlow's own initialisation
    }


def _infos(tensors: Mapping[str, Message]) -> dict[str, TensorInfo]:
    shapes = {name: (dim.size for dim in info.tensor_shape.dim) for name, info in sorted(tensors.items())}
    return {
        name: TensorInfo(tf.dtypes.as_dtype(tensors[name].dtype).name, tuple(n if n >= 0 else None for n in shape))
        for name, shape in shapes.items()
    }


def as_inputs(model: "InferenceModel", observed: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays by the names of inputs: encoded images go to `<name>_bytes`, pixels become values of their range.

    The model is asked for its modalities only where there may be pixels, since not every server can tell them.
    """
    if not isinstance(observed, Mapping):
        raise TypeError(f"Expected a dict of modalities by name; got {type(observed).__name__}.")
    for name, value in observed.items():
        if value is None or isinstance(value, str | bytes):
            raise TypeError(
                f"{name!r}: expected an array, or a list of encoded images as bytes; got {type(value).__name__}."
            )
    values = {name: checks.unmasked(f"Modality {name!r}", value) for name, value in observed.items()}
    for name, value in values.items():
        encoded = isinstance(value, list | tuple) and all(isinstance(item, bytes) for item in value)
        encoded = encoded or (isinstance(value, np.ndarray) and value.dtype.kind in "OS")
        values[name] = np.asarray(value, object if encoded else None)
    may_be = {name: v for name, v in values.items() if v.dtype == np.uint8 and v.ndim == IMAGE_AXES}
    specs = {name: model.modalities[name] for name in may_be if name in model.modalities}
    pixels = {n: spec for n, spec in specs.items() if spec.is_image and may_be[n].shape[1:] == spec.event_shape}
    # Only the model knows the statistics of a standardised image; and signatures read all images as bytes, or none.
    encode = any(s.standardized for s in pixels.values()) or any(v.dtype == object for v in values.values())
    for name, spec in pixels.items():
        if values[name].size and values[name].max() == 1:
            raise ValueError(
                f"{name!r}: images as uint8 hold pixels from 0 to 255, and these only 0 and 1. Pass values as floats."
            )
        black, white = spec.preprocessing.range
        if encode:
            values[name] = np.array([tf.io.encode_png(image).numpy() for image in values[name]], object)
        else:
            values[name] = (black + values[name] * ((white - black) / 255)).astype(np.float32)
    return {names.encoded(name) if value.dtype == object else name: value for name, value in values.items()}


def as_tensor(name: str, value: np.ndarray, info: TensorInfo) -> np.ndarray:
    """An input of the type that a signature takes; raises `ValueError` or `TypeError` if it does not fit."""
    fits = value.ndim == len(info.shape) and all(
        size is None or size == length for size, length in zip(info.shape, value.shape, strict=True)
    )
    if not fits:
        expected = ", ".join("batch" if size is None else str(size) for size in info.shape)
        raise ValueError(f"{name!r}: expected shape [{expected}]; got {list(value.shape)}.")
    if info.dtype == "string":
        if not all(isinstance(item, bytes) for item in value.flat):
            raise TypeError(f"{name!r}: expected encoded images (PNG or JPEG), each as bytes; got other values.")
        return value
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name!r}: expected numbers; got {value.dtype}.")
    with np.errstate(over="ignore"):
        cast = value.astype(info.dtype)
    overflown = np.isinf(cast) & np.isfinite(value)
    if overflown.any():
        raise ValueError(f"{name!r} holds {value[overflown][0]:g}, which is too large for {info.dtype}.")
    return cast


def rows_of(inputs: Mapping[str, np.ndarray]) -> int:
    """The number of examples; raises `ValueError` unless all inputs have as many."""
    sizes = {name: len(value) if value.ndim else None for name, value in inputs.items()}
    if len(set(sizes.values())) != 1 or None in sizes.values():
        raise ValueError(f"All inputs must have as many examples, along their first axis; got {sizes}.")
    return next(iter(sizes.values()))


def row_seeds(seed: int | None, rows: int) -> np.ndarray:
    """A seed for each row, int32 `[rows, 2]`; row i of a call has the same seed whatever the number of rows."""
    if seed is None:
        seed = secrets.randbits(62)
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed.__index__() < 0:
        raise ValueError(f"seed must be a whole number of 0 or more, or None; got {seed!r}.")
    return np.random.default_rng(seed.__index__()).integers(0, 2**31, size=(rows, 2), dtype=np.int32)


def split_seeds(row_seeds: np.ndarray) -> list[np.ndarray]:
    """Seeds of iterated sampling and of z, as the model's own `generate` makes them of its own."""
    return [part.numpy() for part in seeds.split(tf.constant(row_seeds), 3)[:2]]
