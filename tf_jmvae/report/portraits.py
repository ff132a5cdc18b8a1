"""Picture of a run on photographs: from attributes to images, and from images to attributes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from tf_jmvae.models import MultimodalVAE

__all__ = ["portraits"]

_COLUMNS = 8
_SAMPLES = 3


def portraits(
    model: MultimodalVAE, test: Mapping[str, np.ndarray], path: str, *, num_steps: int = 1, seed: int = 0
) -> None:
    """Draws unseen images x, how many of their attributes w are named rightly, and images generated from those.

    Args:
      model: one with a standardised image modality x and a modality w of attributes in {-1, 1}.
      test: arrays `[N, ...]` by modality, standardised.
      path: where to write the PNG.
      num_steps: of iterated sampling, for models that need it.
      seed: of the samples; equal seeds draw equal pictures.
    """
    x, w = (test[name][:_COLUMNS] for name in ("x", "w"))
    options = {"num_steps": num_steps, "seed": seed}
    rows, titles = {"unseen": x}, [""] * len(x)
    if "w" in model.targets:
        named = model.generate({"x": x}, targets=["w"], latent="mean", **options)["w"].numpy()
        titles = [f"{right} of {w.shape[1]}" for right in ((named > 0) == (w > 0)).sum(axis=1)]
    if "x" in model.targets:
        rows["mean of z"] = model.generate({"w": w}, targets=["x"], latent="mean", **options)["x"].numpy()
        samples = model.generate({"w": w}, targets=["x"], num_samples=_SAMPLES, **options)["x"].numpy()
        rows |= {f"sample {number}": samples[:, number - 1] for number in range(1, _SAMPLES + 1)}
    figure = Figure(figsize=(1.1 * len(x) + 1.0, 1.1 * len(rows) + 0.6), layout="constrained", dpi=150)
    figure.suptitle("Unseen images with their attributes named rightly; images from their attributes", fontsize=10)
    grid = figure.subplots(len(rows), len(x), gridspec_kw={"wspace": 0.04, "hspace": 0.04}, squeeze=False)
    for axes, (label, images) in zip(grid, rows.items(), strict=True):
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for axis, image in zip(axes, model.postprocess({"x": images})["x"], strict=True):
            axis.imshow(image)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for axis, title in zip(grid[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig(path, format="png")
