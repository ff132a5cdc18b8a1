"""The `tf-jmvae` command: its verbs, parsing, exit codes and error messages.

Exit codes: 0 success, 1 failure, 2 an invalid command line, 128 + the signal's number if a signal ended the command
(130 for Ctrl-C).
"""

import contextlib
import difflib
import functools
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tf_jmvae
from tf_jmvae._utils.command import terminable
from tf_jmvae._utils.extras import extra
from tf_jmvae._utils.files import RunError
from tf_jmvae._utils.tables import aligned

# Validation errors name the option and the problem, without a link to pydantic's site.
os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")

# Each verb is a module of this package, with a class `Options` and a function `run(options)`.
VERBS = {
    "init": "Inspect a table, and draft what to learn from it.",
    "train": "Train a model, or continue a run that was interrupted.",
    "evaluate": "Estimate a run's log-likelihoods in every direction.",
    "generate": "Turn any modalities into any others: images, labels, attributes.",
    "fill": "Fill the gaps in a table.",
    "encode": "Write the latents of a table's rows.",
    "score": "Compute the log-likelihoods of a table's rows.",
    "edit": "Change attributes of a portrait, but keep the person.",
    "export": "Write a SavedModel for TF Serving and TF Hub, and the files to serve it.",
    "reproduce": "Run the paper's experiments and write the report.",
    "report": "Write a web page about a run.",
    "demo": "Try a model in the browser.",
    "info": "Describe a model, a run or the installation.",
    "completion": "Print a shell's completion script.",
}

_HELP = f"""\
usage: tf-jmvae VERB [OPTIONS]

Joint multimodal variational autoencoders: any modality into any other.

Verbs:
{aligned(VERBS, indent="  ")}

Examples:
  tf-jmvae train --preset digits-jmvae-kl             a small run, without a download
  tf-jmvae evaluate runs/digits-jmvae-kl
  tf-jmvae generate --given w=3 --output three.png    with the pre-trained model
  tf-jmvae info runs/digits-jmvae-kl

tf-jmvae VERB --help describes a verb; tf-jmvae --version prints the version."""


def main(argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Runs the `tf-jmvae` command.

    Args:
      argv: sequence of the verb and its options; by default those of this process.
      prog: name of the program in messages; `tf-jmvae VERB` by default.

    Returns:
      The exit code, an integer.

    Raises:
      SystemExit: if the parser printed help or an error.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    verb, *rest = argv or [""]
    if verb in ("-h", "--help"):
        print(_HELP)
        return 0
    if verb == "--version":
        print(f"tf-jmvae {tf_jmvae.__version__}")
        return 0
    if verb in VERBS:
        return _run(verb, rest, prog or f"tf-jmvae {verb}")
    close = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Expected one of {', '.join(VERBS)}."
    refusal = f"there is no verb {verb!r}. {hint} See tf-jmvae --help."
    print(f"tf-jmvae: {refusal}" if verb else f"{_HELP}\n\ntf-jmvae: a VERB is missing.", file=sys.stderr)
    return 2


def _run(verb: str, argv: list[str], prog: str) -> int:
    """Runs a verb; errors and interruptions end in a message, with a traceback only for --debug."""
    debug, module = "--debug" in argv, None
    try:
        with terminable(_terminate), contextlib.nullcontext() if debug else _quiet_warnings():
            with extra("cli", "The command"):
                from tf_jmvae.cli import common

                module = importlib.import_module(f"tf_jmvae.cli.{verb}")
            parse = getattr(module, "parse", functools.partial(common.parse, module.Options))
            module.run(parse(argv, prog))
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, ImportError, RunError) as error:
        if debug or (isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "tf_jmvae"):
            raise
        print(f"{prog}: {_one_message(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        number, what = (signal.SIGTERM, "terminated") if stopped.args else (signal.SIGINT, "interrupted")
        print(f"\n{prog}: {what}{getattr(module, 'WHEN_STOPPED', '')}.", file=sys.stderr)
        return 128 + number
    return 0


def _one_message(error: Exception) -> str:
    """Returns the error's message, with the file's name for system errors."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, ImportError) and error.name:  # raised by Python, without our advice
        return f"{error} (--debug shows where)"
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Hides deprecation warnings of libraries, and prints other warnings in one line each."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        stack.callback(setattr, warnings, "formatwarning", warnings.formatwarning)
        warnings.formatwarning = lambda message, *_: f"{Path(sys.argv[0]).name}: warning: {message}\n"
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        yield


def _terminate(number: int, frame: Any) -> None:
    """Handles SIGTERM like Ctrl-C, so that no partial file remains; the signal's number tells them apart."""
    raise KeyboardInterrupt(number)
