"""A run as one HTML page to show to others: `write(run_dir)`."""

from pathlib import Path

import jinja2

from tf_jmvae._utils.files import write_text
from tf_jmvae.report import columns, drawings, facts, galleries
from tf_jmvae.report.record import Record


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
    record = Record(run_dir)
    model = record.model()
    source = record.source(data_dir) if model else None
    evaluation = record.evaluation(source, data_dir)
    seed = record.config.seed
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tf_jmvae.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html").render(
        record=record,
        title=run_dir.resolve().name,
        headline=facts.headline(record),
        key_numbers=facts.key_numbers(record),
        metrics=facts.metrics(record.metrics),
        evaluation=evaluation,
        likelihoods=facts.likelihoods(evaluation.get("rows", [])),
        charts=drawings.charts(record.history),
        galleries=galleries.galleries(model, source, seed=seed) if model else [],
        filled=columns.filled(model, source, seed=seed) if model and source else None,
        latent_map=drawings.latent_map(model, source, seed=seed) if model and source else None,
        settings=facts.settings(record),
        sources=" ".join(record.config.source.split()),
    )
    write_text(output, text)
    return output
