"""What one can ask of an exported model, wherever it runs: in this process or behind TF Serving."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Signature", "TensorInfo", "Verbs"]

_FORMATS = {"float": "", "uint8": "_as_uint8", "png": "_as_png"}


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


class Verbs:
    """Base of `hub.HubModel` and `Client`: turns a verb into the name of a signature and its inputs.

    `observed` maps modalities to arrays `[B, *event_shape]`; an image may also be a list of B encoded
    images (PNG or JPEG, as bytes), which the model resizes. All methods return NumPy arrays.
    """

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Every signature of the model, by name."""
        raise NotImplementedError(f"{type(self).__name__} must define signatures")

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} must define _predict()")

    def encode(self, observed: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """q(z | observed): `{"mean": [B, D], "standard_deviation": [B, D]}`.

        Raises:
          ValueError: the model has no encoder for these modalities, or a shape is wrong.
        """
        inputs = _as_inputs(observed)
        name = self._find(r"encode(_from_.+)?", inputs, f"encode {_listed(observed)}")
        return self._call(name, inputs)

    def generate(
        self,
        observed: Mapping[str, Any],
        *,
        targets: Iterable[str] | None = None,
        num_samples: int | None = None,
        latent: str = "sample",
        images: str = "float",
        seed: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Modalities from other ones: the mean of p(target | z), z from q(z | observed).

        Args:
          observed: arrays or encoded images by name.
          targets: what to generate; by default everything that is not observed.
          num_samples: S samples for each example; None for one, without a sample axis.
          latent: `"sample"` draws z, `"mean"` takes its mean, and needs no seed.
          images: `"float"` gives the model's own values, `"uint8"` pixels, `"png"` encoded images, as bytes.
          seed: equal seeds give equal results, row by row; None differs every time.

        Returns:
          `{target: [B, *event_shape]}`, or `[B, S, *event_shape]`.

        Raises:
          ValueError: the model has no such direction, or an option or a shape is wrong.
        """
        _check_option("latent", latent, ("sample", "mean"))
        suffix = _suffix(images)
        inputs = _as_inputs(observed)
        if targets is None:
            targets = self._targets_from(inputs, observed)
        elif isinstance(targets, str):
            raise TypeError(f"targets must be a list of modalities, such as [{targets!r}]; got a string.")
        else:
            targets = list(targets)
        if num_samples is not None:
            _check_count(num_samples)
            inputs = {name: np.repeat(value, num_samples, axis=0) for name, value in inputs.items()}
        verb = "generate"
        if latent == "sample":
            verb, inputs["seed"] = "sample", _row_seeds(seed, _rows(inputs))
        outputs = {}
        for target in targets:
            wish = f"generate {target!r} from {_listed(observed)}"
            name = self._find(rf"{verb}_{re.escape(target)}_from_.+", inputs, wish)
            outputs |= self._call(self._in_format(name, suffix), inputs)
        if num_samples is not None:
            outputs = {name: value.reshape(-1, num_samples, *value.shape[1:]) for name, value in outputs.items()}
        return outputs

    def reconstruct(self, observed: Mapping[str, Any], *, images: str = "float") -> dict[str, np.ndarray]:
        """All modalities again, from the mean of q(z | all of them)."""
        return self._call(self._in_format("reconstruct", _suffix(images)), _as_inputs(observed))

    def decode(
        self, z: np.ndarray, given: Mapping[str, Any] | None = None, *, images: str = "float"
    ) -> dict[str, np.ndarray]:
        """The mean of p(m | z) for every modality that the model generates.

        Args:
          z: `[B, D]`.
          given: what one-way models are conditioned on.
          images: as for `generate`.
        """
        inputs = {"z": np.asarray(z, np.float32), **_as_inputs(given or {})}
        return self._call(self._in_format("decode", _suffix(images)), inputs)

    def sample(self, num_samples: int, *, images: str = "float", seed: int | None = None) -> dict[str, np.ndarray]:
        """All modalities together from the prior, `[N, *event_shape]`."""
        _check_count(num_samples)
        return self._call(self._in_format("sample", _suffix(images)), {"seed": _row_seeds(seed, num_samples)})

    def log_likelihood(self, observed: Mapping[str, Any], *, seed: int | None = 0) -> np.ndarray:
        """Log p(all modalities) of each example, `[B]`, in nats, by importance sampling.

        One-way models give log p(targets | given).
        """
        inputs = _as_inputs(observed)
        inputs["seed"] = _row_seeds(seed, _rows(inputs))
        return self._call("log_likelihood", inputs)["log_likelihood"]

    def _call(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        signature = self._signature(name)
        if inputs.keys() != signature.inputs.keys():
            raise ValueError(f"Signature {name!r} takes {_listed(signature.inputs)}; got {_listed(inputs)}.")
        checked = {key: _as_tensor(key, value, signature.inputs[key]) for key, value in inputs.items()}
        _rows(checked)
        outputs = self._predict(name, checked)
        return {key.removesuffix("_bytes"): value for key, value in outputs.items()}

    def _signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise ValueError(f"The model has no signature {name!r}. It has {', '.join(sorted(self.signatures))}.")
        return self.signatures[name]

    def _find(self, pattern: str, inputs: Iterable[str], wish: str) -> str:
        """The signature of a verb that takes just these inputs, with outputs in the model's own values."""
        wanted = set(inputs)
        for name, signature in self.signatures.items():
            if signature.inputs.keys() == wanted and re.fullmatch(pattern, name) and not _has_format(name):
                return name
        there = sorted(name for name in self.signatures if re.fullmatch(pattern, name) and not _has_format(name))
        raise ValueError(f"The model cannot {wish}. What it can: {', '.join(there) or 'nothing of the kind'}.")

    def _in_format(self, name: str, suffix: str) -> str:
        """The signature whose images are in a format; what has no image has one format only."""
        return name + suffix if name + suffix in self.signatures else name

    def _targets_from(self, inputs: Iterable[str], observed: Iterable[str]) -> list[str]:
        wanted, targets = set(inputs), []
        for name, signature in self.signatures.items():
            match = re.fullmatch(r"generate_(.+)_from_.+", name)
            if match and not _has_format(name) and signature.inputs.keys() == wanted and match[1] not in observed:
                targets.append(match[1])
        if not targets:
            raise ValueError(
                f"The model generates nothing from {_listed(observed)}: see its signatures, or use reconstruct()."
            )
        return targets


def _as_inputs(observed: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by the names of inputs: encoded images go to `<name>_bytes`."""
    if not isinstance(observed, Mapping):
        raise TypeError(f"Expected a dict of modalities by name; got {type(observed).__name__}.")
    inputs = {}
    for name, value in observed.items():
        value = np.asarray(value, object) if _holds_bytes(value) else np.asarray(value)
        inputs[f"{name}_bytes" if value.dtype == object else name] = value
    return inputs


def _holds_bytes(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "OS"
    return isinstance(value, list | tuple) and all(isinstance(v, bytes) for v in value)


def _as_tensor(name: str, value: np.ndarray, info: TensorInfo) -> np.ndarray:
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
    return value.astype(info.dtype)


def _rows(inputs: Mapping[str, np.ndarray]) -> int:
    sizes = {name: len(value) if value.ndim else None for name, value in inputs.items()}
    if len(set(sizes.values())) != 1 or None in sizes.values():
        raise ValueError(f"All inputs must have as many examples, along their first axis; got {sizes}.")
    return next(iter(sizes.values()))


def _row_seeds(seed: int | None, rows: int) -> np.ndarray:
    """A seed for each row, int32 `[rows, 2]`; row i of a call has the same seed whatever the number of rows."""
    if seed is None:
        seed = secrets.randbits(62)
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed.__index__() < 0:
        raise ValueError(f"seed must be a whole number of 0 or more, or None; got {seed!r}.")
    return np.random.default_rng(seed.__index__()).integers(0, 2**31, size=(rows, 2), dtype=np.int32)


def _check_count(num_samples: int) -> None:
    if isinstance(num_samples, bool) or not hasattr(num_samples, "__index__") or num_samples.__index__() < 1:
        raise ValueError(f"num_samples must be a whole number of 1 or more; got {num_samples!r}.")


def _has_format(name: str) -> bool:
    return name.endswith(("_as_uint8", "_as_png"))


def _suffix(images: str) -> str:
    _check_option("images", images, tuple(_FORMATS))
    return _FORMATS[images]


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
