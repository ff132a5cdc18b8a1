"""Building and compiling of models from configurations and presets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from tf_jmvae import networks
from tf_jmvae._utils.extras import extra
from tf_jmvae.modality import Modality
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.registry import MODELS
from tf_jmvae.specs import Columns, Preprocessing

if TYPE_CHECKING:
    from tf_jmvae.training.config import Config, ModalityConfig, ModelConfig


def from_preset(preset: str, **overrides: Any) -> MultimodalVAE:
    """Makes a new, untrained model with a preset's settings.

    Args:
      preset: name of a preset, or path of a `.toml` file.
      **overrides: options of the model, e.g. `alpha=0.1` or `latent_dim=2`.

    Returns:
      `MultimodalVAE` of the preset's kind; `fit` computes the statistics of standardised modalities.

    Raises:
      ImportError: if pydantic or tyro is missing, which come with the extra `cli`.
      ValueError: if the preset or an option is unknown, or a value is invalid.

    Examples:
      >>> model = from_preset("mnist-jmvae-kl", alpha=0.1)
    """
    with extra("cli", "A preset"):
        import pydantic

        from tf_jmvae.training.config import ModelConfig
        from tf_jmvae.training.presets import describe, load
    config = load(preset)
    try:
        return build_model(ModelConfig.model_validate({**config.model.model_dump(), **overrides}), config.num_steps)
    except pydantic.ValidationError as error:
        raise ValueError(f"from_preset({preset!r}): {describe(error)}") from error


def build_model(
    config: "ModelConfig",
    num_steps: int = 1,
    preprocessing: Mapping[str, Preprocessing] | None = None,
    columns: Mapping[str, Columns] | None = None,
) -> MultimodalVAE:
    """Makes a new model from its configuration, with `num_steps` steps of iterated sampling.

    `preprocessing` of the data's images and `columns` of a table are given by modality, as far as they are known.
    """
    made, columns = preprocessing or {}, columns or {}
    modalities = {
        name: Modality.from_settings(_plain(modality), made.get(name), columns.get(name))
        for name, modality in config.modalities.items()
    }
    networks_ = {"trunk": networks.mlp(config.trunk)} if config.trunk else {}
    if config.discriminator is not None:
        networks_["discriminator"] = networks.conv_encoder(config.discriminator.filters, config.discriminator.units)
    options = {"iterated_sampling": IteratedSampling(num_steps), **config.arguments(), **networks_}
    return MODELS.get(config.kind)(modalities, config.latent_dim, **options)


def compile_model(model: MultimodalVAE, config: "Config", steps_per_epoch: int) -> None:
    """Compiles a model with the optimizers of its configuration."""
    from tf_jmvae.training.config import ADVERSARIAL_RATES

    training = config.training

    def optimizer(rate: Any) -> FusedAdam:
        if training.decay == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, training.epochs * steps_per_epoch)
        return FusedAdam(rate, beta_1=training.beta_1, global_clipnorm=training.clip_norm)

    rates = {own: getattr(training, name) for name, own in ADVERSARIAL_RATES.items()}
    adversarial = {own: optimizer(rate) for own, rate in rates.items() if rate is not None}
    # Replicas synchronise after every step anyway.
    one_call = steps_in_one_call(steps_per_epoch) if model.distribute_strategy.num_replicas_in_sync == 1 else 1
    model.compile(
        optimizer(training.learning_rate),
        jit_compile=training.jit_compile,
        steps_per_execution=training.steps_per_execution or one_call,
        **adversarial,
    )


def steps_in_one_call(steps_per_epoch: int) -> int:
    """Returns the default number of steps per call of the compiled function: a divisor of an epoch's steps.

    Cores idle while Python runs between two calls: a fifth of the time with MNIST's networks on two cores.
    """
    return max(steps for steps in range(1, 17) if steps_per_epoch % steps == 0)


def _plain(modality: "ModalityConfig") -> dict[str, Any]:
    """Converts the settings to a dict, which keeps the preprocessing as an object."""
    return {**modality.model_dump(exclude={"preprocessing"}), "preprocessing": modality.preprocessing}
