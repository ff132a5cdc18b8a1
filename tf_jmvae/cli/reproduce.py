"""`tf-jmvae reproduce`: runs the paper's experiments and others."""

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
      tf-jmvae reproduce many --data-dir ~/mnist --peer-python ~/multivae/bin/python
      tf-jmvae reproduce spoken --data-dir ~/digits
      tf-jmvae reproduce tables
    """

    experiment: Annotated[Literal["mnist", "celeba", "incomplete", "many", "spoken", "tables"], tyro.conf.Positional]
    """Experiments: the paper's; or incomplete rows of MNIST, five views of a digit, spoken digits, or tables."""
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
    peer_python: Annotated[Path | None, default("without MultiVae")] = None
    """many: a Python that has MultiVae, to train and measure its models on the same files."""
    seed: int = 0
    """Seed of everything."""


def run(options: Options) -> None:
    """Runs the experiments and prints the path of the report."""
    if options.small and (options.experiment != "celeba" or options.quick):
        raise ValueError("--small is an option of celeba, and not to be had together with --quick.")
    if options.data_dir and options.experiment == "tables":
        raise ValueError("--data-dir: the tables of this study come with scikit-learn.")
    if options.peer_python and options.experiment != "many":
        raise ValueError("--peer-python is an option of many.")
    if options.peer_python and not options.peer_python.is_file():
        raise ValueError(f"--peer-python: there is no {options.peer_python}; name a Python that has MultiVae.")
    scale = "quick" if options.quick else "small" if options.small else "full"
    suffix = "" if scale == "full" else f"-{scale}"
    folder = options.run_dir or Path("runs") / f"reproduce-{options.experiment}{suffix}"
    output = options.output or (folder / "docs" if options.quick else Path("docs"))
    load_tensorflow(debug=options.debug)
    from tf_jmvae.studies.experiments import reproduce

    settings = {"scale": scale, "data_dir": options.data_dir, "seed": options.seed, "peer_python": options.peer_python}
    report = reproduce(options.experiment, folder, output, **settings)
    print(f"\nThe report is {report}.")
