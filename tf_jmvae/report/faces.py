"""A run's picture for photographs with attributes: images from attributes, and attributes from images."""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_jmvae.models import MultimodalVAE
from tf_jmvae.report.plots import RIGHT, WRONG, draw_directions, image_grid, show_image

__all__ = ["both_directions"]

_FACES, _NAMED, _LISTED = 8, 6, 7


def both_directions(
    model: MultimodalVAE,
    test: Mapping[str, np.ndarray],
    names: Sequence[str],
    path: str,
    *,
    num_steps: int = 1,
    seed: int = 0,
) -> None:
    """Draws images x generated from the attributes w of held-out ones, and attributes named from images.

    Args:
      model: one with a standardised image x and attributes w in {-1, 1}.
      test: arrays `[N, ...]` by modality, as the model reads them.
      names: the attributes'.
      path: where to write the PNG.
      num_steps: of iterated sampling, for models that need it.
      seed: of the samples; equal seeds draw equal pictures.
    """
    options = {"num_steps": num_steps, "seed": seed}
    draw_directions(model, {"x": _draw_images, "w": _draw_attributes}, path, test, names, **options)


def _draw_images(panel, model, test, names, *, num_steps, seed):
    real = {name: values[:_FACES] for name, values in test.items()}
    given = {"w": real["w"]}
    options = {"targets": ["x"], "num_steps": num_steps, "seed": seed}
    drawn = model.generate(given, num_samples=2, **options)["x"].numpy()
    rows = {
        "real": real["x"],
        "recon-\nstructed": model.generate(real, latent="mean", targets=["x"], seed=seed)["x"],
        "mean\nof z": model.generate(given, latent="mean", **options)["x"],
        "samples\nof z": drawn[:, 0],
        "": drawn[:, 1],
    }
    panel.suptitle("Images from the attributes of the real ones: x given w", fontsize=12, fontweight="bold")
    image_grid(panel, [model.postprocess({"x": images})["x"] for images in rows.values()], list(rows))


def _draw_attributes(panel, model, test, names, *, num_steps, seed):
    given, truth = {"x": test["x"][-_NAMED:]}, test["w"][-_NAMED:]
    named = model.generate(given, targets=["w"], latent="mean", num_steps=num_steps, seed=seed)["w"].numpy()
    photographs = model.postprocess(given)["x"]
    panel.suptitle("Attributes of unseen images: w given x", fontsize=12, fontweight="bold")
    pairs = panel.subplots(-(-_NAMED // 2), 4, squeeze=False)
    for axis in pairs.ravel():
        axis.set_axis_off()
    for index, (photograph, values) in enumerate(zip(photographs, named, strict=True)):
        row, column = divmod(index, 2)
        show_image(pairs[row, 2 * column], photograph)
        text = pairs[row, 2 * column + 1]
        for line, entry in enumerate(np.argsort(-values)[:_LISTED]):
            right = truth[index, entry] > 0
            label = f"{names[entry].replace('_', ' ')}  {values[entry]:+.2f}" + ("" if right else "  (no)")
            color = RIGHT if right else WRONG
            text.text(0.0, 0.93 - 0.135 * line, label, fontsize=9, color=color, transform=text.transAxes)
