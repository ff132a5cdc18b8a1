"""The command line: `tf-jmvae train`, also run by `train.py`, and `tf-jmvae edit`, `export` and `reproduce`."""

import argparse
import inspect
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tf_jmvae.training import presets, run
from tf_jmvae.training.config import Config

__all__ = ["edit", "export", "main", "reproduce", "train"]

# Validation errors name the option and what is wrong; a link to pydantic's site adds nothing.
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")

DEFAULT_PRESET = "digits-jmvae-kl"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `tf-jmvae` command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="tf-jmvae", description="Joint multimodal variational autoencoders.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("train", help="train a model; 'tf-jmvae train --help' lists the options", add_help=False)
    verbs.add_parser("edit", help="change attributes of a portrait", add_help=False)
    verbs.add_parser("export", help="write a SavedModel for TF Serving and TF Hub", add_help=False)
    verbs.add_parser("reproduce", help="run the paper's experiments and write the report", add_help=False)
    arguments, rest = parser.parse_known_args(argv[:1])
    command = {"train": train, "edit": edit, "export": export, "reproduce": reproduce}[arguments.verb]
    return command(argv[1:] + rest)


def train(argv: Sequence[str], prog: str = "tf-jmvae train") -> int:
    """Parses `argv`, trains, and prints the metrics; returns the exit code."""

    def command() -> None:
        config = parse(argv, prog)
        metrics = run.train(config)
        width = max(map(len, metrics))
        print(f"\nOn the test set, in nats per example (accuracies as shares), {run.default_run_dir(config)}:")
        for name, value in metrics.items():
            print(f"  {name:<{width}}  {value:10.4f}")

    return _exit_code(command, prog)


@dataclass(frozen=True)
class _Reproduce:
    """Run the paper's experiments: train every model, measure, draw the figures and write the report.

    It may be stopped at any moment: the same command goes on with what is not finished.
    """

    experiment: Annotated[Literal["mnist", "celeba"], tyro.conf.Positional]
    """Which experiments."""
    data_dir: Path | None = None
    """Folder with the dataset's original files; without it, it is downloaded."""
    run_dir: Path | None = None
    """Folder of the trainings and measurements [default: runs/reproduce-mnist, or ...-quick]."""
    output: Path | None = None
    """Folder of the report [default: docs; with --quick, docs in the run folder]."""
    quick: bool = False
    """All of it in miniature, in minutes; mnist on scikit-learn's digits."""
    small: bool = False
    """celeba: smaller networks, for two cores and a part of the images."""
    seed: int = 0
    """Of everything."""


def reproduce(argv: Sequence[str], prog: str = "tf-jmvae reproduce") -> int:
    """Parses `argv` and runs the experiments; returns the exit code."""

    def command() -> None:
        options = tyro.cli(_Reproduce, args=list(argv), prog=prog, description=inspect.getdoc(_Reproduce))
        if options.small and (options.experiment != "celeba" or options.quick):
            raise ValueError("--small is an option of celeba, and not to be had together with --quick.")
        scale = "quick" if options.quick else "small" if options.small else "full"
        suffix = "" if scale == "full" else f"-{scale}"
        folder = options.run_dir or Path("runs") / f"reproduce-{options.experiment}{suffix}"
        output = options.output or (folder / "docs" if options.quick else Path("docs"))
        common = {"data_dir": options.data_dir, "seed": options.seed}
        if options.experiment == "mnist":
            from tf_jmvae.reproduce import mnist

            report = mnist.reproduce(folder, output, quick=options.quick, **common)
        else:
            from tf_jmvae.reproduce import celeba

            report = celeba.reproduce(folder, output, scale=scale, **common)
        print(f"\nThe report is {report}.")

    return _exit_code(command, prog)


@dataclass(frozen=True)
class _Edit:
    """Change attributes of a portrait, and keep the person.

    The model names the attributes that it sees; the difference that the changes make to its mean face is added to
    the portrait. Example: tf-jmvae edit runs/celeba-jmvae-kl-gan/model.keras me.jpg --set Smiling=1 Eyeglasses=-1
    """

    model: Annotated[Path, tyro.conf.Positional]
    """The model.keras of a run with CelebA."""
    portrait: Annotated[Path, tyro.conf.Positional]
    """Any photograph; the face should fill it as in the training images, or use --crop face."""
    set: tuple[str, ...] = ()
    """Changes, NAME=VALUE with 1 or -1; 2 or -2 exaggerates. Without any, the attributes are listed."""
    output: Path = Path("edited.png")
    """Where the edited portrait goes, a PNG of the model's size."""
    crop: Literal["none", "center", "face"] = "center"
    """The middle as of CelebA's aligned pictures, that part about the face that OpenCV finds, or the whole square."""


def edit(argv: Sequence[str], prog: str = "tf-jmvae edit") -> int:
    """Parses `argv`, edits the portrait, and prints its attributes; returns the exit code."""

    def command() -> None:
        options = tyro.cli(_Edit, args=list(argv), prog=prog, description=inspect.getdoc(_Edit))
        changes = dict(_change(text) for text in options.set)
        if options.output.suffix.lower() != ".png" or options.output.is_dir():
            raise ValueError(f"--output must be the name of a .png file; got {options.output}.")
        from PIL import Image

        from tf_jmvae import editing
        from tf_jmvae.files import replace_atomically

        model = run.load_model(options.model, maker="tf-jmvae train --preset celeba-jmvae-kl-gan-small")
        edited = editing.edit(model, options.portrait, changes, crop=options.crop)
        inferred = editing.infer_attributes(model, options.portrait, crop=options.crop)
        for name, value in sorted(inferred.items(), key=lambda item: -item[1]):
            print(f"  {name:<20} {value:+.2f}" + (f" -> {changes[name]:+g}" if name in changes else ""))
        if changes:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(options.output, lambda path: Image.fromarray(edited).save(path, format="PNG"))
            print(f"The edited portrait is {options.output}.")

    return _exit_code(command, prog, hint="")


@dataclass(frozen=True)
class _Export:
    """Write a SavedModel that TF Serving, TF Hub and Keras load, and the files to serve it.

    OUTPUT/NAME/VERSION is the model; OUTPUT also gets models.config, batching_parameters.txt, monitoring.txt and
    compose.yaml.
    Example: tf-jmvae export runs/mnist-jmvae-kl
    """

    model: Annotated[Path, tyro.conf.Positional]
    """The folder of a run, or a model.keras."""
    output: Path = Path("saved_models")
    """The folder of all models to serve."""
    name: str | None = None
    """What the server calls it [default: the run folder's name, with _ for -]."""
    version: int | None = None
    """Its number [default: the next free one]."""
    num_steps: int | None = None
    """Of iterated sampling, for models that need it [default: the run's]."""
    num_samples: int = 100
    """Behind each log-likelihood."""
    notes: str = ""
    """What the model card should say besides: how images must look, licences."""


def export(argv: Sequence[str], prog: str = "tf-jmvae export") -> int:
    """Parses `argv` and exports; returns the exit code."""

    def command() -> None:
        options = tyro.cli(_Export, args=list(argv), prog=prog, description=inspect.getdoc(_Export))
        from tf_jmvae.serving.deployment import write_deployment_files

        path = options.model / "model.keras" if options.model.is_dir() else options.model
        name = options.name or path.resolve().parent.name.replace("-", "_")
        if not (name.isidentifier() and name.isascii()):
            raise ValueError(f"--name must be a name of ASCII letters, digits and underscores; got {name!r}.")
        record = run.describe(path.parent)
        steps_of_run = record.pop("num_steps")
        num_steps = steps_of_run if options.num_steps is None else options.num_steps
        if options.version is not None and options.version < 0:
            raise ValueError(f"--version must be 0 or more; got {options.version}.")
        folder = options.output / name / ("" if options.version is None else str(options.version))
        settings = {"num_steps": num_steps, "num_samples": options.num_samples, "notes": options.notes}
        version = run.load_model(path).export(folder, **settings, **record)
        write_deployment_files(options.output)
        print(f"The model is {version}. To serve it on ports 8500 (gRPC) and 8501 (REST):")
        print(f"  docker compose --file {options.output / 'compose.yaml'} --profile cpu up")

    return _exit_code(command, prog, hint="; nothing is left of the attempt")


def _change(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"--set takes NAME=VALUE, such as Smiling=1; got {text!r}.")
    return name, number


def _exit_code(
    command: Callable[[], None], prog: str, hint: str = "; the same command continues from the last epoch"
) -> int:
    """Runs a command; mistakes and interruptions end in a message, not in a traceback."""
    try:
        command()
    except (ValueError, OSError, ImportError, run.RunError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{prog}: interrupted{hint}.", file=sys.stderr)
        return 130
    return 0


def parse(argv: Sequence[str], prog: str) -> Config:
    """A preset's configuration with the command line's changes.

    Raises:
      ValueError: unknown preset.
      SystemExit: help was asked for, or an option is unknown or does not fit; it has been printed.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default=DEFAULT_PRESET)
    default = presets.load(first.parse_known_args(argv)[0].preset)
    description = f"{inspect.getdoc(Config)}\n\nPresets: {', '.join(presets.names())}."
    config = tyro.cli(
        Config,
        args=list(argv),
        default=default,
        prog=prog,
        description=description,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return config.model_copy(update={"preset": default.preset})
