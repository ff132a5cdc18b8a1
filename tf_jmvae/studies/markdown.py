"""Pieces of Markdown that reports share."""

from collections.abc import Mapping
from typing import Any

import jinja2

from tf_jmvae._utils.tables import markdown as table

__all__ = ["page", "share", "table", "value"]

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("tf_jmvae.studies"), undefined=jinja2.StrictUndefined, autoescape=False
)
_RATES = ("learning_rate", "decoder_learning_rate", "discriminator_learning_rate")


def value(measured: Mapping[str, Any] | None, digits: int) -> str:
    """`mean ± standard error`; nothing where nothing was measured."""
    return "" if measured is None else f"{measured['mean']:.{digits}f} ± {measured['standard_error']:.{digits}f}"


def share(measured: Mapping[str, Any] | None) -> str:
    """The same in per cent."""
    return "" if measured is None else f"{measured['mean']:.2%} ± {measured['standard_error']:.2%}"


def page(template: str, record: Mapping[str, Any], findings: str | None, **values: Any) -> str:
    """A study's page: a file of `templates`, filled with the record, `value`, `share` and whatever else it names.

    `findings` is the page that says what the numbers mean, to link to.
    """
    text = _TEMPLATES.get_template(template).render(
        record=record,
        scale=record["scale"],
        measured=record["measurements"],
        findings=findings,
        value=value,
        share=share,
        trainings=_trainings(record["trainings"]),
        measured_at=_measured_at(record),
        **values,
    )
    return "\n\n".join(section for section in text.strip().split("\n\n") if section.strip()) + "\n"


def _trainings(found: Mapping[str, Any]) -> str:
    """A row for each training: epochs, warm-up, learning rates, time, seed and commit."""
    rows = []
    for name, training in found.items():
        settings = training["training"]
        rates = [f"{settings[key]:g}" for key in _RATES if settings.get(key) is not None]
        minutes, commit = f"{training['seconds'] / 60:.1f} min", (training["commit"] or "")[:10]
        epochs, warm_up = str(settings["epochs"]), str(settings["kl_warm_up"])
        rows.append([name, epochs, warm_up, ", ".join(rates), minutes, str(training["seed"]), commit])
    return table(["training", "epochs", "warm-up", "learning rate", "time", "seed", "commit"], rows)


def _measured_at(record: Mapping[str, Any]) -> str:
    """Which commits the measurements are of, and whether anything was made from a working tree that differed."""
    found = [*record["trainings"].values(), *record["measurements"].values()]
    commits = sorted({one["commit"][:10] for one in record["measurements"].values() if one.get("commit")})
    text = f"Measured at commit {' and '.join(commits)}. " if commits else ""
    if any(one.get("dirty") for one in found):
        text += "Some of this was made from a working tree that differed from its commit; the record says what."
    return text.strip()
