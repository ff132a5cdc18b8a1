"""What one can ask of an exported model, wherever it runs: in this process or behind TF Serving."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_jmvae import checks
from tf_jmvae.serving import names

__all__ = ["Signature", "TensorInfo", "Verbs"]

_FORMATS = {"float": "", "uint8": names.AS_UINT8, "png": names.AS_PNG}
_IMAGE_AXES = 4  # batch, height, width, channels


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

    `observed` maps modalities to arrays `[B, *event_shape]`; images may also be lists of B encoded images (PNG or
    JPEG, as bytes), which the model resizes. All methods return NumPy arrays.

    Names, shapes and types are checked before anything runs; values by `HubModel` only, whose card says what they may
    be. A server computes with NaN, or with pixels up to 255 where the model was trained on 0 to 1.
    """

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """Every signature of the model, by name."""
        raise NotImplementedError(f"{type(self).__name__} must define signatures")

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} must define _predict()")

    def _check_value(self, name: str, value: np.ndarray) -> None:
        """Raises ValueError if an input of floats, of the right shape, holds what the model cannot read."""

    def encode(self, observed: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """q(z | observed).

        Args:
          observed: arrays or encoded images by name.

        Returns:
          `{"mean": [B, D], "standard_deviation": [B, D]}`.

        Raises:
          ValueError: the model has no encoder for these modalities, or a shape is wrong.
        """
        inputs = _as_inputs(observed)
        return self._call(self._find(r"encode(_from_.+)?", inputs, f"encode {_listed(observed)}"), inputs)

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
          images: `"float"` gives the model's own values, `"uint8"` pixels, `"png"` encoded images, as bytes. What
            is no image is always given as values.
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
        copies = 1 if num_samples is None else num_samples
        verb, rows = "generate", _rows(inputs)
        if latent == "sample":
            verb, inputs["seed"] = "sample", _row_seeds(seed, rows * copies)
        outputs = {}
        for target in targets:
            wish = f"generate {target!r} from {_listed(observed)}"
            name = self._find(rf"{verb}_{re.escape(target)}_from_.+", inputs, wish)
            outputs |= self._call(self._in_format(name, suffix), inputs, copies)
        if num_samples is not None:
            outputs = {name: value.reshape(-1, num_samples, *value.shape[1:]) for name, value in outputs.items()}
        return outputs

    def reconstruct(self, observed: Mapping[str, Any], *, images: str = "float") -> dict[str, np.ndarray]:
        """All modalities again, from the mean of q(z | all of them).

        Args:
          observed: arrays or encoded images by name, all modalities.
          images: as for `generate`.

        Returns:
          `{target: [B, *event_shape]}`.
        """
        suffix, inputs = _suffix(images), _as_inputs(observed)
        name = self._find("reconstruct", inputs, f"reconstruct from {_listed(observed)}")
        return self._call(self._in_format(name, suffix), inputs)

    def decode(
        self, z: np.ndarray, given: Mapping[str, Any] | None = None, *, images: str = "float"
    ) -> dict[str, np.ndarray]:
        """The mean of p(m | z) for every modality that the model generates.

        Args:
          z: `[B, D]`.
          given: what one-way models are conditioned on.
          images: as for `generate`.

        Returns:
          `{target: [B, *event_shape]}`.
        """
        suffix, inputs = _suffix(images), {"z": np.asarray(z), **_as_inputs(given or {})}
        name = self._find("decode", inputs, f"decode z given {_listed(given or {})}")
        return self._call(self._in_format(name, suffix), inputs)

    def sample(self, num_samples: int, *, images: str = "float", seed: int | None = None) -> dict[str, np.ndarray]:
        """All modalities together from the prior.

        Args:
          num_samples: N.
          images: as for `generate`.
          seed: as for `generate`.

        Returns:
          `{modality: [N, *event_shape]}`.
        """
        _check_count(num_samples)
        return self._call(self._in_format("sample", _suffix(images)), {"seed": _row_seeds(seed, num_samples)})

    def log_likelihood(self, observed: Mapping[str, Any], *, seed: int | None = 0) -> np.ndarray:
        """Log p(all modalities) of each example by importance sampling, with as many samples as were fixed at export.

        One-way models give log p(targets | given).

        Args:
          observed: arrays or encoded images by name, all modalities.
          seed: as for `generate`.

        Returns:
          `[B]`, in nats.
        """
        inputs = _as_inputs(observed)
        inputs["seed"] = _row_seeds(seed, _rows(inputs))
        name = self._find("log_likelihood", inputs, f"give the log-likelihood of {_listed(observed)}")
        return self._call(name, inputs)["log_likelihood"]

    def _call(self, name: str, inputs: Mapping[str, np.ndarray], copies: int = 1) -> dict[str, np.ndarray]:
        """The outputs of a signature, for `copies` of each row; seeds are for each of the copies already."""
        signature = self._signature(name)
        if inputs.keys() != signature.inputs.keys():
            raise ValueError(f"Signature {name!r} takes {_listed(signature.inputs)}; got {_listed(inputs)}.")
        checked = {key: _as_tensor(key, value, signature.inputs[key]) for key, value in inputs.items()}
        for key, value in checked.items():
            if value.dtype.kind == "f":
                self._check_value(key, value)
        if copies != 1:
            checked = {k: value if k == "seed" else np.repeat(value, copies, axis=0) for k, value in checked.items()}
        _rows(checked)
        return {names.modality(key): value for key, value in self._predict(name, checked).items()}

    def _signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise ValueError(f"The model has no signature {name!r}. It has {', '.join(sorted(self.signatures))}.")
        return self.signatures[name]

    def _find(self, pattern: str, inputs: Iterable[str], wish: str) -> str:
        """The signature of a verb that takes just these inputs, with outputs in the model's own values."""
        wanted = set(inputs)
        there = {n: signature for n, signature in self.signatures.items() if re.fullmatch(pattern, names.plain(n))}
        for name, signature in there.items():
            if signature.inputs.keys() == wanted:
                return names.without_format(name)
        _check_mixture(wanted, there.values())
        known = sorted({_described(names.without_format(name), signature) for name, signature in there.items()})
        raise ValueError(f"The model cannot {wish}. What it can: {'; '.join(known) or 'nothing of the kind'}.")

    def _in_format(self, name: str, suffix: str) -> str:
        """The signature whose images are in a format; what gives no image has one format only."""
        if name + suffix in self.signatures:
            return name + suffix
        images = [key for key, info in self._signature(name).outputs.items() if len(info.shape) == _IMAGE_AXES]
        if images:
            raise ValueError(
                f"The model gives {_listed(images)} as values only, with images='float': pixels and PNG are for grey "
                "and RGB images, which have 1 or 3 channels."
            )
        return name

    def _targets_from(self, inputs: Iterable[str], observed: Iterable[str]) -> list[str]:
        wanted, there, targets = set(inputs), [], {}
        for name, signature in self.signatures.items():
            match = re.fullmatch(r"generate_(.+)_from_.+", names.plain(name))
            if match and match[1] not in observed:
                there.append(signature)
                if signature.inputs.keys() == wanted:
                    targets[match[1]] = True
        if not targets:
            _check_mixture(wanted, there)
            raise ValueError(
                f"The model generates nothing from {_listed(observed)}: see its signatures, or use reconstruct()."
            )
        return list(targets)


def _check_mixture(wanted: Iterable[str], signatures: Iterable[Signature]) -> None:
    """Raises if there are signatures for just these modalities, but not as arrays and encoded images as given."""
    modalities = set(map(names.modality, wanted))
    found = sorted({_read(s.inputs) for s in signatures if set(map(names.modality, s.inputs)) == modalities})
    if found:
        raise ValueError(
            f"The model cannot read {_read(wanted)} together, where {names.BYTES!r} means encoded images. It reads "
            f"{'; or '.join(found)}. Give all images as lists of bytes, or all as arrays."
        )


def _described(name: str, signature: Signature) -> str:
    return name if "_from_" in name else f"{name} of {_read(signature.inputs)}"


def _read(inputs: Iterable[str]) -> str:
    return _listed(sorted(name for name in inputs if name != "seed"))


def _as_inputs(observed: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays by the names of inputs: encoded images go to `<name>_bytes`."""
    if not isinstance(observed, Mapping):
        raise TypeError(f"Expected a dict of modalities by name; got {type(observed).__name__}.")
    inputs = {}
    for name, value in observed.items():
        value = checks.unmasked(f"Modality {name!r}", value)
        value = np.asarray(value, object) if _holds_bytes(value) else np.asarray(value)
        inputs[names.encoded(name) if value.dtype == object else name] = value
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
    with np.errstate(over="ignore"):
        cast = value.astype(info.dtype)
    overflown = np.isinf(cast) & np.isfinite(value)
    if overflown.any():
        raise ValueError(f"{name!r} holds {value[overflown][0]:g}, which is too large for {info.dtype}.")
    return cast


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


def _suffix(images: str) -> str:
    _check_option("images", images, tuple(_FORMATS))
    return _FORMATS[images]


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
