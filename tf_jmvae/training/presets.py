"""Presets: data files with the paper's settings, each saying where they come from."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic

from tf_jmvae.modality import Modality
from tf_jmvae.models import CMMA, CVAE, JMVAE, JMVAEKL, VAE, HierarchicalJMVAE, MultimodalVAE
from tf_jmvae.networks import mlp
from tf_jmvae.training.config import Config, ModelConfig

__all__ = ["build_model", "from_preset", "load", "names"]

_MODELS = {
    "vae": VAE,
    "jmvae": JMVAE,
    "jmvae-kl": JMVAEKL,
    "hierarchical-jmvae": HierarchicalJMVAE,
    "cvae": CVAE,
    "cmma": CMMA,
}
_FOLDER = resources.files("tf_jmvae.training") / "presets"


def names() -> list[str]:
    """The names of all presets."""
    return sorted(entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml"))


def load(preset: str) -> Config:
    """The configuration of a preset.

    Args:
      preset: a preset's name, or the path of a `.toml` file of the same form.

    Raises:
      ValueError: no such preset (the message lists them), or a file that is no valid configuration.
    """
    if preset.endswith(".toml"):
        path, name = Path(preset), Path(preset).stem
        if not path.is_file():
            raise ValueError(f"There is no configuration file {preset}.")
    else:
        path, name = _FOLDER / f"{preset}.toml", preset
        if preset not in names():
            raise ValueError(f"Unknown preset {preset!r}. Expected one of {', '.join(names())}, or a .toml file.")
    try:
        return Config.model_validate({**tomllib.loads(path.read_text("utf-8")), "preset": name})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{preset} is not valid TOML: {error}.") from error
    except pydantic.ValidationError as error:
        raise ValueError(f"{preset} is not a valid configuration: {describe(error)}") from error


def from_preset(preset: str, **overrides: Any) -> MultimodalVAE:
    """A new, untrained model with a preset's settings.

    Args:
      preset: a preset's name, or the path of a `.toml` file.
      **overrides: options of the model, e.g. `alpha=0.1` or `latent_dim=2`.

    Raises:
      ValueError: unknown preset or option, or a value that does not fit.

    Example:
      >>> model = from_preset("mnist-jmvae-kl", alpha=0.1)
    """
    settings = load(preset).model.model_dump()
    try:
        return build_model(ModelConfig.model_validate({**settings, **overrides}))
    except pydantic.ValidationError as error:
        raise ValueError(f"from_preset({preset!r}): {describe(error)}") from error


def build_model(config: ModelConfig) -> MultimodalVAE:
    """A new model from its configuration."""
    modalities = {
        name: Modality(
            modality.event_shape,
            modality.likelihood,
            encoder=mlp(modality.encoder),
            decoder=mlp(modality.decoder),
            weight=modality.weight,
        )
        for name, modality in config.modalities.items()
    }
    return _MODELS[config.kind](modalities, config.latent_dim, **config.options())


def describe(error: pydantic.ValidationError) -> str:
    """A validation error as one line: which setting, what is wrong, what came."""
    parts = []
    for detail in error.errors():
        where = ".".join(map(str, detail["loc"]))
        came = "" if detail["type"] in ("missing", "value_error") else f" (got {detail['input']!r})"
        message = detail["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}{came}" if where else message)
    return "; ".join(parts)
