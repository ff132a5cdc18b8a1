"""Signatures, and requests that fit them: names, shapes, types and seeds, checked before anything runs."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae.checks import listed
from tf_jmvae.serving import names

__all__ = [
    "Signature",
    "TensorInfo",
    "as_tensor",
    "check_mixture",
    "described",
    "holds_bytes",
    "is_of",
    "row_seeds",
    "rows_of",
]


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


def is_of(verb: str, signature: str) -> bool:
    """Whether a plain signature is the verb, or goes on with what is given."""
    return signature == verb or signature.startswith(f"{verb}_from_")


def check_mixture(wanted: Iterable[str], signatures: Iterable[Signature]) -> None:
    """Raises if there are signatures for just these modalities, but not as arrays and encoded images as given."""
    modalities = set(map(names.modality, wanted))
    other_forms = (s.inputs for s in signatures if set(map(names.modality, s.inputs)) == modalities)
    found = sorted({_read(inputs) for inputs in other_forms} - {_read(wanted)})
    if found:
        raise ValueError(
            f"The model cannot read {_read(wanted)} together, where {names.BYTES!r} means encoded images. It reads "
            f"{'; or '.join(found)}. Give all images as lists of bytes, or all as arrays."
        )


def described(name: str, signature: Signature) -> str:
    """A signature in a message: by its name, or with its inputs where that does not say them."""
    return name if "_from_" in name else f"{name} of {_read(signature.inputs)}"


def _read(inputs: Iterable[str]) -> str:
    return listed(sorted(name for name in inputs if name not in ("noise", "seed")))


def holds_bytes(value: Any) -> bool:
    """Whether these are encoded images."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "OS"
    return isinstance(value, list | tuple) and all(isinstance(v, bytes) for v in value)


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
