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
        observed = {name: self._examples[name] for name in self._given}
        mean = self._model.generate(observed, latent="mean", **self._options)[self._target].numpy()
        return self._picture(observed, mean), self._text(observed, mean)

    def _picture(self, observed: Mapping[str, np.ndarray], mean: np.ndarray) -> np.ndarray | None:
        rows = {
            f"{name} (given)": pixels(self._model, name, values)
            for name, values in observed.items()
            if self._is_image(name)
        }
        shown = {name: values for name, values in observed.items() if not self._is_image(name)}
        if self._is_image(self._target):
            drawn = self._model.generate(observed, **self._options)[self._target]
            rows[f"{self._target} (from the mean of z)"] = pixels(self._model, self._target, mean)
            rows[f"{self._target} (from a sample of z)"] = pixels(self._model, self._target, drawn)
            if self._target in self._examples and self._target not in observed:
                rows[f"{self._target} (real)"] = pixels(self._model, self._target, self._examples[self._target])
        else:
            shown[self._target] = mean
        if not rows:
            return None
        captions = [
            [line for name, values in shown.items() for line in self._words(name, values[number])]
            for number in range(len(mean))
        ]
        return sheet(list(rows.values()), captions, list(rows))

    def _text(self, observed: Mapping[str, np.ndarray], mean: np.ndarray) -> str:
        if self._from_labels and self._is_image(self._target):
            return ""  # the picture's captions say it all
        columns = {f"{name} (given)": (name, values) for name, values in observed.items() if not self._is_image(name)}
        if not self._is_image(self._target):
            if self._target in self._examples:
                columns[f"{self._target} (real)"] = (self._target, self._examples[self._target])
            columns[f"{self._target} (generated)"] = (self._target, mean)
        if not columns:
            return ""
        rows = (
            [str(number + 1), *(", ".join(self._words(name, values[number])) for name, values in columns.values())]
            for number in range(len(mean))
        )
        return markdown(["", *columns], rows)

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
