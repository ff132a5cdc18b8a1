"""`DemoModel`, the page's interface to a model, and helpers on names, attributes and pictures."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from tf_jmvae.data import log_mel
from tf_jmvae.images.preprocessing import as_picture, grid
from tf_jmvae.serving import InferenceModel
from tf_jmvae.specs import ModalitySpec

# Source of the digits of each dataset of handwritten digits, which determines their preprocessing.
_HANDWRITING = {"digits": "digits", "mnist": "mnist", "spoken-digits": "mnist"}
_SAMPLES = 100  # number of samples of z for each probability
_SMALLEST = 112  # smallest side of a picture on the page, in pixels


class InputError(ValueError):
    """Error of an invalid input, with a message for the user."""


class DemoModel:
    """Model with entries of its `ModelSpec` and its first modality of each kind; pictures are uint8 pixel values.

    Attributes:
      model: `InferenceModel`.
      fields: dict of `ModalitySpec` by name.
      picture: name of the first image modality, or None; `label` and `attributes` likewise.
      sound: name of a modality of log-mel spectrograms, as of the dataset spoken-digits, or None.
      handwriting: `"mnist"` or `"digits"` if the pictures are such digits, or None.
      text: name of a modality of texts of a table, or None.
      meaning: name of the modality that describes the picture: the label, or else the attributes.
      names: list of the names of the label's classes, or else of the attributes.
    """

    def __init__(self, model: InferenceModel):
        self.model, spec = model, model.spec
        self.name, self.kind, self.dataset = spec.name, spec.kind, spec.dataset
        self.fields, self.conditions = spec.modalities, tuple(spec.conditions)
        self.picture, self.label, self.attributes = map(spec.first, ("image", "label", "attributes"))
        self.text = next((n for n in spec.targets if self.fields[n].kind == "text" and self.fields[n].columns), None)
        spoken = self.dataset == "spoken-digits" and "sound" in spec.targets
        self.sound = "sound" if spoken and self.fields["sound"].event_shape == log_mel.SHAPE else None
        self.handwriting = _HANDWRITING.get(self.dataset) if self.picture != "sound" else None
        self.meaning = self.label or self.attributes
        self.names = list(self.fields[self.meaning].names()) if self.meaning else []

    def goes(self, source: str | None, target: str | None) -> bool:
        """Returns whether the model generates `target` from `source`."""
        return None not in (source, target) and target not in self.conditions and self.model.starts_from([source])

    def decode(self, z: np.ndarray, conditions: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Computes the mean of p(m | z) for every target, `[B, *event_shape]`, from z, `[B, D]`; pictures as uint8.

        A conditional model reads its conditions from `conditions`, which a joint model ignores.
        """
        own = {name: (conditions or {})[name] for name in self.conditions}
        shown = "uint8" if self.picture in self.model.spec.targets else "float"
        return self.model.decode(np.asarray(z, np.float32), own, images=shown)

    def heard(self, pixels: np.ndarray) -> tuple[int, np.ndarray]:
        """Returns the sampling rate and int16 samples of a sound with a log-mel spectrogram, uint8 `[32, 32, 1]`."""
        return log_mel.RATE, np.int16(32767 * log_mel.waveform(pixels / 255))

    def noise(self, seed: int, rows: int) -> np.ndarray:
        """Samples standard normal noise `[rows, D]`, whose first rows do not depend on the number of rows."""
        return np.random.default_rng(seed).standard_normal((rows, self.model.latent_size)).astype(np.float32)

    def own_picture(self) -> np.ndarray:
        """Generates an initial picture at z = 0, uint8 `[H, W, C]`."""
        return self.decode(np.zeros((1, self.model.latent_size)))[self.picture][0]

    def first_choices(self) -> tuple[Any, Any]:
        """Returns two initial choices of labels or attributes."""
        if self.label:
            return self.names[:4][-1], self.names[:9][-1]
        of_portraits = ("Smiling", "Young"), ("Male", "Eyeglasses")
        first, second = ([name for name in some if name in self.names] for some in of_portraits)
        return (first, second) if first or second else ([], self.names[:1])

    def named(self, choice: str | Iterable[str]) -> str:
        """Returns a choice in words."""
        return str(choice) if self.label else in_words(choice) or "no attribute"

    def observed(self, choice: str | Iterable[str]) -> dict[str, np.ndarray]:
        """Returns one row of the label of that name, or of exactly the attributes of those names."""
        if self.label:
            return {self.label: np.eye(len(self.names), dtype=np.float32)[[self.names.index(choice)]]}
        field, chosen = self.fields[self.attributes], set(choice)
        row = [attribute_value(field, 1 if name in chosen else -1) for name in self.names]
        return {self.attributes: np.array([row], np.float32)}

    def probabilities(self, means: np.ndarray) -> dict[str, float]:
        """Returns the probability of each class or attribute, by name, given the means of their likelihood.

        A categorical or Bernoulli mean is a probability. The mean m of an attribute with values 1 and -1 gives (1 + m)
        / 2.
        """
        if not self.label:
            probable = means if self.fields[self.attributes].likelihood == "bernoulli" else (1 + means) / 2
            means = np.clip(probable, 0, 1)
        return dict(zip(self.names, map(float, means), strict=True))

    def read(self, pixels: np.ndarray, seed: int = 0) -> tuple[dict[str, float], str]:
        """Predicts probabilities by name for a picture, uint8 `[H, W, C]`, and describes their certainty in a sentence.

        The probability of a class is p(w | x) = E[p(w | z)] over z ~ q(z | x), a mean over 100 samples, which includes
        the uncertainty of z. Attributes are predicted at the mean of q(z | x).
        """
        given = {self.picture: pixels[None]}
        if not self.label:
            said = self.probabilities(self.decode(self.model.latents(given), given)[self.attributes][0])
            found = sorted((name for name, p in said.items() if p > 0.5), key=said.get, reverse=True)
            return said, f"The model predicts: {in_words(found) or 'none of the attributes'}."
        repeated = {self.picture: np.repeat(given[self.picture], _SAMPLES, axis=0)}
        z = self.model.latents(repeated, self.noise(seed, _SAMPLES), seed=seed)
        means = self.decode(z, repeated)[self.label].astype(np.float64).mean(axis=0)
        said = self.probabilities(means / means.sum())
        return said, _how_sure(said)


def attribute_value(field: ModalitySpec, strength: float) -> float:
    """Returns the value of an attribute that is present (strength 1), absent (-1) or in between.

    The values of Bernoulli attributes are 1 and 0, and clipped; those of CelebA, as real numbers, are 1 and -1.
    """
    return float(np.clip((1 + strength) / 2, 0, 1)) if field.likelihood == "bernoulli" else float(strength)


def in_words(attributes: Iterable[str]) -> str:
    """Lists names of attributes as text."""
    return ", ".join(name.replace("_", " ").lower() for name in attributes)


def _how_sure(values: dict[str, float]) -> str:
    (first, p), *others = sorted(values.items(), key=lambda item: -item[1])
    value = math.log(max(p, 1e-12))
    nats = f"log p({first} | picture) {f'= {value:.3f}' if value <= -5e-4 else '> -0.001'} nats"
    if p >= 0.99:
        return f"It is a {first}: the model is all but certain ({nats})."
    if p >= 0.9:
        return f"It is a {first}: the model is quite sure ({nats})."
    if p >= 0.6:
        return f"Probably a {first}, perhaps a {others[0][0]} ({nats})."
    return f"The model cannot decide: {first} and {others[0][0]} are the most probable ({nats})."


def shown(values: dict[str, float]) -> dict[str, float]:
    """Returns probabilities by readable names."""
    return {name.replace("_", " "): value for name, value in values.items()}


def enlarged(pixels: np.ndarray) -> Image.Image:
    """Enlarges a picture, uint8 `[H, W, C]`, by an integer factor for display."""
    return as_picture(grid(pixels[None, None], factor=-(-_SMALLEST // min(pixels.shape[:2]))))
