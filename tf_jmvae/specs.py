"""What is known of a modality and of a model without its networks: without TensorFlow, and in JSON both ways.

`Modality`, a run's configuration, a model card and a served model all give a `ModalitySpec`; whoever shows or reads
values of a modality asks it, and nothing else, what they are.
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
    """How a picture of any size becomes an image that a modality holds, and an image pixels again.

    The largest part about the middle with the image's proportions is cut out, and of it the middle again: `crop` says
    how much. It is resized with antialiasing to the image's size. A picture of exactly that size is taken as it is.

    Args:
      crop: how many pixels are kept of how many along each side, as whole numbers: `(148, 178)` for CelebA's aligned
        pictures; `(1, 1)`, the default, keeps all.
      kernel: of the resizing, `"lanczos"` or `"triangle"`.
      range: the values of black and white, of the pixels 0 and 255.

    Raises:
      ValueError: a setting makes no sense.
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
        """The settings as plain lists, texts and numbers."""
        return {"crop": list(self.crop), "kernel": self.kernel, "range": list(self.range)}


@dataclass(frozen=True)
class Columns:
    """The columns of a table that a modality is made of, and what was learned of them from training rows.

    Args:
      kind: of the columns, by its name in `tf_jmvae.columns`, such as `"category"`.
      names: of the columns, as the table has them.
      shape: of the values of one row, `(H, W, C)` of images, `(T,)` of texts of at most T words.
      words: what the cells say: the classes of a category, the words of a text from the most to the least frequent, and
        of each attribute what says no and what says yes.
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
        """The settings as plain lists and texts."""
        lists = {name: list(getattr(self, name)) for name in ("names", "shape", "words")}
        return {"kind": self.kind, **lists}


@dataclass(frozen=True)
class ModalitySpec:
    """A modality without its networks.

    Attributes:
      event_shape: of one example.
      likelihood: by name; of a head that has none, the name of its class.
      role: `"target"`, or `"given"` of one that a one-way model is conditioned on and does not generate.
      entry_names: what the entries of the last axis mean, or nothing.
      standardized: whether the model works on standardised values.
      preprocessing: how a picture becomes an image of this modality.
      optional: whether rows may lack it, True or False, or `"entries"` if rows may also lack single entries of it.
      support: the values that the likelihood can score, in words.
      vocabulary_size: how many tokens there are, of texts; None of all others.
      columns: of a table that it is made of, or None.
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
        """Whether its values can be shown as a picture."""
        return self.kind == "image"

    @property
    def threshold(self) -> float:
        """The value above which an attribute is there: 0.5 if it is 1 or 0, and 0 if it is 1 or -1."""
        return 0.5 if self.likelihood == "bernoulli" else 0.0

    def names(self, class_names: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What the entries of the last axis are called: by their names, by those of a dataset's classes, or by number.

        Args:
          class_names: of labels that have no names of their own, if there are as many.
        """
        size = self.event_shape[-1]
        fitting = tuple(class_names) if self.kind == "label" and len(class_names) == size else ()
        return self.entry_names or fitting or tuple(map(str, range(size)))

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads, of plain lists, texts and numbers; with the kind, for other programs."""
        lists = {"event_shape": list(self.event_shape), "entry_names": list(self.entry_names)}
        columns = self.columns and self.columns.to_json()
        nested = {"preprocessing": self.preprocessing.to_json(), "columns": columns}
        return {**vars(self), **lists, **nested, "kind": self.kind}

    @classmethod
    def from_json(cls, entry: Any) -> "ModalitySpec":
        """The spec of a JSON object, also of the first model cards, which knew neither role nor preprocessing.

        Raises:
          ValueError: keys are missing or of another type; the message says which.
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
    """A model without its networks.

    Attributes:
      kind: the name of its class.
      modalities: by name, in the model's order.
      latent_dim: D, the entries of z, or of each layer of a hierarchy.
      num_steps: of iterated sampling, where nothing else is asked for.
      name: what it is called.
      training: what is known of its training: the configuration, versions, the commit.
    """

    kind: str
    modalities: Mapping[str, ModalitySpec]
    latent_dim: int
    num_steps: int = 1
    name: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def conditions(self) -> list[str]:
        """The modalities that a one-way model is conditioned on."""
        return [name for name, spec in self.modalities.items() if spec.role == "given"]

    @property
    def targets(self) -> list[str]:
        """The modalities that the model generates."""
        return [name for name, spec in self.modalities.items() if spec.role == "target"]

    @property
    def dataset(self) -> str:
        """The dataset that it was trained on by its name, or nothing if nobody wrote it down."""
        config = self.training.get("config")
        data = config.get("data") if isinstance(config, Mapping) else None
        return str(data.get("dataset", "")) if isinstance(data, Mapping) else ""

    def first(self, kind: str) -> str | None:
        """The first modality of a kind, by its name, or None."""
        return next((name for name, spec in self.modalities.items() if spec.kind == kind), None)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads, of plain lists, texts and numbers."""
        modalities = {name: spec.to_json() for name, spec in self.modalities.items()}
        return {**vars(self), "modalities": modalities, "training": dict(self.training)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ModelSpec":
        """The spec of a JSON object, such as a model card; raises `ValueError`, which names what is wrong."""
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
