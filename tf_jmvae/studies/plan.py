"""What all studies plan alike: trainings, each a preset with what is changed, and how large everything is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
      epochs: of training, in place of the preset's; a tenth of them are KL warm-up.
      options: of the model, laid over the preset's.
    """

    kind: str
    epochs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large everything of a study is.

    Attributes:
      trainings: the models, by name.
      dataset: at the beginning of the presets' names.
      suffix: at their end.
      epochs: of every training, in place of its own.
      settings: of every training, laid over the preset's, such as the precision.
      train_size: the first so many training examples.
      test_size: the first so many test examples.
      num_samples: N of the conditional bound.
      num_steps: of iterated sampling, but in the figures of several numbers.
      steps: these numbers.
      figure_size: test examples behind the figure of the bound over the steps.
      importance_samples: of the importance estimates, where a study has some.
      classifier: options of the classifier that measures what is generated, such as its epochs.
      validate_every: epochs between evaluations.
    """

    trainings: Mapping[str, Training]
    dataset: str
    suffix: str = ""
    epochs: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    train_size: int | None = None
    test_size: int | None = None
    num_samples: int = 10
    num_steps: int
    steps: tuple[int, ...]
    figure_size: int
    importance_samples: int | None = None
    classifier: Mapping[str, Any]
    validate_every: int

    def as_dict(self) -> dict[str, Any]:
        """Everything but the trainings, as JSON takes it."""
        return {name: value for name, value in asdict(self).items() if name != "trainings"}


def configs(scale: Scale, folder: Path, data_dir: Path | None, seed: int) -> dict[str, Config]:
    """The configuration of every training, by name."""
    made = {}
    for name, one in scale.trainings.items():
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
            "training": training | warm_up | dict(scale.settings),
        }
        made[name] = Config.model_validate(presets.merge(config.model_dump(), changes))
    return made
