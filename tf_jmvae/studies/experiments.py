"""The paper's experiments on MNIST, section 4.5, and CelebA, section 4.6: from the trainings to the report.

References:
  [1] Suzuki and Matsuo.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tf_jmvae import data
from tf_jmvae.studies.celeba import figures as celeba_figures
from tf_jmvae.studies.celeba import measurements as celeba_measurements
from tf_jmvae.studies.celeba import plan as celeba_plan
from tf_jmvae.studies.collector import Models
from tf_jmvae.studies.mnist import figures as mnist_figures
from tf_jmvae.studies.mnist import measurements as mnist_measurements
from tf_jmvae.studies.mnist import plan as mnist_plan
from tf_jmvae.studies.plan import configs
from tf_jmvae.studies.publish import publish, recorded
from tf_jmvae.studies.study import Study

__all__ = ["reproduce"]


# What each trains, measures and draws, and options of its data.
_EXPERIMENTS: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "mnist": (mnist_plan, mnist_measurements, mnist_figures, {}),
    "celeba": (celeba_plan, celeba_measurements, celeba_figures, {"mirror": True}),
}


def reproduce(
    name: str, folder: Path, output: Path, *, data_dir: Path | None = None, scale: str = "full", seed: int = 0
) -> Path:
    """Trains, measures, draws and writes the report; what is finished in `folder` is not done again.

    Args:
      name: `"mnist"` or `"celeba"`.
      folder: where the trainings and measurements go.
      output: where the page, `results/NAME.json` and `images/NAME-*.png` go.
      data_dir: folder with the dataset's original files; without it they are downloaded.
      scale: `"full"`, the paper's networks; `"quick"`, everything in miniature, of MNIST on scikit-learn's digits; of
        CelebA also `"small"`, the presets for two cores.
      seed: of everything.

    Returns:
      The path of the page.

    Raises:
      RunError: `folder` holds something else.
      OSError: the data cannot be had.
    """
    plan, numbers, pictures, options = _EXPERIMENTS[name]
    size = plan.SCALES[scale]
    source = data.load(size.dataset, data_dir=data_dir, train_size=size.train_size, **options)
    source = replace(source, test={modality: values[: size.test_size] for modality, values in source.test.items()})
    which = {"quick": scale == "quick"} if name == "mnist" else {"scale": scale}
    study = Study(folder, {"study": name, **which, "seed": seed})
    trainings = configs(size, folder, data_dir, seed)
    study.train(trainings)
    models = Models(folder)
    measured = study.measure(numbers.measurements(size, models, source, folder, seed))
    sizes = {"train": len(source.train["x"]), "test": len(source.test["x"])}
    record = {
        "scale": {"name": scale, **size.as_dict()},
        "seed": seed,
        "data": {**sizes, "report": dict(source.report)},
        "trainings": {training: study.provenance(training) for training in trainings},
        "measurements": recorded(measured),
    }
    return publish(output, name, record, pictures.figures(size, models, source, measured, seed))
