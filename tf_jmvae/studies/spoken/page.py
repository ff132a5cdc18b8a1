"""Page of the study of spoken digits: coherence in every direction, images and spectrograms."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from matplotlib.figure import Figure

from tf_jmvae.data import Source
from tf_jmvae.models.display import pixels
from tf_jmvae.report.plots import image_grid
from tf_jmvae.studies.collector import Models
from tf_jmvae.studies.pages import render
from tf_jmvae.studies.spoken.measurements import CLASSIFIED, DIRECTIONS, MODALITIES, direction, examples
from tf_jmvae.studies.spoken.plan import MODEL
from tf_jmvae.studies.study import Scale

TITLES = {"image": "image", "sound": "sound", "w": "label"}


def page(record: Mapping[str, Any], findings: str | None = None) -> str:
    """Renders the page of a record such as `results/spoken.json`."""
    rows = {given: " and ".join(TITLES[name] for name in given) for given, _ in DIRECTIONS}
    shown = {"rows": rows, "titles": TITLES, "modalities": MODALITIES, "direction": direction}
    return render("spoken", record, findings, **shown)


def figures(scale: Scale, models: Models, source: Source, measured: Mapping[str, Any], seed: int) -> dict[str, Figure]:
    """Makes the figure of images and spectrograms, real ones above those generated from the other modalities."""
    model, shown = models(MODEL), examples(source.test)
    figure = Figure(figsize=(12, 2.3), layout="constrained", dpi=150)
    panels = figure.subfigures(1, len(CLASSIFIED), wspace=0.03)
    for panel, target in zip(panels, CLASSIFIED, strict=True):
        rows = {f"real {target}": shown[target]}
        for given in (given for given, made in DIRECTIONS if made == target):
            observed = {name: shown[name] for name in given}
            found = model.generate(observed, targets=[target], seed=tf.constant([seed, len(rows)]))
            rows["from " + " and ".join(TITLES[name] for name in given)] = found[target]
        images = [pixels(model, target, values) for values in rows.values()]
        image_grid(panel, images, list(rows), [source.class_names[label] for label in shown["w"].argmax(-1)])
    return {"made": figure}
