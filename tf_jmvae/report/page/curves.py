"""Small charts, one for each term of the bound."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from tf_jmvae.report.page import drawing
from tf_jmvae.report.page.numbers import number, significant

__all__ = ["Chart", "charts", "meaning"]

_MEANINGS = {
    "elbo": "The lower bound on the log-likelihood; higher is better.",
    "objective": "What training maximises: for JMVAE-kl, the bound less alpha times its divergences; higher is better.",
    "loss": "What the optimizer minimises: the negative objective, with the warm-up and the weights of the modalities.",
    "discriminator_loss": "The discriminator's loss.",
    "generator_loss": "How far the image decoder is from deceiving the discriminator.",
    "accuracy_real": "Fraction of real images that the discriminator calls real.",
    "accuracy_reconstructed": "Fraction of reconstructions that the discriminator calls made.",
    "accuracy_sampled": "Fraction of images from the prior that the discriminator calls made.",
}


@dataclass(frozen=True)
class Chart:
    """One term over the epochs.

    Attributes:
      name: the term's.
      meaning: what it says, a sentence.
      svg: its drawing.
      last: the last values, as text.
    """

    name: str
    meaning: str
    svg: str
    last: dict[str, str]


def charts(history: Mapping[str, Sequence[float | None]]) -> list[Chart]:
    """One for each term: the bound first, then in the equation's order."""
    names = [name for name in history if name != "seconds" and not name.startswith("val_")]
    order = sorted(names, key=lambda name: (name != "elbo", name == "loss"))
    made = (_chart(name, history[name], history.get(f"val_{name}", ())) for name in order)
    return [chart for chart in made if chart]


def meaning(name: str) -> str:
    """What a term or a metric says, for people who see it for the first time."""
    if name in _MEANINGS:
        return _MEANINGS[name]
    if name.startswith("kl_prior"):
        layer = name.removeprefix("kl_prior").strip("_")
        return f"How much z{f' of layer {layer}' if layer else ''} carries: its divergence from the prior."
    if name.startswith("kl_"):
        return f"How far z from {name[3:].replace('_and_', ' and ')} alone is from z of all modalities; 0 is perfect."
    if name.startswith("log_p_"):
        return f"How well {name[6:]} is rebuilt from z; higher is better."
    if name.startswith("accuracy_") and "_from_" in name:
        target, _, given = name[9:].partition("_from_")
        return f"Fraction of {target} named right from {given.replace('_and_', ' and ')}."
    return ""


def _chart(name: str, train: Sequence[float | None], validation: Sequence[float | None]) -> Chart | None:
    lines = {label: _points(values) for label, values in (("training", train), ("test", validation))}
    lines = {label: points for label, points in lines.items() if points}
    if not lines:
        return None
    axis = drawing.axes(320, 190)
    for label, points in lines.items():
        marker = "o" if label == "test" and len(points) <= 40 else ""
        axis.plot(*zip(*points, strict=True), gid=label, marker=marker, markersize=5)
    last_epoch = max(len(train), len(validation), 2)
    axis.set_xlim(1, last_epoch)
    axis.set_xticks(np.unique(np.linspace(1, last_epoch, 5).astype(int)))
    low, high = axis.get_ylim()
    ticks = [tick for tick in MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= tick <= high]
    places = next((p for p in range(5) if np.allclose(ticks, np.round(ticks, p), rtol=0, atol=1e-9)), 4)
    axis.set_yticks(ticks, [number(tick, places) for tick in ticks])
    axis.grid(axis="y", gid="grid")
    last = {label: significant(points[-1][1]) for label, points in lines.items()}
    words = ", ".join(f"{label} {value}" for label, value in last.items())
    alt = f"{name} over {len(train)} epochs; at the end {words}."
    return Chart(name, meaning(name), drawing.svg(axis, alt), last)


def _points(values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [(e, v) for e, v in enumerate(values, start=1) if v is not None and math.isfinite(v)]
