"""`write`, which writes a run as one self-contained HTML page."""

from pathlib import Path

import jinja2

from tf_jmvae._utils.files import write_text
from tf_jmvae.report import columns, drawings, facts, galleries
from tf_jmvae.report.record import Record


def write(run_dir: Path, output: Path | None = None, *, data_dir: Path | None = None) -> Path:
    """Writes a self-contained HTML page of a run: curves, numbers, pictures and the latent space.

    The page of an unfinished run shows what is available. If `evaluation.json` is missing, the likelihoods of a
    finished run are estimated on a few hundred test examples, for the page only.

    Args:
      run_dir: path of the run folder.
      output: path of the page; `run_dir/report.html` by default.
      data_dir: folder with the dataset's original files if they were moved; None by default.

    Returns:
      `pathlib.Path` of the page.

    Raises:
      RunError: if the folder is not a run.
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
