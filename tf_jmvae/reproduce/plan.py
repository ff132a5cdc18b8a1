"""What the MNIST study trains and at what size: the models of Table 1, Figure 5 and arXiv 1611.01891."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_jmvae.training import presets
from tf_jmvae.training.config import Config

__all__ = ["FULL", "QUICK", "TRAININGS", "Scale", "Training", "configs"]


@dataclass(frozen=True)
class Training:
    """One model of the study.

    Attributes:
      kind: its preset, without the dataset.
      epochs: passes over the training data; a tenth of them are KL warm-up, the paper's share.
      options: of the model.
    """

    kind: str
    epochs: int
    options: dict[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
      dataset: `"mnist"`, or `"digits"` in miniature.
      epochs: of every training, in place of its own.
      train_size: the first so many training examples.
      test_size: the first so many test examples.
      num_samples: N of the conditional bound.
      importance_samples: of the importance estimates.
      num_steps: of iterated sampling in Table 1 and Figure 5.
      steps: rows of Figure 3 and abscissae of Figure 4.
      figure_4_size: test examples behind Figure 4.
      classifier_epochs: of the classifier that judges coherence.
      steps_per_execution: of the trainings.
    """

    dataset: str = "mnist"
    epochs: int | None = None
    train_size: int | None = None
    test_size: int = 10_000
    num_samples: int = 10
    importance_samples: int = 1000
    num_steps: int = 100
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    figure_4_size: int = 2000
    classifier_epochs: int = 3
    steps_per_execution: int = 7


FULL = Scale()
QUICK = Scale(
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
)


def configs(scale: Scale, folder: Path, data_dir: Path | None, seed: int) -> dict[str, Config]:
    """The configuration of every training, by name."""
    made = {}
    for name, training in TRAININGS.items():
        config = presets.load(f"{scale.dataset}-{training.kind}")
        epochs = scale.epochs or training.epochs
        settings = config.model_dump()
        settings["model"] |= training.options
        settings["data"] |= {"data_dir": data_dir, "train_size": scale.train_size}
        settings["training"] |= {
            "epochs": epochs,
            "kl_warm_up": epochs // 10,
            "validate_every": min(10, epochs),
            "steps_per_execution": scale.steps_per_execution,
            "tensorboard": False,
        }
        settings |= {"run_dir": folder / name, "seed": seed, "num_steps": 1}
        made[name] = Config.model_validate(settings)
    return made
