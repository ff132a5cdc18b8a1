"""Questions that several tabs ask of a model: inputs for a choice, noise from a seed, readings of a picture."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from tf_jmvae.demo.interface import DemoModel
from tf_jmvae.images.preprocessing import as_picture
from tf_jmvae.specs import ModalitySpec

__all__ = [
    "Reading",
    "attribute_value",
    "enlarged",
    "in_words",
    "named",
    "noise",
    "observed",
    "probabilities",
    "read",
    "shown",
]

_SAMPLES = 100  # of z behind each probability
_SMALLEST = 112  # pixels, of the side of a picture on the page


def observed(model: DemoModel, choice: str | Iterable[str]) -> dict[str, np.ndarray]:
    """The label of that name, or the attributes of those names and no others, as one row."""
    if model.label:
        names = model.class_names()
        return {model.label: np.eye(len(names), dtype=np.float32)[[names.index(choice)]]}
    field, chosen = model.fields[model.attributes], set(choice)
    row = [attribute_value(field, 1 if name in chosen else -1) for name in field.entry_names]
    return {model.attributes: np.array([row], np.float32)}


def attribute_value(field: ModalitySpec, strength: float) -> float:
    """The value of an attribute that is there (strength 1), is not there (-1) or is in between.

    Of Bernoulli attributes these are 1 and 0, and nothing lies beyond; CelebA's, as reals, are 1 and -1.
    """
    return float(np.clip((1 + strength) / 2, 0, 1)) if field.likelihood == "bernoulli" else float(strength)


def probabilities(model: DemoModel, means: np.ndarray) -> dict[str, float]:
    """Probability of each class or attribute, by name, given the means of their likelihood.

    A categorical or Bernoulli mean is that probability. Of an attribute that is 1 or -1 and has the mean m it is
    (1 + m) / 2.
    """
    if model.label:
        return dict(zip(model.class_names(), map(float, means), strict=True))
    field = model.fields[model.attributes]
    probable = means if field.likelihood == "bernoulli" else (1 + means) / 2
    return dict(zip(field.entry_names, map(float, np.clip(probable, 0, 1)), strict=True))


def named(model: DemoModel, choice: str | Iterable[str]) -> str:
    """A choice in words."""
    return str(choice) if model.label else in_words(choice) or "no attribute"


def in_words(attributes: Iterable[str]) -> str:
    """Names of attributes, listed."""
    return ", ".join(name.replace("_", " ").lower() for name in attributes)


def noise(seed: int, rows: int, size: int) -> np.ndarray:
    """Standard normal `[rows, size]`; the first rows stay what they are when there are more."""
    return np.random.default_rng(int(seed)).standard_normal((rows, size)).astype(np.float32)


class Reading(NamedTuple):
    """What a model says of a picture."""

    values: dict[str, float]  # probabilities by name: of the classes, which sum to 1, or of each attribute
    words: str  # how sure it is, in a sentence


def read(model: DemoModel, pixels: np.ndarray, seed: int = 0) -> Reading:
    """What the model says of a picture, uint8 `[H, W, C]`.

    The probability of a class is p(w | x) = E[p(w | z)] over z ~ q(z | x), a mean over 100 samples: where the model
    is unsure what z is, it is unsure what it sees. Attributes are those at the mean of q(z | x).
    """
    given = {model.picture: pixels[None]}
    if not model.label:
        said = probabilities(model, model.decode(model.model.latents(given), given)[model.attributes][0])
        found = sorted((name for name, p in said.items() if p > 0.5), key=said.get, reverse=True)
        return Reading(said, f"The model names: {in_words(found) or 'none of the attributes'}.")
    repeated = {model.picture: np.repeat(given[model.picture], _SAMPLES, axis=0)}
    z = model.model.latents(repeated, noise(seed, _SAMPLES, model.model.latent_size), seed=seed)
    means = model.decode(z, repeated)[model.label].astype(np.float64).mean(axis=0)
    values = probabilities(model, means / means.sum())
    return Reading(values, _in_words(values))


def _in_words(values: dict[str, float]) -> str:
    (first, p), *others = sorted(values.items(), key=lambda item: -item[1])
    value = math.log(max(p, 1e-12))
    nats = f"log p({first} | picture) {f'= {value:.3f}' if value <= -5e-4 else '> -0.001'} nats"
    if p >= 0.99:
        return f"It is a {first}: the model is all but certain ({nats})."
    if p >= 0.9:
        return f"It is a {first}: the model is quite sure ({nats})."
    if p >= 0.6:
        return f"Probably a {first}, perhaps a {others[0][0]} ({nats})."
    return f"The model cannot decide; {first} or {others[0][0]} come first ({nats})."


def shown(values: dict[str, float]) -> dict[str, float]:
    """Probabilities by names as people read them."""
    return {name.replace("_", " "): value for name, value in values.items()}


def enlarged(pixels: np.ndarray) -> Image.Image:
    """A picture, uint8 `[H, W, C]`, with pixels large enough to see."""
    image = as_picture(pixels)
    factor = -(-_SMALLEST // min(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
