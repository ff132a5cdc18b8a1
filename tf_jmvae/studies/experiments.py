"""Running of studies: the paper's experiments on MNIST (section 4.5) and CelebA (section 4.6), and others.

`python -m tf_jmvae.studies.experiments docs` rewrites the pages in `docs` from `docs/results/*.json` alone.

References:
  [1] Suzuki and Matsuo.
"""

import importlib
import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tf_jmvae import data
from tf_jmvae._utils.files import replace_atomically, write_json, write_text
from tf_jmvae.evaluation import Estimate
from tf_jmvae.studies.collector import trained_models
from tf_jmvae.studies.many.peers import Peers
from tf_jmvae.studies.study import Study, configs
from tf_jmvae.training.run_folder import occupied

# The page of each study; its plan, measurements and figures are in the folder of its name.
PAGES = {
    "mnist": "results.md",
    "celeba": "results-celeba.md",
    "incomplete": "results-incomplete.md",
    "many": "results-many.md",
    "spoken": "results-spoken.md",
    "tables": "results-tables.md",
}


def reproduce(
    name: str,
    folder: Path,
    output: Path,
    *,
    data_dir: Path | None = None,
    scale: str = "full",
    seed: int = 0,
    peer_python: Path | None = None,
) -> Path:
    """Trains, measures and plots a study and writes its report; skips what is finished in `folder`.

    Args:
      name: name of the study, `"mnist"`, `"celeba"`, `"incomplete"`, `"many"`, `"spoken"` or `"tables"`.
      folder: folder of the trainings and measurements.
      output: folder of the page, `results/NAME.json` and `images/NAME-*.png`.
      data_dir: folder with the dataset's original files; None, the default, downloads them.
      scale: `"full"`, the default, for the paper's networks; `"quick"` for everything in miniature, with scikit-learn's
        digits instead of MNIST; for CelebA also `"small"`, the presets for two cores.
      seed: integer seed of everything; 0 by default.
      peer_python: path of a Python with MultiVae, whose models `"many"` then also trains and measures; None by default.

    Returns:
      `pathlib.Path` of the page.

    Raises:
      RunError: if `folder` holds something else, or another process is using it.
      OSError: if the data are not available.
    """
    with occupied(folder):
        size = _part(name, "plan").SCALES[scale]
        which = {"quick": scale == "quick"} if name == "mnist" else {"scale": scale}
        settings = {"study": name, **which, "seed": seed}
        if name == "tables":
            return _reproduce_tables(folder, output, size, scale, settings)
        options = {"mirror": True} if name == "celeba" else {}
        source = data.load(size.dataset, data_dir=data_dir, train_size=size.train_size, **options)
        source = replace(source, test={modality: values[: size.test_size] for modality, values in source.test.items()})
        study = Study(folder, settings)
        trainings = configs(size, folder, data_dir, seed)
        study.train(trainings)
        models = trained_models(folder)
        more = {"peers": Peers(peer_python, source, trainings, folder)} if peer_python else {}
        measurements = _part(name, "measurements").measurements(size, models, source, folder, seed, **more)
        measured = study.measure(measurements)
        rows = {"train": len(source.train["w"]), "test": len(source.test["w"]), "report": dict(source.report)}
        record = _record(study, size, scale, seed, trainings, measured) | {"data": rows}
        figures = _part(name, "page").figures(size, models, source, measured, seed)
        return publish(output, name, record, figures)


def _reproduce_tables(folder: Path, output: Path, size: Any, scale: str, settings: dict[str, Any]) -> Path:
    """Runs the study of tables, which writes its tables and drafts, from which the trainings follow."""
    plan, measurements = _part("tables", "plan"), _part("tables", "measurements").measurements
    study, seed = Study(folder, settings), settings["seed"]
    trainings = plan.configs(size, folder, seed)
    study.train(trainings)
    measured = study.measure(measurements(size, trained_models(folder), folder, seed))
    return publish(output, "tables", _record(study, size, scale, seed, trainings, measured), {})


def _record(
    study: Study, size: Any, scale: str, seed: int, trainings: Iterable[str], measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the record from which a study's page is made, without the entry about the data."""
    return {
        "scale": {"name": scale}
        | {key: value for key, value in asdict(size).items() if key not in ("trainings", "peers")},
        "seed": seed,
        "trainings": {training: study.provenance(training) for training in trainings},
        "measurements": recorded(measured),
    }


def publish(output: Path, study: str, record: Mapping[str, Any], figures: Mapping[str, Figure]) -> Path:
    """Writes the figures, the record and the page of a study; returns the page's path.

    They are written to `results/STUDY.json`, `images/STUDY-*.png` and the page in `output`.
    """
    for name, figure in figures.items():
        path = output / "images" / f"{study}-{name}.png"
        replace_atomically(path, lambda temporary, figure=figure: figure.savefig(temporary, format="png"))
    write_json(output / "results" / f"{study}.json", record)
    return write_page(output, study)


def write_page(output: Path, study: str) -> Path:
    """Writes a study's page from its record, with a link to `findings-STUDY.md` if it exists; returns its path."""
    record = json.loads((output / "results" / f"{study}.json").read_text())
    findings = f"findings-{study}.md"
    path = output / PAGES[study]
    write_text(path, _part(study, "page").page(record, findings if (output / findings).is_file() else None))
    return path


def recorded(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Converts measurements to entries of the record, sorted by name, without large values.

    Instead of single values, measurements `TABLE/ROW/COLUMN` have `paired_errors`: by another row of the column, the
    standard error of the difference from it over the same examples.
    """
    record = {
        name: {key: value for key, value in found.items() if key not in ("points", "values", "versions")}
        for name, found in sorted(measured.items())
    }
    estimates = {
        name: Estimate.from_dict(found)
        for name, found in measured.items()
        if name.startswith("table-") and "values" in found
    }
    for name, other in itertools.permutations(estimates, 2):
        (table, _, column), (other_table, row, other_column) = name.split("/"), other.split("/")
        if (table, column) == (other_table, other_column):
            error = estimates[name].difference(estimates[other]).standard_error
            record[name].setdefault("paired_errors", {})[row] = error
    return record


def _part(study: str, name: str) -> Any:
    """Imports a module of a study's folder."""
    return importlib.import_module(f"tf_jmvae.studies.{study}.{name}")


if __name__ == "__main__":
    for one in PAGES:
        if (Path(sys.argv[1]) / "results" / f"{one}.json").is_file():
            print(write_page(Path(sys.argv[1]), one))
