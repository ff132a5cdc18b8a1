"""What a study shows: its record, its figures, and the page that is made from the record alone.

`python -m tf_jmvae.studies.publish docs` makes the pages in `docs` anew from `docs/results/*.json`.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tf_jmvae._utils.files import replace_atomically, write_json, write_text
from tf_jmvae.evaluation import Estimate
from tf_jmvae.studies.celeba.page import page as celeba
from tf_jmvae.studies.mnist.page import page as mnist

__all__ = ["PAGES", "publish", "recorded", "write_page"]

# The page of each study, and what makes it from the record.
PAGES: dict[str, tuple[str, Callable[..., str]]] = {
    "mnist": ("results.md", mnist),
    "celeba": ("results-celeba.md", celeba),
}
_NOT_RECORDED = ("points", "values", "versions")


def publish(output: Path, study: str, record: Mapping[str, Any], figures: Mapping[str, Figure]) -> Path:
    """Writes the figures, the record and its page; returns the page's path.

    Into `output` go `results/STUDY.json`, `images/STUDY-*.png` and the page.
    """
    for name, figure in figures.items():
        path = output / "images" / f"{study}-{name}.png"
        replace_atomically(path, lambda temporary, figure=figure: figure.savefig(temporary, format="png"))
    write_json(output / "results" / f"{study}.json", record)
    return write_page(output, study)


def write_page(output: Path, study: str) -> Path:
    """Makes a study's page from its record, with a link to `findings-STUDY.md` if that is there; returns its path."""
    name, made = PAGES[study]
    record = json.loads((output / "results" / f"{study}.json").read_text())
    findings = f"findings-{study}.md"
    text = made(record, findings if (output / findings).is_file() else None)
    write_text(output / name, text)
    return output / name


def recorded(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Measurements as the record has them, by name in order: without what is large.

    In place of single values, those of `TABLE/ROW/COLUMN` have `paired_errors`: by another row of the column, the
    standard error of the difference from it over the same examples.
    """
    record = {
        name: {key: value for key, value in found.items() if key not in _NOT_RECORDED}
        for name, found in sorted(measured.items())
    }
    estimates = {
        name: Estimate.from_dict(found)
        for name, found in measured.items()
        if name.startswith("table-") and "values" in found
    }
    for name, estimate in estimates.items():
        table, _, column = name.split("/")
        record[name]["paired_errors"] = {
            other.split("/")[1]: estimate.difference(one).standard_error
            for other, one in estimates.items()
            if other != name and other.startswith(f"{table}/") and other.endswith(f"/{column}")
        }
    return record


if __name__ == "__main__":
    for one in PAGES:
        print(write_page(Path(sys.argv[1]), one))
