"""Page of the study of many modalities: coherence by the number of given views, distances and pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tf_jmvae.data import Source
from tf_jmvae.report.plots import image_grid, plain
from tf_jmvae.studies.collector import Models
from tf_jmvae.studies.many.measurements import PLAIN, PRIORS, SHOWN, images_of
from tf_jmvae.studies.many.plan import BEST, FORMS, MISSING, VIEWS, ManyScale, incomplete
from tf_jmvae.studies.pages import COLORS, render

TITLES = {
    "single-pull": "an encoder per view, pull",
    "single-follow": "an encoder per view, follow",
    "shared-pull": "shared towers, pull",
    "shared-follow": "shared towers, follow",
    "shared-flow": "shared towers, follow, flows",
    "multivae-jmvae": "MultiVae's JMVAE",
    "multivae-jnf": "MultiVae's JNF",
    "multivae-mvtcae": "MultiVae's MVTCAE",
    "multivae-mmvae": "MultiVae's MMVAE",
}
_PEERS = ("multivae-jmvae", "multivae-jnf", "multivae-mvtcae", "multivae-mmvae")
# Settings of MultiVae's authors, by model.
_SETTINGS = {
    "multivae-jmvae": "JMVAE with alpha 0.1 and a quarter of the epochs as warm-up",
    "multivae-jnf": "JNF with half of the epochs for the joint model",
    "multivae-mvtcae": "MVTCAE with beta 2.5 and alpha 5/6",
    "multivae-mmvae": "MMVAE with Laplace posteriors, but 1 importance sample instead of 10, for a tenth of the time",
}
_WAYS = {
    "keep": "{form}: all rows",
    "drop": "{form}: complete rows only",
    "mvtcae": "MultiVae's MVTCAE: all rows",
    "mmvae": "MultiVae's MMVAE: all rows",
}
_PICTURED = ("single-pull", "shared-flow", *_PEERS)


def page(record: Mapping[str, Any], findings: str | None = None) -> str:
    """Renders the page of a record such as `results/many.json`."""
    measured, counts = record["measurements"], record["scale"]["counts"]

    def there(names: Sequence[str]) -> list[str]:
        return [name for name in names if f"table-coherence/{name}/{counts[0]}" in measured]

    rows = {name: TITLES[name] for name in there([*FORMS, *_PEERS])}
    missing = {
        fraction: {
            name: title.format(form=TITLES[BEST])
            for way, title in _WAYS.items()
            for name in there([incomplete(way, fraction)])
        }
        for fraction in MISSING
    }
    missing = {fraction: names for fraction, names in missing.items() if names}
    products = {"single-pull": "prior taken out", PLAIN: "plain product"}
    shown = {"rows": rows, "missing": missing, "products": products, "counts": counts, "priors": PRIORS, "views": VIEWS}
    shown["settings"] = [text for name, text in _SETTINGS.items() if f"peer/{name}" in measured]
    shown["peers"] = {key.removeprefix("peer/"): one for key, one in measured.items() if key.startswith("peer/")}
    return render("many", record, findings, **shown)


def figures(
    scale: ManyScale, models: Models, source: Source, measured: Mapping[str, Any], seed: int
) -> dict[str, Figure]:
    """Makes all figures by name."""
    names = [name for name in TITLES if f"table-coherence/{name}/{scale.counts[0]}" in measured]
    pictured = {TITLES[name]: images_of(measured, name) for name in _PICTURED if name in names}
    given = source.test[SHOWN[0]][: scale.figure_size]
    return {
        "coherence": _coherence(
            {name: {n: measured[f"table-coherence/{name}/{n}"]["mean"] for n in scale.counts} for name in names}
        ),
        "images": _images(pictured, given),
    }


def _coherence(found: Mapping[str, Mapping[int, float]]) -> Figure:
    figure = Figure(figsize=(7.2, 4.2), layout="constrained", dpi=150)
    axis = plain(figure.subplots())
    colors = (*COLORS, "#8a6d1f", "#6b4a8f")
    for number, (name, means) in enumerate(found.items()):
        theirs = name in _PEERS
        color = colors[(number - len(FORMS)) % len(colors)] if theirs else colors[number % len(colors)]
        style = {"linestyle": "--", "marker": "s"} if theirs else {"linestyle": "-", "marker": "o"}
        percent = [100 * mean for mean in means.values()]
        axis.plot(list(means), percent, color=color, markersize=4, label=TITLES[name], **style)
    axis.set_xticks(list(next(iter(found.values()))))
    axis.set_xlabel("number of given views", fontsize=9)
    axis.set_ylabel("coherence, %", fontsize=9)
    axis.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _images(made: Mapping[str, np.ndarray], given: np.ndarray) -> Figure:
    """Plots a panel for each model, with the given view above the generated ones."""
    columns = 2
    lines = -(-len(made) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * lines), layout="constrained", dpi=150)
    panels = np.ravel(figure.subfigures(lines, columns, squeeze=False))
    others = [view for view in VIEWS if view not in SHOWN]
    for panel, (title, images) in zip(panels, made.items(), strict=False):
        panel.suptitle(title, fontsize=11, fontweight="bold")
        image_grid(panel, [given, *images], [f"{SHOWN[0]}, given", *others])
    return figure
