"""Puts a run's page together and writes it."""

from pathlib import Path
from typing import Any

import jinja2

from tf_jmvae._utils.files import write_text
from tf_jmvae.data import Source
from tf_jmvae.report.page import curves, facts, galleries, latents
from tf_jmvae.report.page.record import Record, read, read_json
from tf_jmvae.training.evaluate import EVALUATION, evaluate_run
from tf_jmvae.training.run import RunError

__all__ = ["write"]

_EXAMPLES, _NUM_SAMPLES, _IMPORTANCE_SAMPLES = 200, 10, 100


def write(run_dir: Path, output: Path | None = None, *, data_dir: Path | None = None) -> Path:
    """Writes one HTML page about a run, which needs no other file: curves, numbers, pictures and the latent space.

    A run that has not come to its end has a page of what there is. Where `evaluation.json` is absent, a finished
    run's likelihoods are estimated on a few hundred test examples, for the page alone.

    Args:
      run_dir: the folder of a run.
      output: where to write the page; `run_dir/report.html` by default.
      data_dir: folder with the dataset's original files, if they are no longer where the run had them.

    Returns:
      The page's path.

    Raises:
      RunError: the folder is no run.
    """
    run_dir = Path(run_dir)
    output = Path(output) if output else run_dir / "report.html"
    record = read(run_dir)
    model = record.model()
    source = _source(record, data_dir) if model else None
    options = {"seed": record.config.seed}
    evaluation = _evaluation(record, source, data_dir)
    values = {
        "record": record,
        "title": run_dir.resolve().name,
        "headline": facts.headline(record),
        "key_numbers": facts.key_numbers(record),
        "metrics": facts.metrics(record.metrics),
        "evaluation": evaluation,
        "likelihoods": facts.likelihoods(evaluation.get("rows", [])),
        "charts": curves.charts(record.history),
        "galleries": galleries.galleries(model, source, **options) if model else [],
        "latent_map": latents.latent_map(model, source, **options) if model and source else None,
        "settings": facts.settings(record),
        "sources": " ".join(record.config.source.split()),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tf_jmvae.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html").render(values)
    write_text(output, text)
    return output


def _source(record: Record, data_dir: Path | None) -> Source | None:
    """The run's data; None, with a note, if they are not there any more."""
    try:
        return record.config.data.load(data_dir).only(record.config.model.modalities)
    except (OSError, ValueError) as error:
        record.notes.append(f"The data cannot be read, so what needs test examples is left out: {error}")
        return None


def _evaluation(record: Record, source: Source | None, data_dir: Path | None) -> dict[str, Any]:
    """What `evaluation.json` holds, or estimates of a finished run on few examples, which are not kept."""
    path = record.folder / EVALUATION
    if path.is_file():
        found = read_json(path, record.notes)
        return found if isinstance(found, dict) else {}
    if not record.finished or source is None:
        return {}
    try:
        return evaluate_run(
            record.folder,
            num_samples=_NUM_SAMPLES,
            importance_samples=_IMPORTANCE_SAMPLES,
            examples=min(_EXAMPLES, len(next(iter(source.test.values())))),
            seed=record.config.seed,
            data_dir=data_dir,
            verbose=False,
            keep=False,
        )
    except (RunError, OSError, ValueError) as error:
        record.notes.append(f"The likelihoods could not be estimated: {error}")
        return {}
