"""Latents of examples for TensorBoard's embedding projector: points, labels and pictures."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tf_jmvae._utils.files import replace_atomically, write_text
from tf_jmvae.images.grids import grid
from tf_jmvae.images.preparing import as_picture
from tf_jmvae.models.directions import pixels

__all__ = ["write_examples", "write_latents"]

_TENSOR, _METADATA, _SPRITE = "latents.tsv", "metadata.tsv", "sprite.png"


def write_examples(
    folder: Path, model: Any, data: Mapping[str, np.ndarray], names: Mapping[str, tuple[str, ...]]
) -> None:
    """What does not change while a model is trained: labels, pictures and the projector's configuration.

    The folder is that of the event files; the projector finds `projector_config.pbtxt` there. `data` are arrays
    `[N, ...]` by modality, and `names` what the entries of each are called.
    """
    from google.protobuf import text_format
    from tensorboard.plugins import projector
    from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME

    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name=f"mean of q(z | {', '.join(model.modalities)})", tensor_path=_TENSOR)
    images = next((name for name in data if model.modalities[name].spec.is_image), None)
    if images is not None:
        pictures = pixels(model, images, data[images])
        replace_atomically(folder / _SPRITE, lambda path: _sprite(pictures).save(path, format="PNG"))
        embedding.sprite.image_path = _SPRITE
        embedding.sprite.single_image_dim.extend([pictures.shape[2], pictures.shape[1]])
    columns = {
        column: texts
        for name, values in data.items()
        for column, texts in _columns(name, model.modalities[name].spec.kind, values, names[name]).items()
    }
    if columns:
        lines = ["\t".join(row) for row in zip(*columns.values(), strict=True)]
        # The projector takes a first line for names only where there are several columns.
        lines = lines if len(columns) == 1 else ["\t".join(columns), *lines]
        write_text(folder / _METADATA, "\n".join(lines) + "\n")
        embedding.metadata_path = _METADATA
    write_text(folder / PROJECTOR_FILENAME, text_format.MessageToString(config))


def write_latents(folder: Path, model: Any, data: Mapping[str, np.ndarray]) -> None:
    """The means of q(z | all modalities), a row of tab-separated numbers for each example."""
    means = model.posterior(dict(data)).mean().numpy()
    write_text(folder / _TENSOR, "\n".join("\t".join(f"{value:.5g}" for value in row) for row in means) + "\n")


def _sprite(images: np.ndarray) -> Image.Image:
    """Small pictures, uint8 `[N, H, W, C]`, in a square grid, row by row, as the embedding projector cuts them out."""
    side = math.isqrt(len(images) - 1) + 1
    white = np.full((side**2 - len(images), *images.shape[1:]), 255, np.uint8)
    return as_picture(grid(np.concatenate([images, white]).reshape(side, side, *images.shape[1:]))).convert("RGB")


def _columns(name: str, shown_as: str, values: np.ndarray, names: tuple[str, ...]) -> dict[str, list[str]]:
    """A label's column, or one of yes and no for each attribute: the points can be coloured by any."""
    if shown_as == "label":
        return {name: [names[entry] for entry in values.argmax(axis=-1)]}
    if shown_as == "attributes":
        return {entry: ["yes" if value > 0 else "no" for value in values[:, i]] for i, entry in enumerate(names)}
    return {}
