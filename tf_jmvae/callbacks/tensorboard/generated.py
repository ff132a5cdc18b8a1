"""What a model generates in each direction, as a picture with captions and as a text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_jmvae._utils.tables import markdown
from tf_jmvae.callbacks.tensorboard.sheets import sheet
from tf_jmvae.models.directions import named, pixels

__all__ = ["Direction"]

_LISTED = 3


class Direction:
    """One direction, `target` from `given`: the examples that it is shown for, drawn anew whenever asked.

    `data` are real examples, arrays `[N, ...]` by modality, of which `count` are shown; `names` are what the entries of
    each modality are called.
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
        self.title = f"{target}_from_{'_and_'.join(given)}"
        self._model, self._target, self._given, self._names = model, target, given, names
        self._examples = {name: values[:count] for name, values in data.items()}
        label = given[0]
        self._from_labels = len(given) == 1 and model.modalities[label].spec.kind == "label"
        if self._from_labels:  # classes once each, the first of many, in place of the classes of some examples
            size = model.modalities[label].event_shape[-1]
            self._examples = {label: np.eye(size, dtype=np.float32)[: max(count, 10)]}
        self._options = {"targets": [target], "seed": seed}

    def draw(self) -> tuple[np.ndarray | None, str]:
        """A uint8 picture `[H, W, 3]`, where an image is on either side, and a Markdown table."""
        target, observed = self._target, {name: self._examples[name] for name in self._given}
        mean = self._model.generate(observed, latent="mean", **self._options)[target].numpy()
        shown = {f"{name} (given)": (name, values) for name, values in observed.items()}
        real = {}
        if target in self._examples and not (target in observed and self._is_image(target)):
            real = {f"{target} (real)": (target, self._examples[target])}
        if self._is_image(target):
            drawn = self._model.generate(observed, **self._options)[target]
            shown |= {
                f"{target} (from the mean of z)": (target, mean),
                f"{target} (from a sample of z)": (target, drawn),
            }
            shown |= real
        else:
            shown |= real | {f"{target} (generated)": (target, mean)}
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
        picture = sheet(list(images.values()), captions, list(images)) if images else None
        said = self._from_labels and self._is_image(target)  # by the picture's captions
        return picture, markdown(["", *words], rows) if words and not said else ""

    def _words(self, name: str, values: np.ndarray) -> list[str]:
        """A label with its probability, the attributes most present, or the first values."""
        kind = self._model.modalities[name].spec.kind
        if kind == "label":
            ((text, probability),) = named(values, self._names[name], 1)
            return [text if probability == 1 else f"{text} ({probability:.0%})"]
        if kind == "attributes":
            return [text for text, value in named(values, self._names[name], _LISTED) if value > 0] or ["none"]
        return [f"{value:.2f}" for value in np.ravel(values)[:_LISTED]]

    def _is_image(self, name: str) -> bool:
        return self._model.modalities[name].spec.is_image
