"""Examples for TensorBoard: captioned pictures of generated modalities, and latents for the projector."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tf_jmvae._utils import gaps
from tf_jmvae._utils.files import replace_atomically, write_text
from tf_jmvae._utils.names import of_given
from tf_jmvae._utils.tables import markdown
from tf_jmvae.images.preprocessing import as_picture, grid
from tf_jmvae.models.display import in_words, pixels

_LISTED = 3
_TILE = 84  # smallest width in pixels: small digits are enlarged by an integer factor
_GAP, _LINE, _TITLE = 6, 13, 15
_INK = (30, 30, 30)
_TENSOR, _METADATA, _SPRITE = "latents.tsv", "metadata.tsv", "sprite.png"


class Direction:
    """Direction `target` from `given` with its examples, which `draw` renders.

    `data` is a dict of real examples, arrays `[N, ...]` by modality, of which the first `count` with both sides are
    shown; `names` has the names of the entries of each modality.
    """

    def __init__(
        self,
        model: Any,
        target: str,
        given: tuple[str, ...],
        data: Mapping[str, np.ndarray],
        names: Mapping[str, tuple[str, ...]],
        *,
        count: int,
        seed: int,
    ):
        self.title = of_given(target, given)
        self._model, self._target, self._given, self._names = model, target, given, names
        known = np.flatnonzero(~np.any([gaps.missing_rows(data[name]) for name in (*given, target)], axis=0))
        self._examples, label = {name: values[known[:count]] for name, values in data.items()}, given[0]
        self._from_labels = len(given) == 1 and model.modalities[label].spec.kind == "label"
        if self._from_labels:  # each class once, up to a limit, instead of the classes of examples
            size = model.modalities[label].event_shape[-1]
            self._examples = {label: np.eye(size, dtype=np.float32)[: max(count, 10)]}
        self._options = {"targets": [target], "seed": seed}

    @property
    def has_examples(self) -> bool:
        """Whether there are examples to show."""
        return len(self._examples[self._given[0]]) > 0

    def draw(self) -> tuple[np.ndarray | None, str]:
        """Draws a uint8 picture `[H, W, 3]`, or None without images, and a Markdown table."""
        target, observed = self._target, {name: self._examples[name] for name in self._given}
        mean = self._model.generate(observed, latent="mean", **self._options)[target].numpy()
        given = {f"{name} (given)": (name, values) for name, values in observed.items()}
        real = {}
        if target in self._examples and not (target in observed and self._is_image(target)):
            real = {f"{target} (real)": (target, self._examples[target])}
        if self._is_image(target):
            drawn = self._model.generate(observed, **self._options)[target]
            made = {"mean": mean, "sample": drawn}
            shown = given | {f"{target} (from the {what} of z)": (target, one) for what, one in made.items()} | real
        else:
            shown = given | real | {f"{target} (generated)": (target, mean)}
        images = {title: pixels(self._model, *one) for title, one in shown.items() if self._is_image(one[0])}
        words = {
            title: [self._words(name, value) for value in values]
            for title, (name, values) in shown.items()
            if not self._is_image(name)
        }
        captions = [
            [line for title, column in words.items() if title not in real for line in column[number]]
            for number in range(len(mean))
        ]
        rows = [[str(number + 1), *(", ".join(c[number]) for c in words.values())] for number in range(len(mean))]
        picture = _sheet(images, captions) if images else None
        said = self._from_labels and self._is_image(target)  # already in the picture's captions
        return picture, markdown(["", *words], rows) if words and not said else ""

    def _words(self, name: str, values: np.ndarray) -> list[str]:
        return in_words(self._model, name, values, self._names[name], _LISTED)

    def _is_image(self, name: str) -> bool:
        return self._model.modalities[name].spec.is_image


def _sheet(rows: Mapping[str, np.ndarray], captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Draws titled rows of images `[N, H, W, C]` with captions below, uint8 `[H, W, 3]`."""
    font = ImageFont.load_default(size=10)
    width = next(iter(rows.values())).shape[2]
    factor = max(1, -(-_TILE // width))
    width *= factor
    strips = {title: as_picture(grid(row[None], factor=factor, gap=_GAP)) for title, row in rows.items()}
    height = sum(strip.height + _TITLE for strip in strips.values()) + max(map(len, captions)) * _LINE
    canvas = Image.new("RGB", (len(captions) * (width + _GAP) + _GAP, height), "white")
    pen, top = ImageDraw.Draw(canvas), 0
    for title, strip in strips.items():
        pen.text((_GAP, top + 4), title, fill=_INK, font=font)
        canvas.paste(strip, (0, top + _TITLE))
        top += _TITLE + strip.height
    for column, texts in enumerate(captions):
        for line, text in enumerate(texts):
            place = (_GAP + column * (width + _GAP), top - 4 + line * _LINE)
            pen.text(place, _fitting(text, width, font), fill=_INK, font=font)
    return np.asarray(canvas)


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    shown = text
    while text and font.getlength(shown) > width:
        text = text[:-1]
        shown = f"{text}…"
    return shown


def write_projected(
    folder: Path, model: Any, data: Mapping[str, np.ndarray], names: Mapping[str, tuple[str, ...]]
) -> None:
    """Writes the projector's constant files: labels, pictures and its configuration.

    The folder is that of the event files, where the projector finds `projector_config.pbtxt`. `data` is a dict of
    arrays `[N, ...]` by modality, and `names` has the names of the entries of each.
    """
    from google.protobuf import text_format
    from tensorboard.plugins import projector
    from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME

    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name=f"mean of q(z | {', '.join(model.modalities)})", tensor_path=_TENSOR)
    images = next((name for name in data if model.modalities[name].spec.is_image), None)
    if images is not None:
        pictures = pixels(model, images, data[images])
        replace_atomically(folder / _SPRITE, lambda path: _sprite(pictures).save(path, format="PNG"))
        embedding.sprite.image_path = _SPRITE
        embedding.sprite.single_image_dim.extend([pictures.shape[2], pictures.shape[1]])
    columns = {}  # a label, or yes or no for each attribute, by which points can be coloured
    for name, values in data.items():
        kind = model.modalities[name].spec.kind
        if kind == "label":
            classes = np.array(names[name])[values.argmax(axis=-1)]
            columns[name] = np.where(gaps.missing_rows(values), "unknown", classes)
        elif kind == "attributes":
            present = np.where(
                np.isnan(values), "unknown", np.where(values > model.modalities[name].spec.threshold, "yes", "no")
            ).T
            columns |= dict(zip(names[name], present, strict=True))
    if columns:
        lines = ["\t".join(row) for row in zip(*columns.values(), strict=True)]
        # The projector reads the first line as names only if there are several columns.
        lines = lines if len(columns) == 1 else ["\t".join(columns), *lines]
        write_text(folder / _METADATA, "\n".join(lines) + "\n")
        embedding.metadata_path = _METADATA
    write_text(folder / PROJECTOR_FILENAME, text_format.MessageToString(config))


def write_latents(folder: Path, model: Any, data: Mapping[str, np.ndarray]) -> None:
    """Writes the means of q(z | all modalities), a row of tab-separated numbers for each example."""
    means = model.posterior(dict(data)).mean().numpy()
    write_text(folder / _TENSOR, "\n".join("\t".join(f"{value:.5g}" for value in row) for row in means) + "\n")


def _sprite(images: np.ndarray) -> Image.Image:
    """Arranges small pictures, uint8 `[N, H, W, C]`, in a square grid, as the embedding projector reads them."""
    side = math.isqrt(len(images) - 1) + 1
    white = np.full((side**2 - len(images), *images.shape[1:]), 255, np.uint8)
    return as_picture(grid(np.concatenate([images, white]).reshape(side, side, *images.shape[1:]))).convert("RGB")
