"""Small charts, one for each term of the bound: the numbers that the page's template draws."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tf_jmvae.report.page.numbers import number, significant

__all__ = ["Chart", "charts", "meaning", "ticks"]

WIDTH, HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 24

_MEANINGS = {
    "elbo": "The lower bound on the log-likelihood; higher is better.",
    "objective": "What training maximises: for JMVAE-kl, the bound less alpha times its divergences; higher is better.",
    "loss": "What the optimizer minimises: the negative objective, with the warm-up and the weights of the modalities.",
    "discriminator_loss": "The discriminator's loss.",
    "generator_loss": "How far the image decoder is from deceiving the discriminator.",
    "accuracy_real": "Share of real images that the discriminator calls real.",
    "accuracy_reconstructed": "Share of reconstructions that the discriminator calls made.",
    "accuracy_sampled": "Share of images from the prior that the discriminator calls made.",
}


@dataclass(frozen=True)
class Chart:
    """One term over the epochs, in the coordinates of its drawing.

    Attributes:
      name: the term's.
      meaning: what it says, a sentence.
      train: points `(x, y)` of every epoch.
      validation: the same of the epochs that were evaluated.
      x_ticks, y_ticks: positions and labels.
      last: the last values, as text.
      alt: all of it in words.
    """

    name: str
    meaning: str
    train: list[tuple[float, float]]
    validation: list[tuple[float, float]]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    last: dict[str, str]
    alt: str


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
        return f"Share of {target} named right from {given.replace('_and_', ' and ')}."
    return ""


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two values, about `count` of them."""
    step = (high - low) / count
    base = 10.0 ** math.floor(math.log10(step))
    step = next(base * factor for factor in (1, 2, 2.5, 5, 10) if base * factor >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _chart(name: str, train: Sequence[float | None], validation: Sequence[float | None]) -> Chart | None:
    points, checked = _points(train), _points(validation)
    if not points and not checked:
        return None
    values = [value for _, value in points + checked]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or max(abs(high) * 0.05, 0.05)
    low, high = low - margin, high + margin
    last_epoch = max(len(train), len(validation), 2)

    def x(epoch: float) -> float:
        return round(_LEFT + (epoch - 1) / (last_epoch - 1) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    y_values = ticks(low, high)
    places = next((p for p in range(5) if all(math.isclose(v, round(v, p), abs_tol=1e-9) for v in y_values)), 4)
    epochs = {1, *(int(e) for e in ticks(1, last_epoch) if e >= 1 and e == int(e)), last_epoch}
    step = max(1, last_epoch // 8)
    x_values = [e for e in sorted(epochs) if e in (1, last_epoch) or (e - 1 >= step and last_epoch - e >= step)]
    last = {label: significant(p[-1][1]) for label, p in (("training", points), ("test", checked)) if p}
    words = ", ".join(f"{label} {value}" for label, value in last.items())
    return Chart(
        name=name,
        meaning=meaning(name),
        train=[(x(e), y(v)) for e, v in points],
        validation=[(x(e), y(v)) for e, v in checked],
        x_ticks=[(x(e), str(e)) for e in x_values],
        y_ticks=[(y(v), number(v, places)) for v in y_values],
        last=last,
        alt=f"{name} over {len(train)} epochs; at the end {words}.",
    )


def _points(values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [(e, v) for e, v in enumerate(values, start=1) if v is not None and math.isfinite(v)]
