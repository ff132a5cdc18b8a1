"""What the page asks of a model, the same of an exported SavedModel and of a Keras model.

Pictures are uint8 pixels on the way in and grey levels from 0 to 255 on the way out, whatever the model itself reads.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_jmvae import editing, heads
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import hub, names
from tf_jmvae.training import run

__all__ = ["DemoModel", "ExportedModel", "Field", "KerasModel", "open_model", "to_pixels"]

_NO_PICTURES = ("categorical", "counts", "poisson")


@dataclass(frozen=True)
class Field:
    """A modality as far as the page must know it; the attributes are those of `tf_jmvae.Modality`."""

    event_shape: tuple[int, ...]
    likelihood: str
    standardized: bool = False
    entry_names: tuple[str, ...] = ()

    @property
    def is_picture(self) -> bool:
        """Whether it is a grey or an RGB image."""
        is_grid = len(self.event_shape) == 3 and self.event_shape[-1] in (1, 3)
        return is_grid and self.likelihood not in _NO_PICTURES


class DemoModel:
    """A model and its first picture, label and attributes.

    Attributes:
      name: for the heading.
      kind: the class.
      dataset: that it was trained on, or "" if nobody wrote it down.
      fields: every modality by name.
      given: the modalities that a one-way model is conditioned on; empty for a joint model.
      picture: the name of the picture's modality, or None; `label` and `attributes` likewise.
    """

    def __init__(self, name: str, kind: str, dataset: str, fields: Mapping[str, Field], given: Iterable[str]):
        self.name, self.kind, self.dataset = name, kind, dataset
        self.fields, self.given = dict(fields), tuple(given)
        self.picture = self._first(lambda field: field.is_picture)
        self.label = self._first(lambda field: field.likelihood == "categorical" and len(field.event_shape) == 1)
        self.attributes = self._first(lambda field: bool(field.entry_names) and field.likelihood != "categorical")

    def _first(self, wanted) -> str | None:
        return next((name for name, field in self.fields.items() if wanted(field)), None)

    @property
    def meaning(self) -> str | None:
        """The modality that says what is in the picture: the label, or else the attributes."""
        return self.label or self.attributes

    def class_names(self) -> list[str]:
        """What the entries of the label are called."""
        field = self.fields[self.label]
        return list(field.entry_names) or [str(number) for number in range(field.event_shape[0])]

    def goes(self, source: str | None, target: str | None) -> bool:
        """Whether the model goes from one modality to another."""
        return None not in (source, target) and target not in self.given and self.starts_from([source])

    def latent_size(self) -> int:
        """D, the length of z; of a hierarchy, of all its layers."""
        raise NotImplementedError(f"{type(self).__name__} must define latent_size()")

    def starts_from(self, observed: Iterable[str]) -> bool:
        """Whether there is q(z | just these)."""
        raise NotImplementedError(f"{type(self).__name__} must define starts_from()")

    def posterior(self, observed: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of q(z | observed), each `[B, D]`; pictures as uint8 `[B, H, W, C]`."""
        raise NotImplementedError(f"{type(self).__name__} must define posterior()")

    def decode(self, z: np.ndarray, given: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The mean of p(m | z) for every target, `[B, *event_shape]`; pictures as grey levels.

        Args:
          z: `[B, D]`.
          given: what is observed; of it a one-way model reads what it is conditioned on, and a joint model nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} must define decode()")

    def edit(self, portrait: np.ndarray, changes: Mapping[str, float]) -> np.ndarray:
        """The portrait, uint8 `[H, W, 3]` of the model's size, with attributes changed: as `tf_jmvae.edit`."""
        raise NotImplementedError(f"{type(self).__name__} must define edit()")

    def _conditions(self, given: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        return {name: (given or {})[name] for name in self.given}


class ExportedModel(DemoModel):
    """A SavedModel, asked by its signatures."""

    def __init__(self, model: hub.HubModel):
        card = model.card
        fields = {
            name: Field(
                tuple(entry["event_shape"]), entry["likelihood"], entry["standardized"], tuple(entry["entry_names"])
            )
            for name, entry in card["modalities"].items()
        }
        given = [name for name, entry in card["modalities"].items() if entry["given"]]
        super().__init__(card["name"], card["kind"], _dataset(card["training"]), fields, given)
        self._model = model

    def latent_size(self):
        return self._model.signatures["decode"].inputs["z"].shape[-1]

    def starts_from(self, observed):
        in_order = [name for name in self.fields if name in set(observed)]
        return names.encode(in_order) in self._model.signatures or len(in_order) == len(self.fields)

    def posterior(self, observed):
        q = self._model.encode(self._readable(observed))
        return q["mean"], q["standard_deviation"]

    def decode(self, z, given=None):
        conditions, options = self._readable(self._conditions(given)), {}
        standardized = [name for name in self.fields if self._is_standardized_picture(name)]
        if any(name not in self.given for name in standardized):
            options["images"] = "uint8"
        outputs = self._model.decode(np.asarray(z, np.float32), conditions, **options)
        return {name: self._levels(name, value) for name, value in outputs.items()}

    def edit(self, portrait, changes):
        # Signatures give standardised images only as pixels, so the two mean images are whole grey levels already.
        pictures = {self.picture: portrait[None]}
        before = self.decode(self.posterior(pictures)[0], pictures)[self.attributes]
        after = before.copy()
        entry_names = self.fields[self.attributes].entry_names
        for name, value in changes.items():
            after[0, entry_names.index(name)] = value
        both = {self.attributes: np.concatenate([before, after])}
        means = self.decode(self.posterior(both)[0], both)[self.picture]
        return to_pixels(portrait + (means[1] - means[0]))

    def _is_standardized_picture(self, name: str) -> bool:
        return self.fields[name].is_picture and self.fields[name].standardized

    def _readable(self, observed: Mapping[str, np.ndarray]) -> dict:
        """The values that signatures read; the graph standardises encoded images itself."""
        pictures = [name for name in observed if self.fields[name].is_picture]
        if any(map(self._is_standardized_picture, pictures)):
            return {k: [_png(p) for p in v] if k in pictures else v for k, v in observed.items()}
        return {k: np.float32(v) / 255 if k in pictures else v for k, v in observed.items()}

    def _levels(self, name: str, value: np.ndarray) -> np.ndarray:
        if not self.fields[name].is_picture:
            return value
        return np.float32(value) * (1 if value.dtype == np.uint8 else 255)


class KerasModel(DemoModel):
    """A live model of the package.

    Args:
      model: the model.
      name: for the heading.
      dataset: that it was trained on.
      num_steps: of iterated sampling, for models that need it.
    """

    def __init__(self, model: MultimodalVAE, name: str, dataset: str = "", num_steps: int = 1):
        fields = {
            key: Field(m.event_shape, heads.name_of(m.head), m.standardized, m.entry_names)
            for key, m in model.modalities.items()
        }
        super().__init__(name, type(model).__name__, dataset, fields, model.given)
        self._model, self._num_steps = model, num_steps
        self._decode = tf.function(
            lambda z, given: {key: p.mean() for key, p in model.likelihoods(z, given=given).items()},
            reduce_retracing=True,
            autograph=False,
        )

    def latent_size(self):
        conditions = {name: tf.zeros((1, *self.fields[name].event_shape)) for name in self.given}
        return int(self._model.prior(conditions or None).event_shape[-1])

    def starts_from(self, observed):
        return self._model.has_posterior(list(observed))

    def posterior(self, observed):
        q = self._model.posterior(self._readable(observed), num_steps=self._num_steps, seed=0)
        return q.mean().numpy(), q.stddev().numpy()

    def decode(self, z, given=None):
        conditions = self._readable(self._conditions(given))
        outputs = self._decode(tf.convert_to_tensor(z, tf.float32), conditions or None)
        return {name: self._levels(name, value) for name, value in outputs.items()}

    def edit(self, portrait, changes):
        options = {"attributes": self.attributes, "photograph": self.picture, "num_steps": self._num_steps}
        return editing.edit(self._model, portrait, changes, **options)

    def _readable(self, observed: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
        return {name: self._value(name, np.float32(value)) for name, value in observed.items()}

    def _value(self, name: str, raw: np.ndarray) -> tf.Tensor:
        if not self.fields[name].is_picture:
            return tf.convert_to_tensor(raw)
        return self._model.preprocess({name: raw})[name] if self.fields[name].standardized else tf.constant(raw / 255)

    def _levels(self, name: str, value: tf.Tensor) -> np.ndarray:
        if not self.fields[name].is_picture:
            return value.numpy()
        if self.fields[name].standardized:
            return self._model.standardizations[name].inverse(value).numpy()
        return tf.cast(value, tf.float32).numpy() * 255


def open_model(path: Path) -> DemoModel:
    """A model from the folder or archive of an exported one, a run's folder, or a `.keras` file.

    Raises:
      FileNotFoundError: there is nothing at `path`, or no model.
      ValueError: the SavedModel is damaged or unsafe to load.
      RunError: the `.keras` file is damaged, or holds another kind of model.
    """
    path = Path(path).expanduser()
    file = path / "model.keras" if (path / "model.keras").is_file() else path
    if file.suffix != ".keras":
        return ExportedModel(hub.load(path))
    folder = file.resolve().parent
    recorded = run.describe(folder)
    name = folder.name if file.name == "model.keras" else file.stem
    return KerasModel(run.load_model(file), name, _dataset(recorded["training"]), recorded["num_steps"])


def to_pixels(levels: np.ndarray) -> np.ndarray:
    """Grey levels, rounded and cut off to uint8."""
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def _dataset(training: Mapping) -> str:
    """What the card or the run says of its data; a card may say anything."""
    config = training.get("config")
    data = config.get("data") if isinstance(config, Mapping) else None
    return str(data.get("dataset", "")) if isinstance(data, Mapping) else ""


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
