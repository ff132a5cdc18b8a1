"""The command line: `tf-jmvae train`, also run by `train.py`, and `tf-jmvae reproduce`."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tf_jmvae.training import presets, run
from tf_jmvae.training.config import Config

__all__ = ["main", "reproduce", "train"]

# Validation errors name the option and what is wrong; a link to pydantic's site adds nothing.
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")

DEFAULT_PRESET = "digits-jmvae-kl"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `tf-jmvae` command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="tf-jmvae", description="Joint multimodal variational autoencoders.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("train", help="train a model; 'tf-jmvae train --help' lists the options", add_help=False)
    verbs.add_parser("reproduce", help="run the paper's experiments and write the report", add_help=False)
    arguments, rest = parser.parse_known_args(argv[:1])
    return {"train": train, "reproduce": reproduce}[arguments.verb](argv[1:] + rest)


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

    experiment: Annotated[Literal["mnist"], tyro.conf.Positional]
    """Which experiments."""
    data_dir: Path | None = None
    """Folder with the dataset's original files; without it, it is downloaded."""
    run_dir: Path | None = None
    """Folder of the trainings and measurements [default: runs/reproduce-mnist, or ...-quick]."""
    output: Path | None = None
    """Folder of the report [default: docs; with --quick, docs in the run folder]."""
    quick: bool = False
    """All of it in miniature, in minutes, on scikit-learn's digits."""
    seed: int = 0
    """Of everything."""


def reproduce(argv: Sequence[str], prog: str = "tf-jmvae reproduce") -> int:
    """Parses `argv` and runs the experiments; returns the exit code."""
    from tf_jmvae.reproduce import mnist

    def command() -> None:
        options = tyro.cli(_Reproduce, args=list(argv), prog=prog, description=inspect.getdoc(_Reproduce))
        suffix = "-quick" if options.quick else ""
        folder = options.run_dir or Path("runs") / f"reproduce-{options.experiment}{suffix}"
        output = options.output or (folder / "docs" if options.quick else Path("docs"))
        report = mnist.reproduce(folder, output, data_dir=options.data_dir, quick=options.quick, seed=options.seed)
        print(f"\nThe report is {report}.")

    return _exit_code(command, prog)


def _exit_code(command: Callable[[], None], prog: str) -> int:
    """Runs a command; mistakes and interruptions end in a message, not in a traceback."""
    try:
        command()
    except (ValueError, OSError, run.RunError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{prog}: interrupted; the same command continues from the last epoch.", file=sys.stderr)
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
