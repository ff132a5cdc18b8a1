"""Models and their optimizers from configurations and presets."""

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
    """A new, untrained model with a preset's settings.

    Args:
      preset: a preset's name, or the path of a `.toml` file.
      **overrides: options of the model, e.g. `alpha=0.1` or `latent_dim=2`.

    Returns:
      A model of the preset's kind; `fit` takes the statistics of standardised modalities from its data.

    Raises:
      ImportError: pydantic or tyro is missing, which come with the extra `cli`.
      ValueError: unknown preset or option, or a value that does not fit.

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
    """A new model from its configuration, with so many steps of iterated sampling.

    `preprocessing` is how the data's images were made, and `columns` are those of a table, by modality, where they are
    known.
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
    # Replicas meet after every step anyway.
    one_call = steps_in_one_call(steps_per_epoch) if model.distribute_strategy.num_replicas_in_sync == 1 else 1
    model.compile(
        optimizer(training.learning_rate),
        jit_compile=training.jit_compile,
        steps_per_execution=training.steps_per_execution or one_call,
        **adversarial,
    )


def steps_in_one_call(steps_per_epoch: int) -> int:
    """How many steps a call of the compiled function takes by default: a divisor of an epoch's.

    Between two calls Python works and the cores wait: a fifth of the time with MNIST's networks on two cores.
    """
    return max(steps for steps in range(1, 17) if steps_per_epoch % steps == 0)


def _plain(modality: "ModalityConfig") -> dict[str, Any]:
    """The settings, of which a picture's preprocessing stays an object."""
    return {**modality.model_dump(exclude={"preprocessing"}), "preprocessing": modality.preprocessing}
