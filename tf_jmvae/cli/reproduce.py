"""`tf-jmvae reproduce`: the paper's experiments, and those on rows that lack modalities."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tf_jmvae.cli.common import Common, default, load_tensorflow

WHEN_STOPPED = "; the same command continues with what is not finished"


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Run the paper's experiments: train every model, measure, draw the figures and write the report.

    It may be stopped at any moment: the same command goes on with what is not finished.

    Examples:
      tf-jmvae reproduce mnist --quick
      tf-jmvae reproduce mnist --data-dir ~/mnist
      tf-jmvae reproduce celeba --small --data-dir ~/celeba
      tf-jmvae reproduce incomplete --data-dir ~/mnist
    """

    experiment: Annotated[Literal["mnist", "celeba", "incomplete"], tyro.conf.Positional]
    """Which experiments: the paper's, or those on rows that lack modalities, with MNIST."""
    data_dir: Annotated[Path | None, default("a download")] = None
    """Folder with the dataset's original files."""
    run_dir: Annotated[Path | None, default("runs/reproduce-mnist, or ...-quick")] = None
    """Folder of the trainings and measurements."""
    output: Annotated[Path | None, default("docs; with --quick, docs in the run folder")] = None
    """Folder of the report."""
    quick: bool = False
    """All of it in miniature, in minutes; mnist and incomplete on scikit-learn's digits."""
    small: bool = False
    """celeba: smaller networks, for two cores and a part of the images."""
    seed: int = 0
    """Of everything."""


def run(options: Options) -> None:
    """Runs the experiments, and says where the report is."""
    if options.small and (options.experiment != "celeba" or options.quick):
        raise ValueError("--small is an option of celeba, and not to be had together with --quick.")
    scale = "quick" if options.quick else "small" if options.small else "full"
    suffix = "" if scale == "full" else f"-{scale}"
    folder = options.run_dir or Path("runs") / f"reproduce-{options.experiment}{suffix}"
    output = options.output or (folder / "docs" if options.quick else Path("docs"))
    load_tensorflow(debug=options.debug)
    from tf_jmvae.studies.experiments import reproduce

    settings = {"scale": scale, "data_dir": options.data_dir, "seed": options.seed}
    report = reproduce(options.experiment, folder, output, **settings)
    print(f"\nThe report is {report}.")
