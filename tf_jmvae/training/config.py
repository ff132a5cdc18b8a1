"""Typed schema of a run's configuration, of which presets are values.

It does not import TensorFlow, so that the command line shows its options without delay.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from tf_jmvae.registry import DATASETS, LIKELIHOODS, MODELS, Registry
from tf_jmvae.specs import Columns, Preprocessing

if TYPE_CHECKING:
    from tf_jmvae.data.sources import Source

# Options by the kinds of models that have them; unset ones have the constructors' defaults.
MODEL_OPTIONS = {
    ("jmvae-kl", "jmvae-kl-gan"): ("alpha", "subsets", "subset_learning", "flow", "flow_units"),
    ("jmvae-kl-gan",): ("likelihood_weight", "adversarial_weight", "reconstruction"),
    ("hierarchical-jmvae",): ("num_layers",),
    ("cvae", "cmma"): ("target",),
}
# Optimizer of jmvae-kl-gan by the setting of its learning rate.
ADVERSARIAL_RATES = {
    "decoder_learning_rate": "decoder_optimizer",
    "discriminator_learning_rate": "discriminator_optimizer",
}


def _one_of(registry: Registry) -> Any:
    """Returns the type of a registered name, a choice on the command line between the names known at parsing."""
    choices = tyro.conf.arg(constructor_factory=lambda: Literal[tuple(registry.names())])
    return Annotated[str, AfterValidator(registry.checked), choices]


class _Schema(BaseModel):
    # allow_inf_nan=False: NaN is a mistake in any setting, as in "--learning-rate nan".
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConvolutionConfig(_Schema):
    """A convolutional network, `networks.conv_encoder` or `networks.conv_decoder`."""

    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    units: tuple[PositiveInt, ...] = ()


class ModalityConfig(_Schema):
    """Settings of a modality; its networks are `mlp`s of these widths, or convolutional. Dropout is for encoders.

    The encoder of a text is a GRU of the first width.
    """

    event_shape: tuple[PositiveInt, ...]
    likelihood: _one_of(LIKELIHOODS)
    variance: PositiveFloat | None = None
    mean_activation: Literal["tanh", "sigmoid", "linear"] | None = None
    vocabulary_size: PositiveInt | None = None
    encoder: tuple[PositiveInt, ...] | ConvolutionConfig = (512, 512)
    decoder: tuple[PositiveInt, ...] | ConvolutionConfig = (512, 512)
    batch_norm: bool | Literal["encoder"] = False
    dropout: float = Field(0.0, ge=0, lt=1)
    weight: float = Field(1.0, ge=0)
    standardized: bool = False
    optional: bool | Literal["entries"] = False
    entry_names: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    @model_validator(mode="after")
    def _settings_fit_each_other(self):
        if self.likelihood != "gaussian" and (self.variance or self.mean_activation):
            raise ValueError(
                f"variance, mean_activation: options of gaussian only, but the likelihood is {self.likelihood}"
            )
        if (self.vocabulary_size is not None) != self.likelihood.endswith("tokens"):
            raise ValueError(
                f"vocabulary_size: needed by likelihoods of texts, and only by them; got {self.likelihood}"
            )
        if self.dropout and isinstance(self.encoder, ConvolutionConfig):
            raise ValueError("dropout: an option of encoders given by widths, but this one is convolutional")
        if isinstance(self.decoder, ConvolutionConfig):
            factor = 2 ** (len(self.decoder.filters) + 1)
            if len(self.event_shape) != 3 or any(size % factor for size in self.event_shape[:2]):
                raise ValueError(
                    f"decoder: {len(self.decoder.filters)} transposed convolutions and that of the head make images "
                    f"whose height and width are multiples of {factor}; event_shape is {self.event_shape}"
                )
            if self.decoder.units:
                raise ValueError(
                    "decoder: a convolutional decoder takes no units: its dense layer follows from the filters"
                )
        return self


class ModelConfig(_Schema):
    """The model to train."""

    kind: _one_of(MODELS)
    """Kind of model, and with it the objective to maximise."""
    latent_dim: PositiveInt
    """Number of entries of z."""
    modalities: Annotated[dict[str, ModalityConfig], tyro.conf.Suppress]
    trunk: Annotated[tuple[PositiveInt, ...], tyro.conf.Suppress] = ()
    alpha: Annotated[float | None, Field(ge=0)] = None
    """jmvae-kl: weight of the KL towards the subset encoders (the paper: 1)."""
    subsets: Literal["all", "single", "shared"] | None = None
    """jmvae-kl: an encoder per subset, per modality, or per subset on towers that all share."""
    subset_learning: Literal["pull", "follow"] | None = None
    """jmvae-kl: subset encoders pull the joint encoder towards them (the paper), or only follow it."""
    flow: PositiveInt | None = None
    """jmvae-kl: number of couplings in the subset encoders' flows; without flows, they are Gaussian."""
    flow_units: PositiveInt | None = None
    """jmvae-kl: width of the flows' hidden layers (256 by default)."""
    likelihood_weight: Annotated[float | None, Field(ge=0)] = None
    """jmvae-kl-gan: weight of the image's log-likelihood for the image decoder."""
    adversarial_weight: Annotated[float | None, Field(ge=0)] = None
    """jmvae-kl-gan: weight of the adversarial term for the image decoder."""
    reconstruction: Literal["pixels", "features"] | None = None
    """jmvae-kl-gan: compare images by their pixels, or by the discriminator's features."""
    discriminator: Annotated[ConvolutionConfig | None, tyro.conf.Suppress] = None
    num_layers: PositiveInt | None = None
    """hierarchical-jmvae: number of stochastic layers (the paper: 2)."""
    target: str | None = None
    """cvae, cmma: the modality to generate from all others."""
    options: Annotated[dict[str, Any], tyro.conf.Suppress] = Field(default_factory=dict)
    """Other models: arguments of their constructors."""

    @model_validator(mode="after")
    def _options_fit_kind(self):
        for kinds, names in MODEL_OPTIONS.items():
            if wrong := [name for name in names if self.kind not in kinds and getattr(self, name) is not None]:
                of, wrong = " and ".join(kinds), ", ".join(wrong)
                raise ValueError(f"{wrong}: an option of {of}, but the model is {self.kind}")
        if self.flow_units and not self.flow:
            raise ValueError("flow_units: an option of flows, so it needs flow, their number of couplings")
        if self.discriminator is not None and self.kind != "jmvae-kl-gan":
            raise ValueError(f"discriminator: a network of jmvae-kl-gan, but the model is {self.kind}")
        if self.kind in ("cvae", "cmma") and self.target not in self.modalities:
            raise ValueError(f"target: {self.kind} needs one of {', '.join(self.modalities)}; got {self.target}")
        return self

    def arguments(self) -> dict[str, Any]:
        """Returns the options of this kind that are set, as arguments of the model's constructor."""
        values = {name: getattr(self, name) for names in MODEL_OPTIONS.values() for name in names}
        found = {name: value for name, value in values.items() if value is not None}
        if units := found.pop("flow_units", None):
            from tf_jmvae.models import Flow

            found["flow"] = Flow(self.flow, units)
        return found | self.options


class MissingConfig(_Schema):
    """Selection of training rows that are to lack a modality: see `data.Missing`."""

    fraction: Annotated[float, Field(ge=0, le=1)]
    of: tuple[str, ...] = ()
    balanced: bool = False


class DataConfig(_Schema):
    """The data to train on."""

    dataset: _one_of(DATASETS)
    """Name of the dataset."""
    data_dir: Path | None = None
    """Folder with the dataset's original files; without it, the dataset is downloaded."""
    train_size: PositiveInt | None = None
    """Train on only this many examples, the first ones (MNIST: 60000 by default, 50000 in the paper)."""
    batch_size: PositiveInt = 128
    """Examples per step, over all devices together."""
    image_size: PositiveInt | None = None
    """CelebA: height and width of the images (the paper: 64)."""
    crop: Literal["center", "face"] | None = None
    """CelebA: the middle of the picture, or the face that OpenCV finds (as in the paper)."""
    mirror: bool = False
    """CelebA: mirror a random half of the images."""
    strict: bool = False
    """CelebA: stop at a broken image instead of leaving it out."""
    missing: Annotated[dict[str, MissingConfig], tyro.conf.Suppress] = Field(default_factory=dict)
    """Training rows that are to lack a modality, for experiments."""
    missing_seed: Annotated[int, Field(ge=0)] = 0
    """Seed that chooses the rows that are to lack a modality."""
    incomplete: Literal["keep", "drop"] = "keep"
    """Train on incomplete rows, or leave them out."""
    complete_rows: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Smallest fraction of complete rows in a training batch; where there are fewer, they are repeated."""

    table: Annotated[Path | None, tyro.conf.Suppress] = None
    """table: The CSV or Parquet file."""
    columns: Annotated[dict[str, Columns], tyro.conf.Suppress] = Field(default_factory=dict)
    """table: Columns of each modality."""
    validation: Annotated[float | None, Field(gt=0, lt=1), tyro.conf.Suppress] = None
    """table: Fraction of the rows that are held out."""
    delimiter: Annotated[str | None, tyro.conf.Suppress] = None
    """table: Delimiter of a CSV file."""
    decimal: Annotated[str | None, tyro.conf.Suppress] = None
    """table: Decimal point of a CSV file."""
    encoding: Annotated[str | None, tyro.conf.Suppress] = None
    """table: Encoding of a CSV file."""

    filled_by: Annotated[Path | None, tyro.conf.Suppress] = None
    """A finished run, whose model fills in labels that are missing, where it is sure of them."""
    confidence: Annotated[float, Field(ge=0, lt=1), tyro.conf.Suppress] = 0.95
    """The probability of a label from which a model is sure of it."""

    def load(self, modalities: Iterable[str] | None = None, data_dir: str | os.PathLike | None = None) -> "Source":
        """Loads the dataset with these modalities; `data_dir` overrides the folder of its files if they were moved."""
        from tf_jmvae.data.sources import Missing, load

        options = self.model_dump(exclude={"dataset", "batch_size", "missing", "filled_by", "confidence", "columns"})
        options["columns"] = self.columns or None
        options["missing"] = {name: Missing(**one.model_dump()) for name, one in self.missing.items()}
        options["modalities"] = modalities
        return load(self.dataset, **options | ({"data_dir": Path(data_dir)} if data_dir else {}))


class TrainingConfig(_Schema):
    """Settings of the training."""

    epochs: PositiveInt
    """Epochs of training."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's learning rate at the start."""
    decoder_learning_rate: PositiveFloat | None = None
    """jmvae-kl-gan: Adam's learning rate for the image decoder; by default the same."""
    discriminator_learning_rate: PositiveFloat | None = None
    """jmvae-kl-gan: Adam's learning rate for the discriminator; by default the same."""
    beta_1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's decay of the mean gradient; 0.5 is usual with a GAN."""
    decay: Literal["constant", "cosine"] = "cosine"
    """How the learning rate changes over the run."""
    kl_warm_up: Annotated[int, Field(ge=0)] = 0
    """Epochs over which the weight of the KL to the prior rises from 0 to 1."""
    clip_norm: PositiveFloat | None = None
    """Largest global norm of the gradient."""
    early_stopping: PositiveInt | None = None
    """Stop after this many epochs without a better ELBO on the test set, with the best weights; by default never."""
    validate_every: PositiveInt = 1
    """Epochs between evaluations on the test set; callbacks and the history have `val_*` for these only."""
    joint_from: Path | None = None
    """jmvae-kl: run folder of a trained joint model, which is taken and fixed, so that only subset encoders learn."""
    fitted_prior: PositiveInt | None = None
    """Number of Gaussians in a mixture to sample from, fitted to z of training data at the end; by default none."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Precision of the networks; heads and variables are always float32."""
    jit_compile: bool = False
    """Compile the step with XLA."""
    steps_per_execution: PositiveInt | None = None
    """Steps per call of the compiled function, a divisor of an epoch's; by default the largest up to 16, and 1 on
    several devices. Callbacks see a call as one batch; 1 shows them every step."""
    tensorboard: bool = True
    """Log to the run folder's `tensorboard`: curves, generated pictures, latents and the graph."""


class Config(_Schema):
    """Train a model with Keras and leave a run folder with everything about it.

    An interrupted run continues from its last epoch when the command is repeated.
    """

    preset: str
    """Name of a preset, or a TOML file of the same form."""
    source: Annotated[str, tyro.conf.Suppress]
    run_dir: Path | None = None
    """Run folder [default: runs/<preset>]."""
    overwrite: bool = False
    """Delete what the run folder holds, and train anew."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the weights, the order of the data and the noise."""
    strategy: Literal["auto", "none", "mirrored", "multi-worker"] = "auto"
    """Train on one device, all GPUs of this machine, or the workers of TF_CONFIG (auto: whichever there are)."""
    num_steps: PositiveInt = 1
    """Steps of iterated sampling for the run's accuracies and pictures (the paper: 100)."""
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _training_fits_model(self):
        wrong = [name for name in ADVERSARIAL_RATES if getattr(self.training, name) is not None]
        if wrong and self.model.kind != "jmvae-kl-gan":
            raise ValueError(f"{', '.join(wrong)}: an option of jmvae-kl-gan, but the model is {self.model.kind}")
        if self.training.joint_from and self.model.kind != "jmvae-kl":
            raise ValueError(f"joint_from: an option of jmvae-kl, but the model is {self.model.kind}")
        if self.training.fitted_prior and self.model.kind in ("cvae", "cmma"):
            raise ValueError(
                f"fitted_prior: an option of models that generate all modalities, but a {self.model.kind} generates "
                "its target only"
            )
        return self
