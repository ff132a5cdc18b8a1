"""Specs of modalities and models without their networks, independent of TensorFlow and convertible to JSON.

`Modality`, a run's configuration, a model card and a served model all have `ModalitySpec`s, the only description by
which values of a modality are read and shown.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KERNELS", "Columns", "ModalitySpec", "ModelSpec", "Preprocessing"]

KERNELS = ("lanczos", "triangle")

_OF_CLASSES = ("categorical", "ordinal")  # one-hot along the last axis
_OF_COUNTS = ("counts", "Poisson", "negative_binomial")


@dataclass(frozen=True)
class Preprocessing:
    """Conversion of pictures of any size to images of a modality, and of images to pixel values.

    The largest center crop with the image's proportions is taken, and `crop` of it again about its center, which is
    resized with antialiasing to the image's size. A picture of exactly that size is not cropped.

    Args:
      crop: two integers, the number of pixels kept and the number that they are kept of along each side: `(148, 178)`
        for CelebA's aligned photographs; `(1, 1)`, the default, keeps all.
      kernel: resizing kernel, `"lanczos"`, the default, or `"triangle"`.
      range: two floats, the values of black and white (pixel values 0 and 255); `(0.0, 1.0)` by default.

    Raises:
      ValueError: if a setting is invalid.
    """

    crop: tuple[int, int] = (1, 1)
    kernel: str = "lanczos"
    range: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self):
        object.__setattr__(self, "crop", tuple(self.crop))
        object.__setattr__(self, "range", tuple(map(float, self.range)))
        if [type(size) for size in self.crop] != [int, int] or not 1 <= self.crop[0] <= self.crop[1]:
            raise ValueError(f"crop must be two whole numbers, kept of so many, such as (148, 178); got {self.crop}.")
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel must be one of {', '.join(map(repr, KERNELS))}; got {self.kernel!r}.")
        if len(self.range) != 2 or not -math.inf < self.range[0] < self.range[1] < math.inf:
            raise ValueError(f"range must be two finite numbers, of black and white, as (0, 1); got {self.range}.")

    def to_json(self) -> dict[str, Any]:
        """Converts the settings to JSON types."""
        return {"crop": list(self.crop), "kernel": self.kernel, "range": list(self.range)}


@dataclass(frozen=True)
class Columns:
    """Columns of a table that a modality is made of, and what was learned of them from training rows.

    Args:
      kind: name of the kind of column in `tf_jmvae.columns`, such as `"category"`.
      names: names of the columns in the table.
      shape: shape of the values of one row, e.g. `(H, W, C)` of images, `(T,)` of texts of at most T words.
      words: the words in the cells: the classes of a category, the words of a text by decreasing frequency, and for
        each attribute the word for no and the word for yes; `()` by default.
    """

    kind: str
    names: tuple[str, ...]
    shape: tuple[int, ...]
    words: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("names", "shape", "words"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        texts = all(isinstance(text, str) for text in (self.kind, *self.names, *self.words))
        sizes = all(type(size) is int and size > 0 for size in self.shape)
        if not (texts and sizes and self.names and self.shape):
            raise ValueError(f"columns need a kind, names, a shape of positive sizes and words; got {self}.")

    def to_json(self) -> dict[str, Any]:
        """Converts the columns to JSON types."""
        lists = {name: list(getattr(self, name)) for name in ("names", "shape", "words")}
        return {"kind": self.kind, **lists}


@dataclass(frozen=True)
class ModalitySpec:
    """Description of a modality without its networks.

    Attributes:
      event_shape: shape of one example, a tuple of positive integers.
      likelihood: name of the likelihood, or of the head's class if it is not registered.
      role: `"target"`, the default, or `"given"` for a condition of a conditional model, which is not generated.
      entry_names: names of the entries of the last axis; `()` if they have none.
      standardized: whether the model works on standardised values.
      preprocessing: `Preprocessing` of pictures to images of this modality.
      optional: whether rows may lack the modality, True or False, or `"entries"` if they may lack single entries too.
      support: description of the values that the likelihood can score.
      vocabulary_size: number of tokens of texts; None for other modalities.
      columns: `Columns` of the table that the modality is made of, or None.
    """

    event_shape: tuple[int, ...]
    likelihood: str
    role: str = "target"
    entry_names: tuple[str, ...] = ()
    standardized: bool = False
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    optional: bool | str = False
    support: str = "finite numbers"
    vocabulary_size: int | None = None
    columns: Columns | None = None

    @property
    def kind(self) -> str:
        """`"image"` (grey or RGB), `"label"` (one-hot), `"attributes"` (named entries), `"text"` or `"values"`."""
        shape = self.event_shape
        if self.columns and self.columns.kind in ("numbers", "counts", "array"):
            return "values"
        if len(shape) == 3 and shape[-1] in (1, 3) and self.likelihood not in (*_OF_CLASSES, *_OF_COUNTS):
            return "image"
        if self.likelihood in _OF_CLASSES and len(shape) == 1:
            return "label"
        if self.likelihood in ("tokens", "autoregressive_tokens"):
            return "text"
        return "attributes" if self.entry_names and len(shape) == 1 else "values"

    @property
    def is_image(self) -> bool:
        """Whether values can be shown as pictures."""
        return self.kind == "image"

    @property
    def threshold(self) -> float:
        """Value above which an attribute is present: 0.5 for values 0 and 1, and 0 for values -1 and 1."""
        return 0.5 if self.likelihood == "bernoulli" else 0.0

    def names(self, class_names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Returns names of the entries of the last axis: `entry_names`, else class names of a dataset, else numbers.

        Args:
          class_names: tuple of class names for labels without `entry_names`, used if their number fits; `()` by
            default.
        """
        size = self.event_shape[-1]
        fitting = tuple(class_names) if self.kind == "label" and len(class_names) == size else ()
        return self.entry_names or fitting or tuple(map(str, range(size)))

    def to_json(self) -> dict[str, Any]:
        """Converts the spec to JSON types for `from_json`, with the kind for other programs."""
        lists = {"event_shape": list(self.event_shape), "entry_names": list(self.entry_names)}
        columns = self.columns and self.columns.to_json()
        nested = {"preprocessing": self.preprocessing.to_json(), "columns": columns}
        return {**vars(self), **lists, **nested, "kind": self.kind}

    @classmethod
    def from_json(cls, entry: Any) -> "ModalitySpec":
        """Makes the spec of a JSON object, also of the first model cards, which had neither role nor preprocessing.

        Raises:
          ValueError: if keys are missing or of another type; the message says which.
        """
        if not isinstance(entry, Mapping):
            raise ValueError(f"expected an object, got {type(entry).__name__}")
        likelihood = "counts" if entry.get("likelihood") == "poisson" else entry.get("likelihood")
        role = entry.get("role", "given" if entry.get("given") is True else "target")
        shape, names, standardized = (entry.get(key) for key in ("event_shape", "entry_names", "standardized"))
        sizes = isinstance(shape, list) and shape and all(type(size) is int and size > 0 for size in shape)
        _require(sizes, "event_shape", "a list of positive whole numbers")
        _require(isinstance(likelihood, str), "likelihood", "a text")
        _require(role in ("target", "given") and type(entry.get("given", False)) is bool, "role", "'target' or 'given'")
        _require(isinstance(names, list) and all(isinstance(name, str) for name in names), "entry_names", "texts")
        _require(type(standardized) is bool, "standardized", "true or false")
        optional = entry.get("optional", False)
        _require(type(optional) is bool or optional == "entries", "optional", "true, false or 'entries'")
        _require(isinstance(entry.get("support", ""), str), "support", "a text")
        tokens = entry.get("vocabulary_size")
        _require(tokens is None or (type(tokens) is int and tokens > 0), "vocabulary_size", "a positive whole number")
        default = Preprocessing(range=(0.0, 255.0) if standardized else (0.0, 1.0))
        try:
            preprocessing = Preprocessing(**entry["preprocessing"]) if "preprocessing" in entry else default
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"preprocessing: {error}") from error
        try:
            columns = Columns(**entry["columns"]) if entry.get("columns") else None
        except (TypeError, ValueError) as error:
            raise ValueError(f"columns: {error}") from error
        support = entry.get("support", entry.get("values", cls.support))
        names, standardized = tuple(names), bool(standardized)
        more = (preprocessing, optional, support, tokens, columns)
        return cls(tuple(shape), likelihood, role, names, standardized, *more)


@dataclass(frozen=True)
class ModelSpec:
    """Description of a model without its networks.

    Attributes:
      kind: name of the model's class.
      modalities: dict of `ModalitySpec` objects by name, in the model's order.
      latent_dim: D, the number of entries of z, or of each layer of a hierarchy.
      num_steps: default number of steps of iterated sampling.
      name: name of the model.
      training: dict of the configuration, versions and commit of the training, as far as they are known.
    """

    kind: str
    modalities: Mapping[str, ModalitySpec]
    latent_dim: int
    num_steps: int = 1
    name: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def conditions(self) -> list[str]:
        """Names of the modalities that a conditional model is conditioned on."""
        return [name for name, spec in self.modalities.items() if spec.role == "given"]

    @property
    def targets(self) -> list[str]:
        """Names of the modalities that the model generates."""
        return [name for name, spec in self.modalities.items() if spec.role == "target"]

    @property
    def dataset(self) -> str:
        """Name of the training dataset; empty if it is not recorded."""
        config = self.training.get("config")
        data = config.get("data") if isinstance(config, Mapping) else None
        return str(data.get("dataset", "")) if isinstance(data, Mapping) else ""

    def first(self, kind: str) -> str | None:
        """Returns the name of the first modality of a kind, or None."""
        return next((name for name, spec in self.modalities.items() if spec.kind == kind), None)

    def to_json(self) -> dict[str, Any]:
        """Converts the spec to JSON types for `from_json`."""
        modalities = {name: spec.to_json() for name, spec in self.modalities.items()}
        return {**vars(self), "modalities": modalities, "training": dict(self.training)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ModelSpec":
        """Makes the spec of a JSON object, such as a model card; raises `ValueError`, which names what is wrong."""
        modalities = {}
        for name, entry in content["modalities"].items():
            try:
                modalities[name] = ModalitySpec.from_json(entry)
            except ValueError as error:
                raise ValueError(f"modalities.{name}: {error}") from error
        options = {key: content[key] for key in ("num_steps", "name", "training") if key in content}
        return cls(content["kind"], modalities, content["latent_dim"], **options)


def _require(holds: Any, key: str, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{key}: expected {wanted}")
