"""Fills the template of a study's page with its record."""

from collections.abc import Mapping
from typing import Any

import jinja2

__all__ = ["percent", "render", "value"]

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("tf_jmvae.studies", ""),
    undefined=jinja2.StrictUndefined,
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
)


def value(measured: Mapping[str, Any] | None, digits: int) -> str:
    """`mean ± standard error`; nothing where nothing was measured."""
    return "" if measured is None else f"{measured['mean']:.{digits}f} ± {measured['standard_error']:.{digits}f}"


def percent(measured: Mapping[str, Any] | None) -> str:
    """The same in per cent."""
    return "" if measured is None else f"{measured['mean']:.2%} ± {measured['standard_error']:.2%}"


_TEMPLATES.globals |= {"value": value, "percent": percent}


def render(study: str, record: Mapping[str, Any], findings: str | None, **values: Any) -> str:
    """A study's page: `STUDY/page.md`, filled with the record, `value`, `percent` and whatever else it names.

    `findings` is the page that says what the numbers mean, to link to.
    """
    text = _TEMPLATES.get_template(f"{study}/page.md").render(
        record=record, scale=record["scale"], measured=record["measurements"], findings=findings, **values
    )
    return "\n\n".join(section.strip("\n") for section in text.split("\n\n") if section.strip()) + "\n"
