"""`Modality`: one form of the data with its likelihood, encoder and decoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tf_jmvae import heads, networks
from tf_jmvae._utils import checks
from tf_jmvae.columns import kind_of
from tf_jmvae.networks import prototypes
from tf_jmvae.specs import Columns, ModalitySpec, Preprocessing

__all__ = ["Modality"]


@keras.saving.register_keras_serializable("tf_jmvae")
class Modality:
    """One form of the data, such as an image, a label or a caption: event shape, likelihood and networks.

    Args:
      event_shape: shape of one example, a tuple of positive integers such as `(28, 28, 1)` or `(10,)`.
      likelihood: p(m | z), by name or as a head. Names: `"bernoulli"` (binary), `"categorical"` (one-hot), `"ordinal"`
        (one-hot, ordered classes), `"gaussian"` (real, learned variance), `"laplace"` (real, fixed scale), `"beta"`
        (between 0 and 1), `"counts"` (Poisson), `"negative_binomial"` (overdispersed counts). A head may have settings,
        e.g. `heads.Gaussian(variance=1.0, mean_activation="tanh")`, and `heads.Tokens(vocabulary_size=V)` requires
        them; `heads.register` adds another likelihood.
      encoder: prototype of a Keras model or layer from `[B, *event_shape]` to features; `networks.mlp()` by default.
        Models copy it; copies do not share weights, but start from those of the prototype if it is built.
      decoder: prototype of a Keras model or layer from `[B, D]` to the features that the head reads, or to the head's
        parameters in the event's shape, such as the logits of an image; `networks.mlp()` by default.
      weight: factor of log p(m | z) in the training loss, 0 or more, to balance modalities of very different sizes; 1
        by default. Metrics are not weighted, so with other weights the loss is not the negative objective.
      standardized: whether the model works on values with mean 0 and variance 1, elementwise, and stores the statistics
        of the training data: those of the data of `fit`, unless `set_statistics` was called. False by default. With
        True, `fit`, `evaluate`, `predict` and estimators take raw values, and other methods the values of `preprocess`.
        With `"before"` the data are already standardised, and all methods take them unchanged.
      optional: whether rows may lack the modality, whose values are then all NaN; False by default. With True a row has
        all of its values or none. With `"entries"` single entries may also be NaN: log p(m | z) is the sum over the
        others, and the encoder reads `[B, *axes, 2 * last]`, along the last axis first the values, with 0 for missing
        entries, and then a mask that is 1 for present entries. Whether a model learns from incomplete rows is
        documented there.
      entry_names: sequence of names of the entries of the last axis, such as attributes; `()` by default.
      preprocessing: `Preprocessing` by which pictures of any size become images of this modality, and images pixel
        values. By default the largest center crop, resized with the Lanczos kernel; white is 1, or 255 if standardised.
      columns: `Columns` of the table that the modality is made of, as made by `data.from_table`; methods then also take
        tables and texts. None by default.

    Raises:
      ValueError: if the shape, the likelihood, the weight or the names are invalid; or for `optional="entries"` with a
        likelihood whose entries are not independent, such as `"categorical"`.
      TypeError: if a network is not a Keras layer.

    Examples:
      >>> image = Modality((28, 28, 1), "bernoulli", encoder=networks.mlp([512, 512]))
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        likelihood: str | heads.Head,
        *,
        encoder: keras.layers.Layer | None = None,
        decoder: keras.layers.Layer | None = None,
        weight: float = 1.0,
        standardized: bool | str = False,
        optional: bool | str = False,
        entry_names: Sequence[str] = (),
        preprocessing: Preprocessing | None = None,
        columns: Columns | None = None,
    ):
        try:
            self.event_shape = tuple(checks.positive_integer("event_shape", size) for size in event_shape)
        except (TypeError, ValueError):
            self.event_shape = ()
        if not self.event_shape:
            raise ValueError(
                f"event_shape must be a non-empty tuple of positive sizes, such as (28, 28, 1); got {event_shape!r}."
            )
        self.encoder = networks.mlp() if encoder is None else prototypes.checked("encoder", encoder)
        self.decoder = networks.mlp() if decoder is None else prototypes.checked("decoder", decoder)
        self.weight = checks.non_negative_number("weight", weight)
        checks.check_option("standardized", standardized, (True, False, "before"))
        self.standardized = standardized
        checks.check_option("optional", optional, (False, True, "entries"))
        self.optional = optional
        white = 255.0 if standardized else 1.0
        self.preprocessing = Preprocessing(range=(0.0, white)) if preprocessing is None else preprocessing
        self.entry_names, size = tuple(entry_names), self.event_shape[-1]
        if not all(isinstance(name, str) for name in self.entry_names):
            raise ValueError(f"entry_names must be strings; got {list(self.entry_names)}.")
        if self.entry_names and not len(self.entry_names) == len(set(self.entry_names)) == size:
            raise ValueError(
                f"entry_names must name each of the {size} entries of the last axis once; got {list(self.entry_names)}."
            )
        if columns is not None and columns.shape != self.event_shape:
            raise ValueError(f"columns make values of shape {columns.shape}, but event_shape is {self.event_shape}.")
        self.columns = columns
        self.cells = None if columns is None else kind_of(columns)
        self._likelihood = heads.get(likelihood)
        self.head = self._likelihood.with_event_shape(self.event_shape)
        self.likelihood = self.head.likelihood or type(self.head).__name__
        if optional == "entries" and not self.head.scores_entries:
            raise ValueError(
                f"optional='entries' needs a likelihood that scores each entry by itself, which {self.likelihood!r} "
                "does not: use optional=True, for whole rows."
            )

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], preprocessing: Preprocessing | None = None, columns: Columns | None = None
    ) -> "Modality":
        """Makes a modality from plain settings, as in a run's configuration.

        Args:
          settings: dict of `event_shape` and `likelihood`; `encoder` and `decoder`, each the widths of an `mlp` or the
            `filters` and `units` of a convolutional network, with `batch_norm` and `dropout`; `variance`,
            `mean_activation` and `vocabulary_size` of the head; and other arguments of the class.
          preprocessing: `Preprocessing` of the data; None, the default, for that of the settings.
          columns: `Columns` of the table that the modality is made of; None by default.

        Returns:
          A new `Modality`.

        Raises:
          ValueError: as for the class.
        """
        settings = {"encoder": (512, 512), "decoder": (512, 512), **settings}
        shape, encoder, decoder = (settings.pop(key) for key in ("event_shape", "encoder", "decoder"))
        batch_norm, dropout = settings.pop("batch_norm", False), settings.pop("dropout", 0.0)
        of_head = {key: settings.pop(key, None) for key in ("variance", "mean_activation", "vocabulary_size")}
        of_head = {key: value for key, value in of_head.items() if value is not None}
        if of_head.get("vocabulary_size"):
            made_encoder = networks.TextEncoder(of_head["vocabulary_size"], encoder[0])
        elif isinstance(encoder, Mapping):
            if dropout:
                raise ValueError(
                    f"dropout: an option of encoders given by widths, but this one is convolutional; got {dropout}."
                )
            made_encoder = networks.conv_encoder(
                encoder["filters"], encoder.get("units", ()), batch_norm=bool(batch_norm)
            )
        else:
            made_encoder = networks.mlp(encoder, batch_norm=bool(batch_norm), dropout=dropout)
        if isinstance(decoder, Mapping):
            factor = 2 ** (len(decoder["filters"]) + 1)
            start = [size // factor for size in shape[:2]]
            made_decoder = networks.conv_decoder(decoder["filters"], start=start, batch_norm=batch_norm is True)
            of_head["projection"] = networks.upsampling(shape[-1])
        else:
            made_decoder = networks.mlp(decoder, batch_norm=batch_norm is True)
        likelihood = settings.pop("likelihood")
        likelihood = heads.make(likelihood, **of_head) if of_head else likelihood
        preprocessing = preprocessing or settings.pop("preprocessing", None)
        options = {**settings, "preprocessing": preprocessing, "columns": columns}
        return cls(shape, likelihood, encoder=made_encoder, decoder=made_decoder, **options)

    @property
    def reads_texts(self) -> bool:
        """Whether values may be given as strings: texts or classes by name."""
        return self.cells is not None and self.cells.is_text

    @property
    def spec(self) -> ModalitySpec:
        """Description of the modality without its networks, a `ModalitySpec`."""
        return ModalitySpec(
            event_shape=self.event_shape,
            likelihood=self.likelihood,
            entry_names=self.entry_names,
            standardized=bool(self.standardized),
            optional=self.optional,
            preprocessing=self.preprocessing,
            support=self.head.support,
            vocabulary_size=getattr(self.head, "vocabulary_size", None),
            columns=self.columns,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "event_shape": list(self.event_shape),
            "likelihood": prototypes.serialize(self._likelihood),
            "encoder": prototypes.serialize(self.encoder),
            "decoder": prototypes.serialize(self.decoder),
            "weight": self.weight,
            "standardized": self.standardized,
            "optional": self.optional,
            "entry_names": list(self.entry_names),
            "preprocessing": self.preprocessing.to_json(),
            "columns": self.columns and self.columns.to_json(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Modality":
        config = dict(config)
        config["columns"] = Columns(**config["columns"]) if config.get("columns") else None
        if "preprocessing" in config:
            config["preprocessing"] = Preprocessing(**config["preprocessing"])
        elif config["standardized"]:  # files of the first version, whose models take standardised values
            config["standardized"] = "before"
        if isinstance(config["likelihood"], str):  # files of versions in which every head had a projection
            config["likelihood"] = heads.make(config["likelihood"], projection=None)
        for key in ("likelihood", "encoder", "decoder"):
            if isinstance(config[key], dict):
                config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)

    def __repr__(self) -> str:
        return f"Modality({self.event_shape}, {self.likelihood!r})"
