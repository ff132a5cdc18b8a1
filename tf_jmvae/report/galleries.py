"""Galleries of generated modalities as captioned pictures, in all directions."""

import base64
import functools
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tf_jmvae._utils import gaps
from tf_jmvae.data import Source
from tf_jmvae.models.directions import directions
from tf_jmvae.models.display import in_words, named, pixels
from tf_jmvae.report.facts import number, percent

_SAMPLES, _NAMED, _LISTED, _PRIOR, _FACES, _ATTRIBUTES = 6, 12, 3, 24, 8, 6
_CLASSES, _TEXTS = 20, 20


class Picture(NamedTuple):
    """Image embedded in the page."""

    pixels: np.ndarray  # uint8 `[H, W, 1]` or `[H, W, 3]`
    alt: str  # alternative text
    rows: int = 1  # number of images in it, stacked vertically

    @property
    def style(self) -> str:
        """Style: `"ink"`, dark on white, which may be inverted, or `"photograph"`."""
        return "ink" if self.pixels.shape[-1] == 1 else "photograph"

    @property
    def uri(self) -> str:
        """Data URI of the image: a PNG, or a JPEG of colours."""
        buffer = io.BytesIO()
        if self.style == "ink":
            Image.fromarray(self.pixels[..., 0]).save(buffer, format="PNG", optimize=True)
        else:
            Image.fromarray(self.pixels).save(buffer, format="JPEG", quality=92, subsampling=0)
        kind = "png" if self.style == "ink" else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


class Bar(NamedTuple):
    """Predicted class or attribute, with its value as text and as the length of a bar, 0 to 1."""

    name: str
    value: str
    length: float
    right: bool | None  # None if it is not a prediction


_ROWS = ("mean\nof z", "samples\nof z")


class Card(NamedTuple):
    """Picture with the texts below it."""

    picture: Picture
    caption: str = ""
    bars: Sequence[Bar] = ()
    note: str = ""


class Gallery(NamedTuple):
    """Section of cards with a title and an explanatory text.

    The layout is `"columns"` for narrow strips, `"cards"` for pictures with bars, `"tiles"` for small pictures. `rows`
    are the labels of the first pictures of each strip.
    """

    title: str
    text: str
    cards: list[Card]
    layout: str
    rows: Sequence[str] = _ROWS

    @property
    def heading(self) -> str:
        """Title without the names of modalities."""
        return self.title.split(":")[0]


def galleries(model: Any, source: Source | None, *, seed: int, directions_only: bool = False) -> list[Gallery]:
    """Makes all galleries that the model and the data allow; without data, those of real examples are left out.

    `directions_only` makes only the first ones, of the directions between an image and a label, attributes or a text.
    """
    maker = _Maker(model, source, seed)
    made = [maker.direction(target, given) for target, given in directions(model)]
    if not directions_only:
        made += [maker.reconstructions(), maker.prior()]
    return [gallery for gallery in made if gallery]


def _strip(images: np.ndarray, alt: str) -> Picture:
    """Stacks images, uint8 `[N, H, W, C]`, vertically."""
    return Picture(images.reshape(-1, *images.shape[2:]), alt, len(images))


class _Maker:
    def __init__(self, model: Any, source: Source | None, seed: int):
        self.model, self.seed = model, seed
        self.test = source.test if source else {}
        self.kinds = {name: modality.spec.kind for name, modality in model.modalities.items()}
        class_names = source.class_names if source else ()
        self.names = {
            name: [entry.replace("_", " ") for entry in modality.spec.names(class_names)]
            for name, modality in model.modalities.items()
        }

    def direction(self, target: str, given: Sequence[str]) -> Gallery | None:
        match self.kinds[target], *(self.kinds[name] for name in given):
            case "image", "label":
                return self.images_from_labels(target, *given)
            case "image", "attributes":
                return self.images_from_attributes(target, *given)
            case "image", "text":
                return self.images_from_texts(target, *given)
            case "label" | "attributes" | "text", "image":
                return self.named_from_images(target, *given)
        return None

    def known(self, names: Sequence[str], count: int) -> dict[str, np.ndarray]:
        """Returns the first raw test examples that hold all of these modalities; empty if there are none."""
        if not set(names) <= set(self.test):
            return {}
        rows = np.flatnonzero(~gaps.rows_without(names, self.test))[:count]
        return {name: values[rows] for name, values in self.test.items()} if len(rows) else {}

    def generate(self, given: dict[str, Any], target: str, **options: Any) -> np.ndarray:
        return self.model.generate(given, targets=[target], **({"seed": self.seed} | options))[target].numpy()

    def images_from_labels(self, target: str, given: str) -> Gallery:
        labels = {given: np.eye(len(self.names[given]), dtype=np.float32)[:_CLASSES]}
        drawn = self.generate(labels, target, num_samples=_SAMPLES)
        mean = self.generate(labels, target, latent="mean")
        images = pixels(self.model, target, np.concatenate([mean[:, None], drawn], axis=1))
        cards = [
            Card(_strip(column, f"Images generated for the label {name}: the mean, then {_SAMPLES} samples."), name)
            for name, column in zip(self.names[given], images, strict=False)
        ]
        text = (
            f"Given only a label {given}, the model generates an image {target}. The first row uses the mean of z for "
            f"the label, the rows below {_SAMPLES} samples of z."
        )
        if len(self.names[given]) > _CLASSES:
            text += f" The first {_CLASSES} of {len(self.names[given])} labels are shown."
        return Gallery(f"Images from labels: {target} given {given}", text, cards, "columns")

    def images_from_attributes(self, target: str, given: str) -> Gallery | None:
        """Makes images of the typical attributes, and of these with each attribute inverted in turn."""
        if given not in self.test:
            return None
        names, threshold = self.names[given], self.model.modalities[given].spec.threshold
        absent = 2 * threshold - 1
        usual = np.where(np.nanmean(self.test[given], axis=0) > threshold, 1.0, absent).astype(np.float32)
        changed = np.tile(usual, (len(names) + 1, 1))
        changed[np.arange(1, len(names) + 1), np.arange(len(names))] = 1 + absent - usual
        # The same seed for each row, so that the faces differ by their attributes only.
        seeds = np.tile(np.int32([[0, self.seed]]), (len(changed), 1))
        images = pixels(self.model, target, self.generate({given: changed}, target, latent="mean", seed=seeds))
        cards = [Card(Picture(images[0], "The image generated for the usual attributes."), "usual")]
        for image, name, value in zip(images[1:], names, usual, strict=True):
            words = f"not {name}" if value > threshold else name
            cards.append(Card(Picture(image, f"The same with one attribute changed: {words}."), words))
        has = ", ".join(name for name, value in zip(names, usual, strict=True) if value > threshold)
        text = (
            f"Given only a list of {len(names)} attributes {given}, the model generates an image {target}. The first "
            f"has the attributes that most test images have ({has}); in each of the others exactly one is changed."
        )
        return Gallery(f"Images from attributes: {target} given {given}", text, cards, "tiles")

    def images_from_texts(self, target: str, given: str) -> Gallery | None:
        test = self.known([target, given], _FACES)
        if not test:
            return None
        read = self.model.read({name: test[name] for name in (target, given)})
        texts = {given: read[given]}
        drawn = self.generate(texts, target, num_samples=_LISTED)
        mean = self.generate(texts, target, latent="mean")
        made = np.concatenate([read[target].numpy()[:, None], mean[:, None], drawn], axis=1)
        cards = []
        for column, values in zip(pixels(self.model, target, made), read[given].numpy(), strict=True):
            words = self._words(given, values)
            alt = f"A test image; then images generated for its text {words}: the mean, and {_LISTED} samples."
            cards.append(Card(_strip(column, alt), words))
        text = (
            f"Given only a text {given}, the model generates an image {target}. The first row shows test images, which "
            f"the model never saw, with their texts below. The second row uses the mean of z for the text, the rows "
            f"below {_LISTED} samples of z."
        )
        rows = ("test\nimages", *_ROWS)
        return Gallery(f"Images from texts: {target} given {given}", text, cards, "columns", rows)

    def named_from_images(self, target: str, given: str) -> Gallery | None:
        test = self.known([target, given], _FACES if self.kinds[target] == "attributes" else _NAMED)
        if not test:
            return None
        images = self.model.read({given: test[given]})[given].numpy()
        if self.kinds[target] == "text":
            return self.texts_from_images(target, given, images, self.model.read({target: test[target]})[target])
        if self.kinds[target] == "label":
            kind, name = "Labels", _name_label
            what = "with the most probable labels"
        else:
            threshold = self.model.modalities[target].spec.threshold
            kind, name = "Attributes", functools.partial(_name_attributes, threshold=threshold)
            what = f"with the attributes that it predicts, from {threshold:g} (undecided) to 1"
        made, truth = self.generate({given: images}, target, latent="mean"), test[target]
        cards = []
        for image, values, real in zip(pixels(self.model, given, images), made, truth, strict=True):
            bars, note = name(self.names[target], values, real)
            words = ", ".join(f"{bar.name} {bar.value}" for bar in bars)
            cards.append(Card(Picture(image, f"A test image; the model predicts {words}."), bars=bars, note=note))
        text = (
            f"The first images {given} of the test set, which the model never saw in training, {what}. "
            "✓ marks correct answers, ✗ wrong ones."
        )
        return Gallery(f"{kind} from images: {target} given {given}", text, cards, "cards")

    def texts_from_images(self, target: str, given: str, images: np.ndarray, truth: Any) -> Gallery:
        """Makes the text at the mean of z and the most frequent texts of samples, with their fractions."""
        best = self.generate({given: images}, target, latent="mean")
        drawn = self.generate({given: images}, target, num_samples=_TEXTS)
        cards = []
        for row, image in enumerate(pixels(self.model, given, images)):
            said = Counter(self._words(target, values) for values in drawn[row])
            first, real = self._words(target, best[row]), self._words(target, truth[row].numpy())
            listed = dict.fromkeys([first, *(text for text, _ in said.most_common())])
            bars = [
                Bar(text, percent(said[text] / _TEXTS), said[text] / _TEXTS, text == real or (None if rank else False))
                for rank, text in enumerate(list(listed)[:_LISTED])
            ]
            words = ", ".join(f"{bar.name} {bar.value}" for bar in bars)
            note = "" if first == real else f"It is {real}."
            cards.append(Card(Picture(image, f"A test image; the model predicts {words}."), bars=bars, note=note))
        text = (
            f"The first images {given} of the test set, which the model never saw in training, with the text {target} "
            f"at the mean of z and the most frequent texts of {_TEXTS} samples of z with their fractions. ✓ marks "
            "correct answers, ✗ wrong ones."
        )
        return Gallery(f"Texts from images: {target} given {given}", text, cards, "cards")

    def reconstructions(self) -> Gallery | None:
        target = next((name for name in self.model.targets if self.kinds[name] == "image" and name in self.test), None)
        if target is None or not set(self.model.modalities) <= set(self.test):
            return None
        test = self.known([target] if self.model.incomplete_rows else list(self.model.modalities), _FACES)
        if not test:
            return None
        real = self.model.read({name: test[name] for name in self.model.modalities})
        shown = (pixels(self.model, target, v) for v in (real[target], self.generate(real, target, latent="mean")))
        alt = "A test image, and below it the model's reconstruction."
        cards = [Card(_strip(np.stack(pair), alt)) for pair in zip(*shown, strict=True)]
        size = f"{self.model.latent_dim} dimensions{' per layer' if getattr(self.model, 'num_layers', 1) > 1 else ''}"
        text = f"Test images above, and below their reconstructions from z, which has {size}."
        return Gallery(f"Reconstruction of {target}", text, cards, "columns")

    def prior(self) -> Gallery | None:
        images = [name for name in self.model.targets if self.kinds[name] == "image"]
        if self.model.conditions or not images:
            return None
        drawn = self.model.sample(_PRIOR, seed=self.seed)
        shown = pixels(self.model, images[0], drawn[images[0]])
        cards = []
        for row, image in enumerate(shown):
            words = [self._words(name, drawn[name][row].numpy()) for name in self.model.targets if name != images[0]]
            caption = ", ".join(filter(None, words))
            cards.append(Card(Picture(image, f"A sample from the prior{caption and f', named {caption}'}."), caption))
        others = " and ".join(name for name in self.model.targets if self.kinds[name] in ("label", "attributes"))
        text = "z is sampled from the prior, without any input, and all modalities are generated from it."
        text += f" Below each image is the {others} generated from the same z; the two should agree." if others else ""
        return Gallery(f"From nothing: joint samples of {', '.join(self.model.targets)}", text, cards, "tiles")

    def _words(self, name: str, values: np.ndarray) -> str:
        if self.kinds[name] == "label":
            return named(values, self.names[name], 1)[0][0]
        if self.kinds[name] == "attributes":
            # The least usual attributes are the most informative.
            usual = np.nanmean(self.test[name], axis=0) if name in self.test else 0.0
            threshold = self.model.modalities[name].spec.threshold
            order = [entry for entry in np.argsort(usual - values, kind="stable")[:2] if values[entry] > threshold]
            return ", ".join(self.names[name][entry] for entry in order)
        if self.kinds[name] == "text":
            return ", ".join(in_words(self.model, name, values, self.names[name], _LISTED))
        return ""


def _name_label(names: list[str], values: np.ndarray, real: np.ndarray) -> tuple[list[Bar], str]:
    truth = names[int(real.argmax())]
    best = named(values, names, _LISTED)
    # Only the first is a prediction; another is marked only if it is the true label.
    right = [text == truth or (None if rank else False) for rank, (text, _) in enumerate(best)]
    bars = [Bar(text, percent(p), p, own) for (text, p), own in zip(best, right, strict=True)]
    return bars, "" if values.argmax() == real.argmax() else f"It is {truth}."


def _name_attributes(
    names: list[str], values: np.ndarray, real: np.ndarray, *, threshold: float
) -> tuple[list[Bar], str]:
    bars = [
        Bar(names[entry], number(float(values[entry]), 2), min(values[entry], 1.0), bool(real[entry] > threshold))
        for entry in np.argsort(-values, kind="stable")[:_ATTRIBUTES]
        if values[entry] > threshold
    ]
    missed = [names[entry] for entry in np.argsort(values) if real[entry] > threshold and values[entry] <= threshold]
    listed = f"{', '.join(missed[:3])}{f' and {len(missed) - 3} more' if len(missed) > 3 else ''}"
    return bars, f"Missed: {listed}." if missed else ""
