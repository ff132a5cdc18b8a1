"""What the MNIST study trains and at what size: the models of Table 1, Figure 5 and arXiv 1611.01891."""

from dataclasses import dataclass
from pathlib import Path

from tf_jmvae.studies import plan
from tf_jmvae.studies.plan import Training
from tf_jmvae.training.config import Config

__all__ = ["SCALES", "TRAININGS", "Scale", "configs"]

TRAININGS = {
    "jmvae-kl-0.1": Training("jmvae-kl", 200, {"alpha": 0.1}),
    "jmvae-kl": Training("jmvae-kl", 60),
    "jmvae": Training("jmvae", 60),
    "hierarchical-jmvae": Training("hierarchical-jmvae", 60),
    "cvae-x": Training("cvae", 25, {"target": "x"}),
    "cvae-w": Training("cvae", 12, {"target": "w"}),
    "cmma-x": Training("cmma", 25, {"target": "x"}),
    "cmma-w": Training("cmma", 12, {"target": "w"}),
    "jmvae-2d": Training("jmvae", 15, {"latent_dim": 2}),
    "hierarchical-jmvae-2d": Training("hierarchical-jmvae", 15, {"latent_dim": 2}),
    "jmvae-kl-2d": Training("jmvae-kl", 15, {"latent_dim": 2}),
}


@dataclass(frozen=True, kw_only=True)
class Scale(plan.Scale):
    """How large everything is.

    Attributes:
      importance_samples: of the importance estimates.
      figure_4_size: test examples behind Figure 4.
      classifier_epochs: of the classifier that judges coherence.
      steps_per_execution: of the trainings.
    """

    dataset: str = "mnist"
    test_size: int | None = 10_000
    num_steps: int = 100
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    validate_every: int = 10
    importance_samples: int = 1000
    figure_4_size: int = 2000
    classifier_epochs: int = 3
    steps_per_execution: int = 7


SCALES = {
    "full": Scale(),
    "quick": Scale(
        dataset="digits",
        epochs=1,
        train_size=256,
        test_size=40,
        num_samples=2,
        importance_samples=10,
        num_steps=3,
        steps=(1, 2, 4),
        figure_4_size=20,
        classifier_epochs=1,
        steps_per_execution=1,
    ),
}


def configs(scale: Scale, folder: Path, data_dir: Path | None, seed: int) -> dict[str, Config]:
    """The configuration of every training, by name."""
    return plan.configs(scale, TRAININGS, folder, data_dir, seed, steps_per_execution=scale.steps_per_execution)
