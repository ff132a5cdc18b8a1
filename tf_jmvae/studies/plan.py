"""What all studies plan alike: trainings, each a preset with what is changed, and how large everything is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_jmvae.training import presets
from tf_jmvae.training.config import Config

__all__ = ["Scale", "Training", "configs"]


@dataclass(frozen=True)
class Training:
    """One model of a study.

    Attributes:
      kind: its preset, without the dataset and the size.
      epochs: passes over the training data, in place of the preset's; a tenth of them are KL warm-up.
      options: of the model, laid over the preset's.
    """

    kind: str
    epochs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large everything is.

    Attributes:
      dataset: at the beginning of the presets' names.
      suffix: at their end.
      epochs: of every training, in place of its own.
      train_size: the first so many training examples.
      test_size: the first so many test examples.
      num_samples: N of the conditional bound.
      num_steps: of iterated sampling, but in the figures of several numbers.
      steps: these numbers.
      validate_every: epochs between evaluations.
    """

    dataset: str
    suffix: str = ""
    epochs: int | None = None
    train_size: int | None = None
    test_size: int | None = None
    num_samples: int = 10
    num_steps: int
    steps: tuple[int, ...]
    validate_every: int


def configs(
    scale: Scale, trainings: Mapping[str, Training], folder: Path, data_dir: Path | None, seed: int, **settings: Any
) -> dict[str, Config]:
    """The configuration of every training, by name; `settings` are of all trainings, such as `precision`."""
    made = {}
    for name, one in trainings.items():
        config = presets.load(f"{scale.dataset}-{one.kind}{scale.suffix}")
        given = scale.epochs or one.epochs
        epochs = given or config.training.epochs
        warm_up = {"kl_warm_up": given // 10} if given else {}
        training = {"epochs": epochs, "validate_every": min(scale.validate_every, epochs), "tensorboard": False}
        changes = {
            "run_dir": folder / name,
            "seed": seed,
            "num_steps": 1,
            "model": dict(one.options),
            "data": {"data_dir": data_dir, "train_size": scale.train_size},
            "training": training | warm_up | settings,
        }
        made[name] = Config.model_validate(presets.merge(config.model_dump(), changes))
    return made
