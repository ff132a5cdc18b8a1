"""The command line: `tf-jmvae train`, also run by `train.py`."""

import argparse
import inspect
import os
import sys
from collections.abc import Sequence

import tyro

from tf_jmvae.training import presets, run
from tf_jmvae.training.config import Config

__all__ = ["main", "train"]

# Validation errors name the option and what is wrong; a link to pydantic's site adds nothing.
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")

DEFAULT_PRESET = "digits-jmvae-kl"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `tf-jmvae` command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="tf-jmvae", description="Joint multimodal variational autoencoders.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("train", help="train a model; 'tf-jmvae train --help' lists the options", add_help=False)
    arguments, rest = parser.parse_known_args(argv[:1])
    return {"train": train}[arguments.verb](argv[1:] + rest)


def train(argv: Sequence[str], prog: str = "tf-jmvae train") -> int:
    """Parses `argv`, trains, and prints the metrics; returns the exit code."""
    try:
        config = parse(argv, prog)
        metrics = run.train(config)
    except (ValueError, OSError, run.RunError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{prog}: interrupted; the same command continues from the last epoch.", file=sys.stderr)
        return 130
    width = max(map(len, metrics))
    print(f"\nOn the test set, in nats per example (accuracies as shares), {run.default_run_dir(config)}:")
    for name, value in metrics.items():
        print(f"  {name:<{width}}  {value:10.4f}")
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
