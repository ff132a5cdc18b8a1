"""A model, and which of its modalities the page shows. Pictures are uint8 pixels on the way in and on the way out."""

from collections.abc import Mapping

import numpy as np

from tf_jmvae import editing
from tf_jmvae.serving import InferenceModel

__all__ = ["DemoModel"]


class DemoModel:
    """A model and its first picture, label and attributes.

    Attributes:
      model: the model itself, wherever it runs.
      name: for the heading.
      kind: the class.
      dataset: that it was trained on, or "" if nobody wrote it down.
      fields: every modality by name.
      conditions: the modalities that a one-way model is conditioned on; empty for a joint model.
      picture: the name of the picture's modality, or None; `label` and `attributes` likewise.
    """

    def __init__(self, model: InferenceModel):
        self.model, spec = model, model.spec
        self.name, self.kind, self.dataset = spec.name, spec.kind, spec.dataset
        self.fields, self.conditions = spec.modalities, tuple(spec.conditions)
        self.picture, self.label, self.attributes = map(spec.first, ("image", "label", "attributes"))

    @property
    def meaning(self) -> str | None:
        """The modality that says what is in the picture: the label, or else the attributes."""
        return self.label or self.attributes

    def class_names(self) -> list[str]:
        """What the entries of the label are called."""
        return list(self.fields[self.label].names())

    def goes(self, source: str | None, target: str | None) -> bool:
        """Whether the model goes from one modality to another."""
        return None not in (source, target) and target not in self.conditions and self.model.starts_from([source])

    def decode(self, z: np.ndarray, conditions: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The mean of p(m | z) for every target, `[B, *event_shape]`, of z `[B, D]`; pictures as pixels.

        Of what is given a one-way model reads what it is conditioned on, and a joint model nothing.
        """
        own = {name: (conditions or {})[name] for name in self.conditions}
        shown = "uint8" if self.picture in self.model.spec.targets else "float"
        return self.model.decode(np.asarray(z, np.float32), own, images=shown)

    def edit(self, portrait: np.ndarray, changes: Mapping[str, float]) -> np.ndarray:
        """The portrait, uint8 `[H, W, C]` of the model's size, with attributes changed: as `tf_jmvae.edit`."""
        return editing.edit(self.model, portrait, changes, attributes=self.attributes, photograph=self.picture)

    def can_edit(self) -> bool:
        """Whether the model goes from pictures to attributes, and back."""
        try:
            return bool(self.model.editable(self.picture, self.attributes))
        except ValueError:
            return False
