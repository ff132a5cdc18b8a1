"""A model with the modalities that the page shows; pictures are uint8 pixels both ways."""

from collections.abc import Mapping

import numpy as np

from tf_jmvae.serving import InferenceModel

__all__ = ["DemoModel"]


class DemoModel:
    """A model, entries of its `ModelSpec`, and its first modality of each kind.

    Attributes:
      model: the model itself, wherever it runs.
      fields: every modality by name.
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
