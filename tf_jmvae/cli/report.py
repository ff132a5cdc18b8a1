"""`tf-jmvae report`: writes a web page of a run."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tf_jmvae.cli.common import Common, RunFolder, default, load_tensorflow, note


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Write a web page about a run: its settings, curves, pictures and log-likelihoods, all in one file.

    Examples:
      tf-jmvae report runs/mnist-jmvae-kl --open
      tf-jmvae report runs/mnist-jmvae-kl --output report.html
    """

    run: RunFolder
    """The folder of a run, finished or not."""
    output: Annotated[Path | None, default("in the run's folder")] = None
    """File for the page."""
    data_dir: Annotated[Path | None, default("the run's")] = None
    """Folder with the dataset's original files."""
    open: bool = False
    """Open the page in the browser."""


def run(options: Options) -> None:
    """Writes the page and prints its path."""
    if not options.run.is_dir():
        raise FileNotFoundError(f"There is no run {options.run}. Expected the folder that tf-jmvae train leaves.")
    load_tensorflow(debug=options.debug)
    from tf_jmvae.report import page

    note("Writing the page ...")
    path = page.write(options.run, options.output, data_dir=options.data_dir)
    print(f"The report is {path}.")
    if options.open:
        webbrowser.open(Path(path).resolve().as_uri())
