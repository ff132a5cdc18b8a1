"""The typed schema of a run's configuration; presets are values of it."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from tf_jmvae.data.sources import NAMES

__all__ = ["Config", "DataConfig", "ModalityConfig", "ModelConfig", "TrainingConfig"]

# Which options belong to which models; the constructors' own defaults apply where none is set.
MODEL_OPTIONS = {
    ("jmvae-kl",): ("alpha", "subsets"),
    ("hierarchical-jmvae",): ("num_layers",),
    ("cvae", "cmma"): ("target",),
}


class _Schema(BaseModel):
    # allow_inf_nan: "--learning-rate nan" is a mistake wherever it stands.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModalityConfig(_Schema):
    """One modality; its networks are `mlp`s of the widths given."""

    event_shape: tuple[PositiveInt, ...]
    likelihood: Literal["bernoulli", "categorical", "gaussian", "laplace", "counts"]
    encoder: tuple[PositiveInt, ...] = (512, 512)
    decoder: tuple[PositiveInt, ...] = (512, 512)
    weight: float = Field(1.0, ge=0)


class ModelConfig(_Schema):
    """Which model."""

    kind: Literal["vae", "jmvae", "jmvae-kl", "hierarchical-jmvae", "cvae", "cmma"]
    """Objective to maximise."""
    latent_dim: PositiveInt
    """Size of z."""
    modalities: Annotated[dict[str, ModalityConfig], tyro.conf.Suppress]
    alpha: Annotated[float | None, Field(ge=0)] = None
    """jmvae-kl: weight of the KL towards the subset encoders (the paper: 1)."""
    subsets: Literal["all", "single"] | None = None
    """jmvae-kl: an encoder per subset, or per modality."""
    num_layers: PositiveInt | None = None
    """hierarchical-jmvae: number of stochastic layers (the paper: 2)."""
    target: str | None = None
    """cvae, cmma: the modality to generate from all others."""

    @model_validator(mode="after")
    def _options_fit_kind(self):
        for kinds, names in MODEL_OPTIONS.items():
            wrong = [name for name in names if self.kind not in kinds and getattr(self, name) is not None]
            if wrong:
                raise ValueError(
                    f"{', '.join(wrong)}: an option of {' and '.join(kinds)}, but the model is {self.kind}"
                )
        if self.kind in ("cvae", "cmma") and self.target not in self.modalities:
            raise ValueError(f"target: {self.kind} needs one of {', '.join(self.modalities)}; got {self.target}")
        return self

    def options(self) -> dict[str, Any]:
        """The options of this kind that are set, as arguments of the model's constructor."""
        values = {name: getattr(self, name) for names in MODEL_OPTIONS.values() for name in names}
        return {name: value for name, value in values.items() if value is not None}


class DataConfig(_Schema):
    """Which data."""

    dataset: Literal[NAMES]
    """Dataset by name."""
    data_dir: Path | None = None
    """Folder with the dataset's original files; without it, it is downloaded."""
    train_size: PositiveInt | None = None
    """Train on the first so many examples (MNIST: 60000 by default, 50000 in the paper)."""
    batch_size: PositiveInt = 128
    """Examples per step."""


class TrainingConfig(_Schema):
    """How to train."""

    epochs: PositiveInt
    """Passes over the training data."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's, at the start."""
    decay: Literal["constant", "cosine"] = "cosine"
    """Learning rate over the run."""
    kl_warm_up: Annotated[int, Field(ge=0)] = 0
    """Epochs over which the weight of the KL to the prior rises from 0 to 1."""
    clip_norm: PositiveFloat | None = None
    """Largest global norm of the gradient."""
    validate_every: PositiveInt = 1
    """Epochs between evaluations on the test set."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Of the networks; heads and variables are float32."""
    jit_compile: bool = False
    """Compile the step with XLA."""
    steps_per_execution: PositiveInt = 1
    """Steps per call of the compiled function."""


class Config(_Schema):
    """Train a model with Keras and leave a run folder with everything about it.

    An interrupted run continues from its last epoch when the command is repeated.
    """

    preset: str
    """Preset by name, or a TOML file of the same form."""
    source: Annotated[str, tyro.conf.Suppress]
    run_dir: Path | None = None
    """Run folder [default: runs/<preset>]."""
    overwrite: bool = False
    """Delete what the run folder holds, and train anew."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Repeats a run: weights, order of the data, noise."""
    num_steps: PositiveInt = 1
    """Steps of iterated sampling behind the run's accuracies and pictures (the paper: 100)."""
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
