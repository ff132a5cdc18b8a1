"""`tf-jmvae export`: writes a SavedModel and the files to serve it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tf_jmvae.cli.common import Common, default, load_tensorflow, metavar, note, require_at_least

WHEN_STOPPED = "; nothing is left of the attempt"


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Write a SavedModel that TF Serving, TF Hub and Keras load, and the files to serve it.

    The model is written to OUTPUT/NAME/VERSION; OUTPUT also gets models.config, batching_parameters.txt, monitoring.txt
    and compose.yaml.

    Examples:
      tf-jmvae export runs/mnist-jmvae-kl
      tf-jmvae export runs/mnist-jmvae/model.keras --name digits --version 7 --num-steps 100
    """

    model: Annotated[Path, tyro.conf.Positional, metavar("MODEL")]
    """The folder of a run, or a model.keras."""
    output: Path = Path("saved_models")
    """Folder for all models to serve."""
    name: Annotated[str | None, default("the run folder's name, with _ for -")] = None
    """Name of the model on the server."""
    version: Annotated[int | None, default("the next free one")] = None
    """Version number of the model."""
    num_steps: Annotated[int | None, default("the run's")] = None
    """Steps of iterated sampling, for models that need it."""
    num_samples: int = 100
    """Samples of z for each log-likelihood."""
    notes: str = ""
    """Notes for the model card, such as what images must look like, or licences."""


def run(options: Options) -> None:
    """Exports the model and prints how to serve it."""
    path = options.model / "model.keras" if options.model.is_dir() else options.model
    name = options.name or path.resolve().parent.name.replace("-", "_")
    if not (name.isidentifier() and name.isascii()):
        raise ValueError(
            f"--name must consist of ASCII letters, digits and underscores, and not begin with a digit; got {name!r}."
        )
    require_at_least(0, version=options.version)
    load_tensorflow(debug=options.debug)
    from tf_jmvae.serving.deployment import write_deployment_files
    from tf_jmvae.training import run_folder

    record = run_folder.describe(path.parent)
    folder = options.output / name / ("" if options.version is None else str(options.version))
    settings = {"num_steps": options.num_steps, "num_samples": options.num_samples, "notes": options.notes}
    note("Loading the model ...")
    model = run_folder.load_model(path)
    note("Tracing every signature, and trying each one ...")
    version = model.export(folder, **settings, **record)
    write_deployment_files(options.output)
    print(f"The model is {version}. To serve it on ports 8500 (gRPC) and 8501 (REST):")
    print(f"  docker compose --file {options.output / 'compose.yaml'} --profile cpu up")
