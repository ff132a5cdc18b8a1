"""Models and their optimizers from configurations and presets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from tf_jmvae import heads, networks
from tf_jmvae._utils.extras import extra
from tf_jmvae.modality import Modality
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.optimizers import FusedAdam
from tf_jmvae.registry import MODELS
from tf_jmvae.specs import Preprocessing

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
    config: "ModelConfig", num_steps: int = 1, preprocessing: Mapping[str, Preprocessing] | None = None
) -> MultimodalVAE:
    """A new model from its configuration, with so many steps of iterated sampling.

    `preprocessing` is how the data's images were made, by modality, where that is known.
    """
    made = preprocessing or {}
    modalities = {name: _modality(modality, made.get(name)) for name, modality in config.modalities.items()}
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


def _modality(config: "ModalityConfig", preprocessing: Preprocessing | None) -> Modality:
    encoder, decoder, likelihood = config.encoder, config.decoder, config.likelihood
    projection = None
    if isinstance(encoder, tuple):  # of widths
        encoder = networks.mlp(encoder, batch_norm=bool(config.batch_norm), dropout=config.dropout)
    else:
        encoder = networks.conv_encoder(encoder.filters, encoder.units, batch_norm=bool(config.batch_norm))
    if isinstance(decoder, tuple):
        decoder = networks.mlp(decoder, batch_norm=config.batch_norm is True)
    else:
        factor = 2 ** (len(decoder.filters) + 1)
        start = [size // factor for size in config.event_shape[:2]]
        decoder = networks.conv_decoder(decoder.filters, start=start, batch_norm=config.batch_norm is True)
        projection = networks.upsampling(config.event_shape[-1])
    if projection is not None or config.variance or config.mean_activation:
        settings = {"variance": config.variance, "mean_activation": config.mean_activation}
        likelihood = heads.make(likelihood, projection=projection, **{k: v for k, v in settings.items() if v})
    return Modality(
        config.event_shape,
        likelihood,
        encoder=encoder,
        decoder=decoder,
        weight=config.weight,
        standardized=config.standardized,
        optional=config.optional,
        entry_names=config.entry_names,
        preprocessing=preprocessing or config.preprocessing,
    )
