"""What Figures 3 to 5 of the MNIST study show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_jmvae import data
from tf_jmvae.models.directions import pixels
from tf_jmvae.studies import figures as drawing
from tf_jmvae.studies.collector import COMPARED, Models
from tf_jmvae.studies.comparison import TITLES
from tf_jmvae.studies.mnist.plan import Scale

__all__ = ["figures"]


def figures(
    scale: Scale, models: Models, source: data.Source, measured: dict[str, Any], seed: int
) -> dict[str, Callable[[str], None]]:
    """Functions that draw each figure to a path, by its name."""
    labels = np.eye(len(source.class_names), dtype=np.float32)
    images = {}
    for model in COMPARED:
        made = [
            models(model).generate({"w": labels}, num_steps=steps, seed=tf.constant([seed, steps]))["x"]
            for steps in scale.steps
        ]
        row_labels = [f"{steps}" for steps in scale.steps] if model != "jmvae-kl" else [""] * len(scale.steps)
        images[TITLES[model]] = pixels(models(model), "x", np.stack(made)), row_labels
    curves = {
        direction: drawing.curves(measured, "figure-4", direction, COMPARED) for direction in ("x-given-w", "w-given-x")
    }
    latents = {TITLES[model]: measured[f"figure-5/{model}-2d"]["points"] for model in COMPARED}
    return {
        "figure-3": lambda path: drawing.figure_3(images, path, source.class_names),
        "figure-4": lambda path: drawing.figure_4(curves, path),
        "figure-5": lambda path: drawing.figure_5(latents, source.class_names, path),
    }
