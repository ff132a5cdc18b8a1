"""`tf-jmvae train`: trains a preset's configuration with the command line's changes."""

import argparse
import inspect
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pydantic
import tyro

from tf_jmvae._utils.tables import aligned
from tf_jmvae.cli.common import Common, load_tensorflow
from tf_jmvae.training import presets
from tf_jmvae.training.config import Config

WHEN_STOPPED = "; the same command continues from the last epoch"
DEFAULT_PRESET = "digits-jmvae-kl"

_EXAMPLES = """\
Examples:
  tf-jmvae train --preset digits-jmvae-kl --epochs 5
  tf-jmvae train --preset mnist-jmvae-kl --alpha 0.1 --run-dir runs/alpha-0.1
  tf-jmvae train --preset mnist-jmvae-kl --flow 8 --joint-from runs/mnist-jmvae --run-dir runs/flows
  tf-jmvae train --preset celeba-jmvae-kl-gan-small --data-dir ~/celeba
  tf-jmvae train --preset my.toml --seed 3
  tf-jmvae train --data pets.toml            a table, as tf-jmvae init drafts it
"""


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    """Options of `train`: a configuration, without a prefix, and the options of every verb."""

    config: Annotated[Config, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]


def parse(argv: Sequence[str], prog: str) -> Options:
    """Parses a preset's configuration with the command line's changes; errors as `common.parse`, or unknown preset."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset")
    first.add_argument("--data")
    named, others = first.parse_known_args(argv)
    if named.data:
        if named.preset:
            raise ValueError("--data describes a whole run, so it cannot be combined with --preset.")
        load_tensorflow(debug="--debug" in argv)
        from tf_jmvae.tables.description import load

        chosen, argv = Options(config=load(named.data)), others
    else:
        chosen = of_preset(named.preset or DEFAULT_PRESET)
    listed = "\n".join(f"  {name}" for name in presets.names())
    description = f"{inspect.getdoc(Config)}\n\nDefaults are those of the preset.\n\nPresets:\n{listed}\n\n{_EXAMPLES}"
    try:
        options = tyro.cli(Options, args=list(argv), default=chosen, prog=prog, description=description)
    except pydantic.ValidationError as error:
        raise ValueError(presets.describe(error)) from error
    config = options.config.model_copy(update={"preset": chosen.config.preset})
    return Options(config=config, debug=options.debug)


def of_preset(preset: str = DEFAULT_PRESET) -> Options:
    """Returns the options of a preset."""
    return Options(config=presets.load(preset))


def run(options: Options) -> None:
    """Trains the model and prints the metrics."""
    load_tensorflow(debug=options.debug)
    from tf_jmvae.training import run as runs

    metrics = runs.train(options.config)
    if not metrics:  # not the chief of several workers
        return
    folder = runs.default_run_dir(options.config)
    print(f"\nOn the test set, in nats per example (accuracies as fractions), {folder}:")
    print(aligned({name: f"{value:10.4f}" for name, value in metrics.items()}, indent="  "))
    logs = folder / runs.TENSORBOARD
    if logs.is_dir():
        print(f"Curves, pictures and latents of every epoch: tensorboard --logdir {shlex.quote(str(logs))}")
