"""Page of the CelebA study: Figures 6 to 9, faces with and without a GAN, and the paper's numbers."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from tf_jmvae.data import Source
from tf_jmvae.editing import edit, infer_attributes
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.report.plots import image_grid, plain, show_image
from tf_jmvae.studies.celeba.measurements import CLASSIFIED, generate
from tf_jmvae.studies.celeba.plan import UNWEIGHTED
from tf_jmvae.studies.collector import COMPARED, Models
from tf_jmvae.studies.pages import COLORS, TITLES, Table, bounds_over_steps, images_over_steps, render
from tf_jmvae.studies.study import Scale

# Easily recognised attributes, with one example of each in this order.
_EXAMPLES = ("Eyeglasses", "Blond_Hair", "Bald", "Wearing_Hat", "Bangs", "Goatee", "Gray_Hair", "Smiling")
# Figure 8: the rows of the paper, and what they change.
_VARIATIONS = {"Base": {}, "Not Male": {"Male": -2}, "Bald": {"Bald": 2}, "Smiling": {"Smiling": 2}}
_ZETA = 0.6  # variance of epsilon in Figure 8
_FACES, _POINTS = 7, 150
# Figure 9: portraits by their attributes, and the edits.
_PORTRAITS = (
    {"Male": 1, "Smiling": -1, "Eyeglasses": -1, "Wearing_Hat": -1, "Blurry": -1},
    {"Male": -1, "Smiling": 1, "Eyeglasses": -1, "Wearing_Hat": -1, "Blurry": -1},
    {"Male": -1, "Smiling": -1, "Eyeglasses": -1, "Wearing_Hat": -1, "Blurry": -1},
)
_EDITED = ("Smiling", "Eyeglasses", "Male", "Blond_Hair", "Bald", "Young")
_TITLES = TITLES | {"jmvae-kl-gan": "JMVAE-kl + GAN", UNWEIGHTED: "JMVAE, attributes not weighted"}

# Renders the page of a record such as `results/celeba.json`.
page = functools.partial(
    render,
    "celeba",
    table=Table(
        "table-2",
        {
            "cvae": (-6825, -44.28, -4031, -44.28),
            "cmma": (-6920, -44.57, -4026, -38.74),
            "jmvae": (-48763, -43.97, -4026, -43.43),
            "jmvae-kl": (-6852, -44.13, -4089, -43.83),
            "hierarchical-jmvae": (-7355, -47.61, -4901, -47.32),
        },
        digits=(1, 3),
        channels=3,  # the authors' code averaged the image's log-likelihood over channels
    ),
    titles=_TITLES | {"majority": "majority of the training images"},
    # Titles of the rows of classified images, from models and real.
    classified=_TITLES | {"real": "real images", "cmma-x": "CMMA", "cvae-x": "CVAE, z at the mean of p(z)"},
    iterated=[name for name, iterates in CLASSIFIED.items() if iterates],
    named=("Male", "Smiling", "Eyeglasses", "Bald", "Blond_Hair"),
)


def figures(scale: Scale, models: Models, source: Source, measured: Mapping[str, Any], seed: int) -> dict[str, Figure]:
    """Makes all figures by name."""
    names, test = source.class_names, source.test
    rows: list[int] = []
    for name in _EXAMPLES:
        rows.append(_first(test["w"], names, {name: 1}, without=rows))
    examples, attributes = test["x"][rows], test["w"][rows]
    images = {}
    for model in COMPARED:
        varied = ({"num_steps": steps, "seed": seed + steps} for steps in scale.steps)
        images[model] = [generate(models(model), attributes, latent="sample", **options) for options in varied]
    comparison = {"real": examples}
    for title, name in (("JMVAE-kl", "jmvae-kl"), ("JMVAE-kl + GAN", "jmvae-kl-gan")):
        model = models(name)
        comparison |= {
            f"{title}\nreconstruction": _reconstructed(model, examples),
            f"{title}\nfrom attributes,\nmean of z": generate(model, attributes),
            f"{title}\nfrom attributes,\nz drawn": generate(model, attributes, latent="sample", seed=seed),
        }
    gan = models("jmvae-kl-gan")
    base = test["w"][_first(test["w"], names, _PORTRAITS[0] | {"Bald": -1})]
    edits = [_edits(gan, test["x"][_first(test["w"], names, wanted)]) for wanted in _PORTRAITS]
    return {
        "figure-6": images_over_steps(images, scale.steps, above={"real": examples}),
        "figure-7": bounds_over_steps(measured, "figure-7", {"x-given-w": "images from attributes, log p(x | w)"}),
        "figure-8": _varied_faces(*_variations(gan, base, names, seed)),
        "figure-9": _edited_portraits(edits),
        "gan": _with_and_without_a_gan(comparison),
    }


def _first(attributes: np.ndarray, names: tuple[str, ...], wanted: dict[str, int], without: Sequence[int] = ()) -> int:
    """Returns the index of the first example with these attributes, or else of any, that is not in `without`."""
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
    """Decodes `z = z_mean + sigma * epsilon`, with the same epsilon ~ N(0, 0.6) in every row."""
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
    """Returns the portrait, its reconstruction, and the portrait with one attribute inverted at a time."""
    inferred = infer_attributes(model, portrait)
    cells = [("portrait", portrait), ("reconstruction", _reconstructed(model, portrait[None])[0])]
    for name in _EDITED:
        value = -2 if inferred[name] > 0 else 2
        title = f"{'not ' if value < 0 else ''}{name.replace('_', ' ')}"
        cells.append((title, edit(model, portrait, {name: value})))
    return cells


def _varied_faces(variations: Mapping[str, np.ndarray], latents: Mapping[str, np.ndarray]) -> Figure:
    """Plots mean and random faces for each change of attributes, and the two first principal components of z."""
    columns = len(next(iter(variations.values())))
    figure = Figure(figsize=(0.95 * columns + 5.2, 4.4), layout="constrained", dpi=100)
    left, right = figure.subfigures(1, 2, width_ratios=(0.95 * columns + 1.2, 4.0))
    image_grid(left, list(variations.values()), list(variations), ["mean", "random"])
    points = PCA(2).fit(np.concatenate(list(latents.values())))
    axis = plain(right.subplots())
    for color, (title, z) in zip(("#7f8c8d", *COLORS), latents.items(), strict=True):
        placed = points.transform(z)
        axis.scatter(*placed[1:].T, s=9, alpha=0.5, linewidths=0, color=color, label=title)
        axis.scatter(*placed[0], s=130, marker="*", color=color, edgecolors="black", linewidths=0.8, zorder=3)
    axis.set_title("z: random faces, and mean faces (stars)", fontsize=10)
    axis.set_xlabel("first principal component", fontsize=9)
    axis.set_ylabel("second principal component", fontsize=9)
    axis.legend(fontsize=9, frameon=False)
    return figure


def _edited_portraits(portraits: Sequence[Sequence[tuple[str, np.ndarray]]]) -> Figure:
    """Plots unseen portraits, their reconstructions, and edits of single attributes."""
    columns = len(portraits[0])
    figure = Figure(figsize=(1.35 * columns, 1.6 * len(portraits)), layout="constrained", dpi=100)
    grid = figure.subplots(len(portraits), columns, squeeze=False)
    for axes, cells in zip(grid, portraits, strict=True):
        for axis, (title, image) in zip(axes, cells, strict=True):
            show_image(axis, image)
            axis.set_title(title, fontsize=10)
    return figure


def _with_and_without_a_gan(rows: Mapping[str, np.ndarray]) -> Figure:
    """Plots the same faces and attributes with and without a GAN."""
    columns = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.1 * columns + 1.5, 1.1 * len(rows)), layout="constrained", dpi=100)
    image_grid(figure, list(rows.values()), list(rows))
    return figure
