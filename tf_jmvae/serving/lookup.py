"""Lookup of signatures by what goes in and comes out of them, and calls of them with checked inputs."""

from collections.abc import Iterable, Mapping

import numpy as np

from tf_jmvae._utils import checks
from tf_jmvae._utils.checks import listed
from tf_jmvae.serving import names, request
from tf_jmvae.serving.request import Signature

__all__ = ["FORMATS", "SignatureLookup"]

FORMATS = {"float": "", "uint8": names.AS_UINT8, "png": names.AS_PNG}
"""Endings of the signatures that give images in each format."""


class SignatureLookup:
    """Base of `InferenceModel`: what a backend defines, and how a verb finds its signature."""

    signatures: Mapping[str, Signature]

    def _predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise NotImplementedError(f"{type(self).__name__} must define _predict()")

    def _check_value(self, name: str, value: np.ndarray) -> None:
        """Raises ValueError if an input of floats, of the right shape, holds what the model cannot read."""

    def _prepare(self, observed: Iterable[str]) -> None:
        """Called before what takes these modalities is looked up."""

    def _call(self, name: str, inputs: Mapping[str, np.ndarray], copies: int = 1) -> dict[str, np.ndarray]:
        """The outputs of a signature, for `copies` of each row; seeds are for each of the copies already."""
        signature = self._signature(name)
        if inputs.keys() != signature.inputs.keys():
            raise ValueError(f"Signature {name!r} takes {listed(signature.inputs)}; got {listed(inputs)}.")
        checked = {key: request.as_tensor(key, value, signature.inputs[key]) for key, value in inputs.items()}
        for key, value in checked.items():
            if value.dtype.kind == "f":
                self._check_value(key, value)
        if copies != 1:
            checked = {k: value if k == "seed" else np.repeat(value, copies, axis=0) for k, value in checked.items()}
        request.rows_of(checked)
        return {names.modality(key): value for key, value in self._predict(name, checked).items()}

    def _signature(self, name: str) -> Signature:
        if name not in self.signatures:
            raise ValueError(f"The model has no signature {name!r}. It has {', '.join(sorted(self.signatures))}.")
        return self.signatures[name]

    def _find(
        self, verb: str, inputs: Iterable[str], wish: str, target: str | None = None, optional: Iterable[str] = ()
    ) -> str:
        """The signature of a verb that takes just these inputs, with outputs in the model's own values."""
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
        raise ValueError(f"The model cannot {wish}. What it can: {'; '.join(known) or 'nothing of the kind'}.")

    def _all_of(self, verb: str) -> dict[str, Signature]:
        start = f"{verb}_from_"
        return {name: s for name, s in self.signatures.items() if f"{names.plain(name)}_from_".startswith(start)}

    def _in_format(self, name: str, images: str) -> str:
        """The signature whose images are in a format; what gives no image has one format only."""
        checks.check_option("images", images, FORMATS)
        if name + FORMATS[images] in self.signatures:
            return name + FORMATS[images]
        shown = [key for key, info in self._signature(name).outputs.items() if len(info.shape) == request.IMAGE_AXES]
        if shown:
            raise ValueError(
                f"The model gives {listed(shown)} as values only, with images='float': pixels and PNG are for grey "
                "and RGB images, which have 1 or 3 channels."
            )
        return name

    def _targets_from(self, inputs: Iterable[str], observed: Iterable[str]) -> list[str]:
        self._prepare(map(names.modality, inputs))
        there = [s for name, s in self.signatures.items() if name.startswith("generate_")]
        fitting = [signature.outputs for signature in there if signature.inputs.keys() == set(inputs)]
        targets = dict.fromkeys(names.modality(target) for outputs in fitting for target in outputs)
        if not targets:
            _check_mixture(inputs, there)
            raise ValueError(
                f"The model generates nothing from {listed(observed)}: see its signatures, or use reconstruct()."
            )
        return list(targets)


def _check_mixture(wanted: Iterable[str], signatures: Iterable[Signature]) -> None:
    """Raises if there are signatures for just these modalities, but not as arrays and encoded images as given."""
    modalities = set(map(names.modality, wanted))
    other_forms = (s.inputs for s in signatures if set(map(names.modality, s.inputs)) == modalities)
    if found := sorted({_read(inputs) for inputs in other_forms} - {_read(wanted)}):
        raise ValueError(
            f"The model cannot read {_read(wanted)} together, where {names.BYTES!r} means encoded images. It reads "
            f"{'; or '.join(found)}. Give all images as lists of bytes, or all as arrays."
        )


def _read(inputs: Iterable[str]) -> str:
    return listed(sorted(name for name in inputs if name not in ("noise", "seed")))
