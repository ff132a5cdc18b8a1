"""Signatures, their lookup by inputs and outputs, and checks of requests before anything runs."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import Message

from tf_jmvae._utils import cells, checks, gaps, names
from tf_jmvae._utils.checks import listed
from tf_jmvae.columns import kind_of
from tf_jmvae.random import seeds
from tf_jmvae.specs import ModalitySpec

IMAGE_AXES = 4  # batch, height, width, channels
FORMATS = {"float": "", "uint8": names.AS_UINT8, "png": names.AS_PNG}
"""Suffixes of the signatures that return images in each format."""
_FROM_FITTED = "sample_from_fitted_prior"


@dataclass(frozen=True)
class TensorInfo:
    """Input or output of a signature: NumPy's name of its dtype, or `"string"` for bytes, and its shape."""

    dtype: str
    shape: tuple[int | None, ...]  # with None for the batch axis

    def no_rows(self) -> np.ndarray:
        """Returns an array without examples."""
        return np.empty((0, *(size or 0 for size in self.shape[1:])), object if self.dtype == "string" else self.dtype)


@dataclass(frozen=True)
class Signature:
    """Signature: its inputs and outputs by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]

    @classmethod
    def of(cls, inputs: Mapping[str, tf.TensorSpec], outputs: Mapping[str, tf.TensorSpec]) -> "Signature":
        """Makes the signature of a function in this process."""
        infos = ({n: TensorInfo(s.dtype.name, tuple(s.shape)) for n, s in specs.items()} for specs in (inputs, outputs))
        return cls(*infos)


def signatures_of(definitions: Mapping[str, Message]) -> dict[str, Signature]:
    """Converts the `SignatureDef` messages of files and servers to signatures, sorted by name."""
    return {
        name: Signature(_infos(definition.inputs), _infos(definition.outputs))
        for name, definition in sorted(definitions.items())
        if not name.startswith("__")  # TensorFlow's initialisation op
    }


def _infos(tensors: Mapping[str, Message]) -> dict[str, TensorInfo]:
    found = {}
    for name, info in sorted(tensors.items()):
        shape = (None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
        found[name] = TensorInfo(tf.dtypes.as_dtype(info.dtype).name, tuple(shape))
    return found


class SignatureLookup:
    """Base class of `InferenceModel`: methods that a backend defines, and the lookup of signatures."""

    signatures: Mapping[str, Signature]
    modalities: Mapping[str, ModalitySpec]

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} must define _predict()")

    def _check_value(self, name: str, value: np.ndarray) -> None:
        """Raises `ValueError` if a float input of the right shape holds values that the model cannot read."""

    @property
    def has_fitted_prior(self) -> bool:
        """Whether `sample` can sample from a fitted prior."""
        return _FROM_FITTED in self.signatures

    def _sampling_from(self, prior: str) -> str:
        """Returns the signature that samples from `"standard"` or `"fitted"`; `ValueError` if there is none."""
        checks.check_option("prior", prior, ("standard", "fitted"))
        if prior == "fitted" and not self.has_fitted_prior:
            raise ValueError("The model was exported without a fitted prior: call fit_prior(data) before export().")
        return "sample" if prior == "standard" else _FROM_FITTED

    def _prepare(self, observed: Iterable[str]) -> None:
        """Prepares the lookup of signatures of these modalities; does nothing by default."""

    def _as_inputs(self, observed: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Converts observed values to arrays by input name: encoded images as `<name>_bytes`, others as values.

        The specs of modalities are requested only if there may be pixels or texts, because not every server has them.
        """
        if not isinstance(observed, Mapping):
            raise TypeError(f"Expected a dict of modalities by name; got {type(observed).__name__}.")
        values = {}
        for name, value in self._without_texts(observed).items():
            if value is None or isinstance(value, str | bytes):
                raise TypeError(
                    f"{name!r}: expected an array, or a list of encoded images as bytes or of texts; got "
                    f"{type(value).__name__}."
                )
            masked = isinstance(value, np.ma.MaskedArray)
            optional = masked and name in self.modalities and self.modalities[name].optional
            value = gaps.filled(value) if optional else checks.unmasked(f"Modality {name!r}", value)
            encoded = isinstance(value, list | tuple) and all(isinstance(item, bytes) for item in value)
            encoded = encoded or (isinstance(value, np.ndarray) and value.dtype.kind in "OS")
            # None in a list of numbers is a missing value, and does not make it a list of encoded images.
            values[name] = np.asarray(value, object) if encoded else np.asarray(gaps.as_numbers(value))
        may_be = {name: v for name, v in values.items() if v.dtype == np.uint8 and v.ndim == IMAGE_AXES}
        specs = {name: self.modalities[name] for name in may_be if name in self.modalities}
        pixels = {n: spec for n, spec in specs.items() if spec.is_image and may_be[n].shape[1:] == spec.event_shape}
        # Only the model can standardise images, and signatures read either all images as bytes or none.
        encode = any(s.standardized for s in pixels.values()) or any(v.dtype == object for v in values.values())
        for name, spec in pixels.items():
            if values[name].size and values[name].max() == 1:
                raise ValueError(
                    f"{name!r}: images as uint8 hold pixels from 0 to 255, but these hold only 0 and 1. Pass "
                    "values as floats."
                )
            black, white = spec.preprocessing.range
            if encode:
                values[name] = np.array([tf.io.encode_png(image).numpy() for image in values[name]], object)
            else:
                values[name] = (black + values[name] * ((white - black) / 255)).astype(np.float32)
        return {names.encoded(name) if value.dtype == object else name: value for name, value in values.items()}

    def _without_texts(self, observed: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replaces strings by values, for modalities that are made of a table's texts or classes."""
        texts = {name: value for name, value in observed.items() if cells.holds_texts(value)}
        columns = {name: self.modalities[name].columns for name in texts if name in self.modalities}
        kinds = {name: kind_of(own) for name, own in columns.items() if own}
        readable = {n: SimpleNamespace(columns=k.columns, cells=k) for n, k in kinds.items() if k.is_text}
        return {**observed, **cells.encoded(readable, texts)[0]}

    def _call(self, name: str, inputs: Mapping[str, np.ndarray], copies: int = 1) -> dict[str, np.ndarray]:
        """Calls a signature on `copies` of each row; seeds already have one row for each copy."""
        signature = self._signature(name)
        if inputs.keys() != signature.inputs.keys():
            raise ValueError(f"Signature {name!r} takes {listed(signature.inputs)}; got {listed(inputs)}.")
        checked = {key: _as_tensor(key, value, signature.inputs[key]) for key, value in inputs.items()}
        for key, value in checked.items():
            if value.dtype.kind == "f":
                self._check_value(key, value)
        if copies != 1:
            checked = {k: value if k == "seed" else np.repeat(value, copies, axis=0) for k, value in checked.items()}
        rows_of(checked)
        return {names.modality(key): value for key, value in self._predict(name, checked).items()}

    def _signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise ValueError(f"The model has no signature {name!r}. It has {', '.join(sorted(self.signatures))}.")
        return self.signatures[name]

    def _find(
        self, verb: str, inputs: Iterable[str], wish: str, target: str | None = None, optional: Iterable[str] = ()
    ) -> str:
        """Returns the signature of a verb with exactly these inputs, and outputs in the model's own values."""
        wanted, optional = set(inputs), set(optional)
        self._prepare(map(names.modality, wanted))
        there = self._all_of(verb)
        there = {n: s for n, s in there.items() if target is None or target in map(names.modality, s.outputs)}
        for name, signature in there.items():
            if signature.inputs.keys() - optional == wanted:
                return names.without_format(name)
        _check_mixture(wanted, there.values())
        known = {names.without_format(name): _read(signature.inputs) for name, signature in there.items()}
        known = sorted(name if "_from_" in name else f"{name} of {inputs}" for name, inputs in known.items())
        raise ValueError(f"The model cannot {wish}. It offers {'; '.join(known) or 'nothing of the kind'}.")

    @property
    def _reads_gaps(self) -> bool:
        """Whether the signatures of all modalities read rows with any of them missing."""
        return names.FILL in self.signatures

    def _has_encoder(self, inputs: Iterable[str]) -> bool:
        """Returns whether there are signatures of exactly these inputs."""
        inputs = set(inputs)
        self._prepare(map(names.modality, inputs))
        return any(set(signature.inputs) == inputs for signature in self._all_of("encode").values())

    def _with_encoder(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Adds missing values of the other modalities if only all modalities together have signatures."""
        if not inputs or not self._reads_gaps or self._has_encoder(inputs):
            return inputs
        held, rows = set(map(names.modality, inputs)), rows_of(inputs)
        if not held < set(self.modalities):
            return inputs
        gaps_of = {}
        for name in self.modalities.keys() - held:
            if self.modalities[name].is_image and any(key.endswith(names.BYTES) for key in inputs):
                gaps_of[names.encoded(name)] = np.full(
                    rows, b"", object
                )  # signatures read either all images as bytes or none
            else:
                gaps_of[name] = np.full((rows, *self.modalities[name].event_shape), np.nan, np.float32)
        return inputs | gaps_of

    def _all_of(self, verb: str) -> dict[str, Signature]:
        start = f"{verb}_from_"
        there = {name: s for name, s in self.signatures.items() if not name.endswith(names.CELLS)}
        return {name: s for name, s in there.items() if f"{names.plain(name)}_from_".startswith(start)}

    def _in_format(self, name: str, images: str) -> str:
        """Returns the signature with images in a format; signatures without images have only one."""
        checks.check_option("images", images, FORMATS)
        if name + FORMATS[images] in self.signatures:
            return name + FORMATS[images]
        outputs = self._signature(name).outputs
        if shown := [key for key, info in outputs.items() if len(info.shape) == IMAGE_AXES]:
            raise ValueError(
                f"The model gives {listed(shown)} as values only, with images='float': pixels and PNG are for grey "
                "and RGB images, which have 1 or 3 channels."
            )
        return name

    def _targets_from(self, inputs: Iterable[str], observed: Iterable[str]) -> list[str]:
        self._prepare(map(names.modality, inputs))
        there = [
            s for name, s in self.signatures.items() if name.startswith("generate_") and not name.endswith(names.CELLS)
        ]
        fitting = [signature.outputs for signature in there if signature.inputs.keys() == set(inputs)]
        targets = dict.fromkeys(names.modality(target) for outputs in fitting for target in outputs)
        if not targets:
            _check_mixture(inputs, there)
            raise ValueError(
                f"The model generates nothing from {listed(observed)}: see its signatures, or use reconstruct()."
            )
        return list(targets)


def _check_mixture(wanted: Iterable[str], signatures: Iterable[Signature]) -> None:
    """Raises if these modalities have signatures, but not with this mixture of arrays and encoded images."""
    modalities = set(map(names.modality, wanted))
    other_forms = (s.inputs for s in signatures if set(map(names.modality, s.inputs)) == modalities)
    if found := sorted({_read(inputs) for inputs in other_forms} - {_read(wanted)}):
        raise ValueError(
            f"The model cannot read {_read(wanted)} together, where {names.BYTES!r} means encoded images. It reads "
            f"{'; or '.join(found)}. Give all images as lists of bytes, or all as arrays."
        )


def _read(inputs: Iterable[str]) -> str:
    return listed(sorted(name for name in inputs if name not in ("noise", "seed")))


def _as_tensor(name: str, value: np.ndarray, info: TensorInfo) -> np.ndarray:
    """Converts an input to the dtype of its signature; raises `ValueError` or `TypeError` if it does not fit."""
    if not tf.TensorShape(info.shape).is_compatible_with(value.shape):
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
    """Returns the number of examples; raises `ValueError` unless it is the same for all inputs."""
    sizes = {name: len(value) if value.ndim else None for name, value in inputs.items()}
    if len(set(sizes.values())) != 1 or None in sizes.values():
        raise ValueError(f"All inputs must have the same number of examples, along their first axis; got {sizes}.")
    return next(iter(sizes.values()))


def row_seeds(seed: int | None, rows: int) -> np.ndarray:
    """Returns a seed for each row, int32 `[rows, 2]`; the seed of row i does not depend on the number of rows."""
    if seed is None:
        seed = secrets.randbits(62)
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed.__index__() < 0:
        raise ValueError(f"seed must be a whole number of 0 or more, or None; got {seed!r}.")
    return seeds.drawn(np.random.default_rng(seed.__index__()), rows)
