"""What the CelebA study trains and at what size: the models of Table 2, and JMVAE-kl with a GAN."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_jmvae.training import presets
from tf_jmvae.training.config import Config

__all__ = ["SCALES", "TRAININGS", "UNWEIGHTED", "Scale", "configs"]

# Preset, without the dataset and the size, and options of the model.
TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {
    "jmvae-kl": ("jmvae-kl", {}),
    "jmvae": ("jmvae", {}),
    "hierarchical-jmvae": ("hierarchical-jmvae", {}),
    "cvae-x": ("cvae", {"target": "x"}),
    "cvae-w": ("cvae", {"target": "w"}),
    "cmma-x": ("cmma", {"target": "x"}),
    "cmma-w": ("cmma", {"target": "w"}),
    "jmvae-kl-gan": ("jmvae-kl-gan", {}),
}
# Plain JMVAE once more where the presets weigh the attributes, without that weight.
UNWEIGHTED = "jmvae-unweighted"


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
      suffix: of the presets' names.
      epochs: of every training, in place of its preset's.
      train_size: the first so many training examples.
      test_size: the first so many test examples.
      num_samples: N of the conditional bound.
      num_steps: of iterated sampling in Table 2.
      steps: rows of Figure 6 and abscissae of Figure 7.
      figure_7_size: test examples behind Figure 7.
      judge_epochs: of the classifier that judges generated images.
      judge_channels: of its convolutions.
      unweighted: whether JMVAE is trained without the attributes' weight as well.
      miniature: whether networks are as small as they can be, in place of the presets'.
    """

    suffix: str = ""
    epochs: int | None = None
    train_size: int | None = None
    test_size: int | None = None
    num_samples: int = 10
    num_steps: int = 40
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    figure_7_size: int = 500
    judge_epochs: int = 8
    judge_channels: tuple[int, ...] = (32, 64, 128, 128)
    unweighted: bool = False
    miniature: bool = False


SCALES = {
    "full": Scale(),
    "small": Scale(suffix="-small", unweighted=True),
    "quick": Scale(
        suffix="-small",
        epochs=1,
        train_size=64,
        test_size=16,
        num_samples=2,
        num_steps=2,
        steps=(1, 2),
        figure_7_size=8,
        judge_epochs=1,
        judge_channels=(4, 4, 8, 8),
        unweighted=True,
        miniature=True,
    ),
}
# What is left of a model in miniature: as few layers as there can be, for what takes time is to trace them.
_MINIATURE = {"latent_dim": 8, "trunk": (16,)}
_MINIATURE_MODALITIES = {
    "x": {"encoder": {"filters": (8, 8)}, "decoder": {"filters": (8,)}, "batch_norm": False},
    "w": {"encoder": (16,), "decoder": (16,), "batch_norm": False},
}


def configs(scale: Scale, folder: Path, data_dir: Path | None, seed: int) -> dict[str, Config]:
    """The configuration of every training, by name."""
    made = {}
    for name, (kind, options) in TRAININGS.items():
        settings = presets.load(f"celeba-{kind}{scale.suffix}").model_dump()
        settings["model"] |= options
        if scale.miniature:
            _shrink(settings)
        settings["data"] |= {"data_dir": data_dir, "train_size": scale.train_size}
        if scale.epochs:
            settings["training"] |= {"epochs": scale.epochs, "kl_warm_up": 0}
        settings["training"] |= {"validate_every": min(4, settings["training"]["epochs"]), "tensorboard": False}
        settings |= {"run_dir": folder / name, "seed": seed, "num_steps": 1}
        made[name] = Config.model_validate(settings)
    if scale.unweighted:
        settings = made["jmvae"].model_dump()
        settings["model"]["modalities"]["w"]["weight"] = 1.0
        made[UNWEIGHTED] = Config.model_validate(settings | {"run_dir": folder / UNWEIGHTED})
    return made


def _shrink(settings: dict[str, Any]) -> None:
    settings["model"] |= _MINIATURE
    for name, networks in _MINIATURE_MODALITIES.items():
        settings["model"]["modalities"][name] |= networks
    if settings["model"]["discriminator"]:
        settings["model"]["discriminator"] = {"filters": (8, 8), "units": (16,)}
    settings["training"]["precision"] = "float32"
