"""The paper's MNIST experiments: Table 1, Figures 3 to 5, and the importance estimates of arXiv 1611.01891.

References:
  [1] Suzuki and Matsuo, section 4.5.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae import data
from tf_jmvae.files import explained, replace_atomically, write_json
from tf_jmvae.report import figures, results
from tf_jmvae.reproduce.collector import COMPARED, Models
from tf_jmvae.reproduce.measurements import measurements
from tf_jmvae.reproduce.plan import FULL, QUICK, Scale, configs
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

    with explained(output):
        (output / "images").mkdir(parents=True, exist_ok=True)
        (output / "results").mkdir(exist_ok=True)
    _draw(scale, models, source, measured, output / "images", seed)
    record = {
        "scale": asdict(scale),
        "seed": seed,
        "trainings": {name: study.provenance(name) for name in trainings},
        "measurements": {
            name: {key: value for key, value in result.items() if key not in ("points", "versions")}
            for name, result in sorted(measured.items())
        },
    }
    write_json(output / "results" / "mnist.json", record)
    replace_atomically(output / "results.md", lambda path: Path(path).write_text(results.mnist(record)))
    return output / "results.md"


def _draw(scale: Scale, models: Models, source: data.Source, measured: dict[str, Any], folder: Path, seed: int) -> None:
    labels = np.eye(len(source.class_names), dtype=np.float32)
    images = {}
    for model in COMPARED:
        rows = [
            models(model).generate({"w": labels}, num_steps=steps, seed=tf.constant([seed, steps]))["x"].numpy()
            for steps in scale.steps
        ]
        row_labels = [f"{steps}" for steps in scale.steps] if model != "jmvae-kl" else [""] * len(scale.steps)
        images[results.TITLES[model]] = np.stack(rows), row_labels
    curves = {
        direction: {
            results.TITLES[model]: {
                steps: measured[f"figure-4/{model}/{direction}/{steps}"]
                for steps in scale.steps
                if f"figure-4/{model}/{direction}/{steps}" in measured
            }
            for model in COMPARED
        }
        for direction in ("x-given-w", "w-given-x")
    }
    latents = {results.TITLES[model]: measured[f"figure-5/{model}-2d"]["points"] for model in COMPARED}
    for number, draw in (
        (3, lambda path: figures.figure_3(images, source.class_names, path)),
        (4, lambda path: figures.figure_4(curves, path)),
        (5, lambda path: figures.figure_5(latents, source.class_names, path)),
    ):
        replace_atomically(folder / f"mnist-figure-{number}.png", draw)
