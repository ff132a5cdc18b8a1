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

    It can be stopped at any time: the same command continues with what is not finished.

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
    """Which experiments: the paper's (mnist, celeba); or rows with gaps, five views of a digit, speech, tables."""
    data_dir: Annotated[Path | None, default("downloaded")] = None
    """Folder with the dataset's original files."""
    run_dir: Annotated[Path | None, default("runs/reproduce-mnist, or ...-quick")] = None
    """Folder for the training runs and measurements."""
    output: Annotated[Path | None, default("docs; with --quick, docs in the run folder")] = None
    """Folder for the report."""
    quick: bool = False
    """Run all of it in miniature, in minutes; mnist and incomplete then use scikit-learn's digits."""
    small: bool = False
    """celeba: smaller networks on some of the images, for a machine with two cores."""
    peer_python: Annotated[Path | None, default("without MultiVae")] = None
    """many: a Python with MultiVae installed, whose models are trained and measured on the same files."""
    seed: int = 0
    """Seed of all data, training runs and measurements."""


def run(options: Options) -> None:
    """Runs the experiments and prints the path of the report."""
    if options.small and (options.experiment != "celeba" or options.quick):
        raise ValueError("--small is an option of celeba, and cannot be combined with --quick.")
    if options.data_dir and options.experiment == "tables":
        raise ValueError("--data-dir is not an option of tables: the tables of this study come with scikit-learn.")
    if options.peer_python and options.experiment != "many":
        raise ValueError("--peer-python is an option of many only.")
    if options.peer_python and not options.peer_python.is_file():
        raise ValueError(
            f"--peer-python: there is no file {options.peer_python}; name a Python with MultiVae installed."
        )
    scale = "quick" if options.quick else "small" if options.small else "full"
    suffix = "" if scale == "full" else f"-{scale}"
    folder = options.run_dir or Path("runs") / f"reproduce-{options.experiment}{suffix}"
    output = options.output or (folder / "docs" if options.quick else Path("docs"))
    load_tensorflow(debug=options.debug)
    from tf_jmvae.studies.experiments import reproduce

    settings = {"scale": scale, "data_dir": options.data_dir, "seed": options.seed, "peer_python": options.peer_python}
    report = reproduce(options.experiment, folder, output, **settings)
    print(f"\nThe report is {report}.")
