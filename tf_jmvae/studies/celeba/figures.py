"""The images behind Figures 6, 8 and 9 and behind the comparison with and without a GAN."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_jmvae import data
from tf_jmvae.editing import edit, infer_attributes
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.studies import figures as drawing
from tf_jmvae.studies.celeba.measurements import generate
from tf_jmvae.studies.celeba.plan import Scale
from tf_jmvae.studies.collector import COMPARED, Models
from tf_jmvae.studies.comparison import TITLES

__all__ = ["figures", "pictures"]

_DIRECTION = {"x-given-w": "images from attributes, log p(x | w)"}
# One example of each, in this order: what a reader recognises at a glance.
_EXAMPLES = ("Eyeglasses", "Blond_Hair", "Bald", "Wearing_Hat", "Bangs", "Goatee", "Gray_Hair", "Smiling")
# Figure 8: the rows of the paper, and what they change.
_VARIATIONS = {"Base": {}, "Not Male": {"Male": -2}, "Bald": {"Bald": 2}, "Smiling": {"Smiling": 2}}
_ZETA = 0.6  # variance of epsilon there
_FACES, _POINTS = 7, 150
# Figure 9: portraits by what they are, and the edits.
_PORTRAITS = (
    {"Male": 1, "Smiling": -1, "Eyeglasses": -1, "Wearing_Hat": -1, "Blurry": -1},
    {"Male": -1, "Smiling": 1, "Eyeglasses": -1, "Wearing_Hat": -1, "Blurry": -1},
    {"Male": -1, "Smiling": -1, "Eyeglasses": -1, "Wearing_Hat": -1, "Blurry": -1},
)
_EDITED = ("Smiling", "Eyeglasses", "Male", "Blond_Hair", "Bald", "Young")


def figures(
    scale: Scale, models: Models, source: data.Source, measured: Mapping[str, Any], seed: int
) -> dict[str, Callable[[str], None]]:
    """Functions that draw each figure to a path, by its name."""
    drawn = pictures(models, source, scale, seed)
    panels = {
        TITLES[model]: (
            [drawn["examples"], *rows],
            ["real", *("" if model == "jmvae-kl" else str(step) for step in scale.steps)],
        )
        for model, rows in drawn["steps"].items()
    }
    shown = drawing.curves(measured, "figure-7", "x-given-w", list(drawn["steps"]))
    return {
        "figure-6": lambda path: drawing.figure_3(panels, path),
        "figure-7": lambda path: drawing.figure_4({"x-given-w": shown}, path, _DIRECTION),
        "figure-8": lambda path: drawing.figure_8(drawn["variations"], drawn["latents"], path),
        "figure-9": lambda path: drawing.figure_9(drawn["edits"], path),
        "gan": lambda path: drawing.comparison(drawn["comparison"], path),
    }


def pictures(models: Models, source: data.Source, scale: Scale, seed: int) -> dict[str, Any]:
    """uint8 images by figure.

    Returns:
      `examples` `[C, H, W, 3]`; `steps`, by model, `[rows, C, H, W, 3]`; `comparison`, by row, `[C, H, W, 3]`;
      `variations`, by row, the mean face and random ones `[1 + faces, H, W, 3]`, and `latents`, by row, the
      z behind them and more of the same, `[N, D]`; `edits`, a row per portrait: titles and images.
    """
    names, test = source.class_names, source.test
    rows: list[int] = []
    for name in _EXAMPLES:
        rows.append(_first(test["w"], names, {name: 1}, without=rows))
    attributes = test["w"][rows]
    found: dict[str, Any] = {"steps": {}}
    for model in COMPARED:
        varied = ({"num_steps": steps, "seed": seed + steps} for steps in scale.steps)
        made = [generate(models(model), attributes, latent="sample", **options) for options in varied]
        found["steps"][model] = np.stack(made)
    found["examples"] = test["x"][rows]
    found["comparison"] = {"real": found["examples"]}
    for title, name in (("JMVAE-kl", "jmvae-kl"), ("JMVAE-kl + GAN", "jmvae-kl-gan")):
        model = models(name)
        found["comparison"] |= {
            f"{title}\nreconstruction": _reconstructed(model, found["examples"]),
            f"{title}\nfrom attributes,\nmean of z": generate(model, attributes),
            f"{title}\nfrom attributes,\nz drawn": generate(model, attributes, latent="sample", seed=seed),
        }
    gan = models("jmvae-kl-gan")
    base = test["w"][_first(test["w"], names, _PORTRAITS[0] | {"Bald": -1})]
    found["variations"], found["latents"] = _variations(gan, base, names, seed)
    found["edits"] = [_edits(gan, test["x"][_first(test["w"], names, wanted)]) for wanted in _PORTRAITS]
    return found


def _first(attributes: np.ndarray, names: tuple[str, ...], wanted: dict[str, int], without: Sequence[int] = ()) -> int:
    """The index of the first example with these attributes, but for some; of any other if there is none."""
    columns = [names.index(name) for name in wanted]
    fitting = np.flatnonzero((attributes[:, columns] == list(wanted.values())).all(axis=1))
    others = [*fitting, *range(len(attributes))]
    return int(next(index for index in others if index not in without))


def _reconstructed(model: MultimodalVAE, images: np.ndarray) -> np.ndarray:
    made = model.reconstruct(model.read({"x": images}), latent="mean")
    return model.pixels("x", made["x"]).numpy()


def _variations(
    model: MultimodalVAE, base: np.ndarray, names: tuple[str, ...], seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """`z = z_mean + sigma * epsilon`, epsilon ~ N(0, 0.6): equal in every row, so that columns vary alike."""
    images, latents = {}, {}
    epsilon = np.random.default_rng(seed).normal(0.0, np.sqrt(_ZETA), (_POINTS, model.latent_dim))
    for title, changes in _VARIATIONS.items():
        attributes = base.copy()
        for name, value in changes.items():
            attributes[names.index(name)] = value
        posterior = model.posterior({"w": attributes[None]})
        mean, stddev = posterior.mean().numpy(), posterior.stddev().numpy()
        z = np.concatenate([mean, mean + stddev * epsilon]).astype(np.float32)
        images[title] = model.pixels("x", model.likelihoods(z[: 1 + _FACES], names=["x"])["x"].mean()).numpy()
        latents[title] = z
    return images, latents


def _edits(model: MultimodalVAE, portrait: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The portrait, its reconstruction, and the portrait with one attribute turned round at a time."""
    inferred = infer_attributes(model, portrait)
    cells = [("portrait", portrait), ("reconstruction", _reconstructed(model, portrait[None])[0])]
    for name in _EDITED:
        value = -2 if inferred[name] > 0 else 2
        title = f"{'not ' if value < 0 else ''}{name.replace('_', ' ')}"
        cells.append((title, edit(model, portrait, {name: value})))
    return cells
