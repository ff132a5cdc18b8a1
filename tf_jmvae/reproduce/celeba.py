"""The paper's CelebA experiments: Table 2, Figures 6 to 9, and JMVAE-kl with and without a GAN.

References:
  [1] Suzuki and Matsuo, section 4.6.
"""

from dataclasses import asdict, replace
from pathlib import Path

from tf_jmvae import data
from tf_jmvae.report import celeba_figures
from tf_jmvae.reproduce.celeba_measurements import measurements
from tf_jmvae.reproduce.celeba_pictures import pictures
from tf_jmvae.reproduce.celeba_plan import SCALES, configs
from tf_jmvae.reproduce.collector import Models
from tf_jmvae.reproduce.publish import publish, recorded
from tf_jmvae.reproduce.study import Study

__all__ = ["reproduce"]


def reproduce(folder: Path, output: Path, *, data_dir: Path | None = None, scale: str = "full", seed: int = 0) -> Path:
    """Trains, measures, draws and writes the report; what is finished in `folder` is not done again.

    Args:
      folder: where the trainings and measurements go.
      output: where `results-celeba.md`, `results/celeba.json` and `images/celeba-*.png` go.
      data_dir: folder with CelebA's lists and images; without it they are downloaded.
      scale: `"full"`, the paper's networks; `"small"`, the presets for two cores; or `"quick"`, in miniature.
      seed: of everything.

    Returns:
      The path of `results-celeba.md`.

    Raises:
      RunError: `folder` holds something else.
      OSError: the data cannot be had.
    """
    size = SCALES[scale]
    source = data.load("celeba", data_dir=data_dir, train_size=size.train_size, mirror=True)
    source = replace(source, test={name: values[: size.test_size] for name, values in source.test.items()})
    study = Study(folder, {"study": "celeba", "scale": scale, "seed": seed})
    trainings = configs(size, folder, data_dir, seed)
    study.train(trainings)
    models = Models(folder)
    measured = study.measure(measurements(size, models, source, folder, seed))

    record = {
        "scale": {"name": scale, **asdict(size)},
        "seed": seed,
        "data": {"train": len(source.train["x"]), "test": len(source.test["x"]), "report": dict(source.report)},
        "trainings": {name: study.provenance(name) for name in trainings},
        "measurements": recorded(measured),
    }
    drawn = pictures(models, source, size, seed)
    return publish(output, "celeba", record, celeba_figures.figures(measured, drawn, size.steps))
