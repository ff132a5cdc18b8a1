"""What the model makes, in both directions, as captioned pictures."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tf_jmvae.data import Source
from tf_jmvae.models.directions import directions, named, pixels
from tf_jmvae.report.page.numbers import number, percent

__all__ = ["Bar", "Card", "Gallery", "galleries", "of_directions"]

_SAMPLES, _NAMED, _LISTED, _PRIOR, _FACES, _ATTRIBUTES = 6, 12, 3, 24, 8, 6


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
      pixels: uint8 `[H, W, 1]` or `[H, W, 3]`.
      alt: what it shows, in words.
      rows: images in it, one below the other.
    """

    pixels: np.ndarray
    alt: str
    rows: int = 1

    @property
    def style(self) -> str:
        """`"ink"`, which is dark on white and may be shown as light on dark, or `"photograph"`."""
        return "ink" if self.pixels.shape[-1] == 1 else "photograph"

    @property
    def uri(self) -> str:
        """All its bytes: a PNG, or a JPEG of colours."""
        buffer = io.BytesIO()
        if self.style == "ink":
            Image.fromarray(self.pixels[..., 0]).save(buffer, format="PNG", optimize=True)
        else:
            Image.fromarray(self.pixels).save(buffer, format="JPEG", quality=92, subsampling=0)
        kind = "png" if self.style == "ink" else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Bar:
    """One thing that the model names.

    Attributes:
      name: of the class or the attribute.
      value: as text.
      length: of its bar, 0 to 1.
      right: whether it is so; None where nothing is claimed.
    """

    name: str
    value: str
    length: float
    right: bool | None


@dataclass(frozen=True)
class Card:
    """A picture with what is written below it."""

    picture: Picture
    caption: str = ""
    bars: list[Bar] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Cards under one title.

    Attributes:
      title: of the section.
      text: what one sees, for people who see it for the first time.
      cards: in order.
      layout: `"columns"` for narrow strips, `"cards"` for pictures with bars, `"tiles"` for small ones.
    """

    title: str
    text: str
    cards: list[Card]
    layout: str


def galleries(model: Any, source: Source | None, *, seed: int) -> list[Gallery]:
    """Every gallery that the model and the data allow; without data, what needs real examples is left out."""
    maker = _Maker(model, source, {"seed": seed})
    more = [gallery for gallery in (maker.reconstructions(), maker.prior()) if gallery]
    return [*of_directions(model, source, seed=seed), *more]


def of_directions(model: Any, source: Source | None, *, seed: int) -> list[Gallery]:
    """A gallery for each direction between an image and a label or attributes; the arguments are as for `galleries`."""
    maker = _Maker(model, source, {"seed": seed})
    made = [maker.direction(target, given) for target, given in directions(model)]
    return [gallery for gallery in made if gallery]


def _strip(images: np.ndarray, alt: str) -> Picture:
    """Images one below the other, uint8 `[N, H, W, C]`."""
    return Picture(images.reshape(-1, *images.shape[2:]), alt, len(images))


class _Maker:
    def __init__(self, model: Any, source: Source | None, options: Mapping[str, Any]):
        self.model, self.options = model, options
        self.test = source.test if source else {}
        self.kinds = {name: modality.spec.kind for name, modality in model.modalities.items()}
        class_names = source.class_names if source else ()
        self.names = {
            name: [entry.replace("_", " ") for entry in modality.spec.names(class_names)]
            for name, modality in model.modalities.items()
        }

    def direction(self, target: str, given: tuple[str, ...]) -> Gallery | None:
        given_kinds = tuple(self.kinds[name] for name in given)
        make: Callable[..., Gallery | None] | None = {
            ("image", ("label",)): self.images_from_labels,
            ("image", ("attributes",)): self.images_from_attributes,
            ("label", ("image",)): self.named_from_images,
            ("attributes", ("image",)): self.named_from_images,
        }.get((self.kinds[target], given_kinds))
        return make(target, given[0]) if make else None

    def images_from_labels(self, target: str, given: str) -> Gallery:
        labels = {given: np.eye(len(self.names[given]), dtype=np.float32)}
        drawn = self.model.generate(labels, targets=[target], num_samples=_SAMPLES, **self.options)[target].numpy()
        mean = self.model.generate(labels, targets=[target], latent="mean", **self.options)[target].numpy()
        images = pixels(self.model, target, np.concatenate([mean[:, None], drawn], axis=1))
        cards = [
            Card(_strip(column, f"Images made for the label {name}: the mean, then {_SAMPLES} samples."), name)
            for name, column in zip(self.names[given], images, strict=True)
        ]
        text = (
            f"The model is given a label {given} and nothing else, and makes an image {target}. In the first row z is "
            f"the mean of what it expects for the label; below, {_SAMPLES} samples of z: more images of that label."
        )
        return Gallery(f"Images from labels: {target} given {given}", text, cards, "columns")

    def images_from_attributes(self, target: str, given: str) -> Gallery | None:
        """The typical list of attributes, and the same with each one turned over."""
        if given not in self.test:
            return None
        names = self.names[given]
        usual = np.where(np.mean(self.test[given], axis=0) > 0, 1.0, -1.0).astype(np.float32)
        changed = np.tile(usual, (len(names) + 1, 1))
        changed[np.arange(1, len(names) + 1), np.arange(len(names))] *= -1
        # One seed for each row, and the same one: the faces differ by their attributes alone.
        options = {**self.options, "seed": np.tile(np.int32([[0, self.options["seed"]]]), (len(changed), 1))}
        made = self.model.generate({given: changed}, targets=[target], latent="mean", **options)[target]
        images = pixels(self.model, target, made)
        cards = [Card(Picture(images[0], "The image made for the usual attributes."), "usual")]
        for image, name, value in zip(images[1:], names, usual, strict=True):
            words = f"not {name}" if value > 0 else name
            cards.append(Card(Picture(image, f"The same with one attribute changed: {words}."), words))
        has = ", ".join(name for name, value in zip(names, usual, strict=True) if value > 0)
        text = (
            f"The model is given a list of {len(names)} attributes {given} and nothing else, and makes an image "
            f"{target}. The first has the attributes that most people here have ({has}); in each of the others just "
            "one is changed."
        )
        return Gallery(f"Images from attributes: {target} given {given}", text, cards, "tiles")

    def named_from_images(self, target: str, given: str) -> Gallery | None:
        if given not in self.test or target not in self.test:
            return None
        is_label = self.kinds[target] == "label"
        count = _NAMED if is_label else _FACES
        images = self.model.read({given: self.test[given][:count]})[given].numpy()
        truth = self.test[target][:count]
        made = self.model.generate({given: images}, targets=[target], latent="mean", **self.options)[target].numpy()
        cards = []
        for image, values, real in zip(pixels(self.model, given, images), made, truth, strict=True):
            bars = self._classes(target, values, real) if is_label else self._attributes(target, values, real)
            note = self._missed(target, values, real)
            words = ", ".join(f"{bar.name} {bar.value}" for bar in bars)
            cards.append(Card(Picture(image, f"A test image; the model names {words}."), bars=bars, note=note))
        what = "how likely it finds each label" if is_label else "which attributes it sees, from 0, undecided, to 1"
        text = (
            f"Images {given} that the model never saw in training, the first of the test set, and {what}. "
            "✓ marks what is right, ✗ what is not."
        )
        return Gallery(
            f"{'Labels' if is_label else 'Attributes'} from images: {target} given {given}", text, cards, "cards"
        )

    def reconstructions(self) -> Gallery | None:
        target = next((name for name in self.model.targets if self.kinds[name] == "image" and name in self.test), None)
        if target is None or not set(self.model.modalities) <= set(self.test):
            return None
        real = self.model.read({name: self.test[name][:_FACES] for name in self.model.modalities})
        made = self.model.generate(real, targets=[target], latent="mean", seed=self.options["seed"])[target]
        pairs = zip(pixels(self.model, target, real[target]), pixels(self.model, target, made), strict=True)
        alt = "A test image, and below it the model's reconstruction."
        cards = [Card(_strip(np.stack(pair), alt)) for pair in pairs]
        size = f"{self.model.latent_dim} numbers{' a layer' if getattr(self.model, 'num_layers', 1) > 1 else ''}"
        text = f"Above, test images; below, what is left of them after they went through z, {size}."
        return Gallery(f"Reconstruction of {target}", text, cards, "columns")

    def prior(self) -> Gallery | None:
        images = [name for name in self.model.targets if self.kinds[name] == "image"]
        if self.model.conditions or not images:
            return None
        drawn = self.model.sample(_PRIOR, seed=self.options["seed"])
        shown = pixels(self.model, images[0], drawn[images[0]])
        cards = []
        for row, image in enumerate(shown):
            words = [self._words(name, drawn[name][row].numpy()) for name in self.model.targets if name != images[0]]
            caption = ", ".join(filter(None, words))
            cards.append(Card(Picture(image, f"A sample from the prior{caption and f', named {caption}'}."), caption))
        others = " and ".join(name for name in self.model.targets if self.kinds[name] in ("label", "attributes"))
        text = "z is sampled from the prior, with nothing given, and all modalities are made from it."
        text += f" Below each image is the {others} made from the same z: the two should agree." if others else ""
        return Gallery(f"From nothing: joint samples of {', '.join(self.model.targets)}", text, cards, "tiles")

    def _words(self, name: str, values: np.ndarray) -> str:
        if self.kinds[name] == "label":
            return named(values, self.names[name], 1)[0][0]
        if self.kinds[name] == "attributes":
            # What is most unlike other people says more than what all have.
            usual = np.mean(self.test[name], axis=0) if name in self.test else 0.0
            order = [entry for entry in np.argsort(usual - values, kind="stable")[:2] if values[entry] > 0]
            return ", ".join(self.names[name][entry] for entry in order)
        return ""

    def _classes(self, name: str, values: np.ndarray, real: np.ndarray) -> list[Bar]:
        truth = self.names[name][int(real.argmax())]
        best = named(values, self.names[name], _LISTED)
        # A claim is what comes first; another is marked only if the model should have named it.
        right = [text == truth or (None if rank else False) for rank, (text, _) in enumerate(best)]
        return [Bar(text, percent(p), p, own) for (text, p), own in zip(best, right, strict=True)]

    def _missed(self, name: str, values: np.ndarray, real: np.ndarray) -> str:
        """What is so, and the model does not say."""
        if self.kinds[name] == "label":
            return "" if values.argmax() == real.argmax() else f"It is {self.names[name][int(real.argmax())]}."
        missed = [entry for entry in np.argsort(values) if real[entry] > 0 and values[entry] <= 0]
        listed = ", ".join(self.names[name][entry] for entry in missed[:3])
        return f"Not seen: {listed}{f' and {len(missed) - 3} more' if len(missed) > 3 else ''}." if missed else ""

    def _attributes(self, name: str, values: np.ndarray, real: np.ndarray) -> list[Bar]:
        order = [entry for entry in np.argsort(-values, kind="stable")[:_ATTRIBUTES] if values[entry] > 0]
        return [
            Bar(
                self.names[name][entry], number(float(values[entry]), 2), min(values[entry], 1.0), bool(real[entry] > 0)
            )
            for entry in order
        ]
