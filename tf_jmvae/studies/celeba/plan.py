"""What the CelebA study trains and at what size: the models of Table 2, and JMVAE-kl with a GAN."""

from dataclasses import dataclass, replace
from pathlib import Path

from tf_jmvae.studies import plan
from tf_jmvae.studies.plan import Training
from tf_jmvae.training import presets
from tf_jmvae.training.config import Config

__all__ = ["SCALES", "TRAININGS", "UNWEIGHTED", "Scale", "configs"]

TRAININGS = {
    "jmvae-kl": Training("jmvae-kl"),
    "jmvae": Training("jmvae"),
    "hierarchical-jmvae": Training("hierarchical-jmvae"),
    "cvae-x": Training("cvae", options={"target": "x"}),
    "cvae-w": Training("cvae", options={"target": "w"}),
    "cmma-x": Training("cmma", options={"target": "x"}),
    "cmma-w": Training("cmma", options={"target": "w"}),
    "jmvae-kl-gan": Training("jmvae-kl-gan"),
}
# Plain JMVAE once more where the presets weigh the attributes, without that weight.
UNWEIGHTED = "jmvae-unweighted"


@dataclass(frozen=True, kw_only=True)
class Scale(plan.Scale):
    """How large everything is.

    Attributes:
      figure_7_size: test examples behind Figure 7.
      judge_epochs: of the classifier that judges generated images.
      judge_channels: of its convolutions.
      unweighted: whether JMVAE is trained without the attributes' weight as well.
      miniature: whether networks are as small as they can be, in place of the presets'.
    """

    dataset: str = "celeba"
    num_steps: int = 40
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    validate_every: int = 4
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
_MINIATURE = {
    "latent_dim": 8,
    "trunk": (16,),
    "modalities": {
        "x": {"encoder": {"filters": (8, 8), "units": ()}, "decoder": {"filters": (8,)}, "batch_norm": False},
        "w": {"encoder": (16,), "decoder": (16,), "batch_norm": False},
    },
}
_DISCRIMINATOR = {"discriminator": {"filters": (8, 8), "units": (16,)}}


def configs(scale: Scale, folder: Path, data_dir: Path | None, seed: int) -> dict[str, Config]:
    """The configuration of every training, by name."""
    trainings = dict(TRAININGS)
    if scale.unweighted:
        trainings[UNWEIGHTED] = Training("jmvae", options={"modalities": {"w": {"weight": 1.0}}})
    if not scale.miniature:
        return plan.configs(scale, trainings, folder, data_dir, seed)
    for name, one in trainings.items():
        smaller = _MINIATURE | (_DISCRIMINATOR if name == "jmvae-kl-gan" else {})
        trainings[name] = replace(one, options=presets.merge(smaller, one.options))
    return plan.configs(scale, trainings, folder, data_dir, seed, precision="float32")
