"""The paper's MNIST experiments: Table 1, Figures 3 to 5, and the importance estimates of arXiv 1611.01891.

References:
  [1] Suzuki and Matsuo, section 4.5.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae import data
from tf_jmvae.report import figures
from tf_jmvae.report.titles import TITLES
from tf_jmvae.reproduce.collector import COMPARED, Models
from tf_jmvae.reproduce.measurements import measurements
from tf_jmvae.reproduce.plan import FULL, QUICK, Scale, configs
from tf_jmvae.reproduce.publish import publish, recorded
from tf_jmvae.reproduce.study import Study

__all__ = ["reproduce"]


def reproduce(folder: Path, output: Path, *, data_dir: Path | None = None, quick: bool = False, seed: int = 0) -> Path:
    """Trains, measures, draws and writes the report; what is finished in `folder` is not done again.

    Args:
      folder: where the trainings and measurements go.
      output: where `results.md`, `results/mnist.json` and `images/mnist-figure-*.png` go.
      data_dir: folder with MNIST's original files; without it they are downloaded.
      quick: everything in miniature, on scikit-learn's digits.
      seed: of everything.

    Returns:
      The path of `results.md`.

    Raises:
      RunError: `folder` holds something else.
      OSError: the data cannot be had.
    """
    scale = QUICK if quick else FULL
    source = data.load(scale.dataset, data_dir=data_dir, train_size=scale.train_size)
    source = replace(source, test={name: values[: scale.test_size] for name, values in source.test.items()})
    study = Study(folder, {"study": "mnist", "quick": quick, "seed": seed})
    trainings = configs(scale, folder, data_dir, seed)
    study.train(trainings)
    models = Models(folder)
    measured = study.measure(measurements(scale, models, source, folder, seed))

    record = {
        "scale": asdict(scale),
        "seed": seed,
        "trainings": {name: study.provenance(name) for name in trainings},
        "measurements": recorded(measured),
    }
    return publish(output, "mnist", record, _figures(scale, models, source, measured, seed))


def _figures(
    scale: Scale, models: Models, source: data.Source, measured: dict[str, Any], seed: int
) -> dict[str, Callable[[str], None]]:
    labels = np.eye(len(source.class_names), dtype=np.float32)
    images = {}
    for model in COMPARED:
        rows = [
            models(model).generate({"w": labels}, num_steps=steps, seed=tf.constant([seed, steps]))["x"].numpy()
            for steps in scale.steps
        ]
        row_labels = [f"{steps}" for steps in scale.steps] if model != "jmvae-kl" else [""] * len(scale.steps)
        images[TITLES[model]] = np.stack(rows), row_labels
    curves = {
        direction: {
            TITLES[model]: {
                steps: measured[f"figure-4/{model}/{direction}/{steps}"]
                for steps in scale.steps
                if f"figure-4/{model}/{direction}/{steps}" in measured
            }
            for model in COMPARED
        }
        for direction in ("x-given-w", "w-given-x")
    }
    latents = {TITLES[model]: measured[f"figure-5/{model}-2d"]["points"] for model in COMPARED}
    return {
        "figure-3": lambda path: figures.figure_3(images, path, source.class_names),
        "figure-4": lambda path: figures.figure_4(curves, path),
        "figure-5": lambda path: figures.figure_5(latents, source.class_names, path),
    }
