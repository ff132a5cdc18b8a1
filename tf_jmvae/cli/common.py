"""What verbs have in common: options, their parser, and a quiet start of TensorFlow."""

import contextlib
import inspect
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from tf_jmvae._utils.extras import require_tensorflow

CONFIG = (tyro.conf.FlagCreatePairsOff,)


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every verb takes."""

    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show the traceback of an error, and all that TensorFlow says."""


def default(what: str) -> object:
    """Says what an option is if it is not given, where that is no value."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})")


def metavar(name: str) -> object:
    """Marks a positional argument, and says what it is called in the usage line."""
    return tyro.conf.arg(metavar=name)


# A model of any kind, for verbs that have one to begin with; and the folder of a run.
AnyModel = Annotated[str | None, tyro.conf.Positional, metavar("[MODEL]"), default("the pre-trained MNIST model")]
RunFolder = Annotated[Path, tyro.conf.Positional, metavar("RUN")]

AnyOptions = TypeVar("AnyOptions", bound=Common)


def parse(options: type[AnyOptions], argv: Sequence[str], prog: str) -> AnyOptions:
    """A verb's options from the command line; `SystemExit` after help or an error, which has been printed."""
    return tyro.cli(options, args=list(argv), prog=prog, description=inspect.getdoc(options), config=CONFIG)


def require_at_least(lowest: int, **values: int | None) -> None:
    """Raises `ValueError` if one of these options is given and is less."""
    for name, value in values.items():
        if value is not None and value < lowest:
            raise ValueError(f"--{name.replace('_', '-')} must be {lowest} or more; got {value}.")


def watched() -> bool:
    """Whether progress has somebody to see it: only then is it shown, on stderr."""
    return sys.stderr.isatty()


def note(text: str) -> None:
    """One line about what takes a while, such as `Loading the model ...`."""
    if watched():
        print(text, file=sys.stderr, flush=True)


def load_tensorflow(*, debug: bool) -> None:
    """Imports TensorFlow and finds the devices; what they print, unless asked for, goes nowhere if all is well.

    Raises `ImportError` if Keras runs on another backend, or TensorFlow does not load.
    """
    require_tensorflow()
    if "tensorflow" in sys.modules:
        return
    note("Loading TensorFlow ...")
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what is an error for Python comes as an exception
        if not watched():
            os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of tensorflow-datasets
    # Its libraries write to the file descriptor before any level is read.
    with contextlib.nullcontext() if debug else _native_stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()
    if not debug:
        for logger in (tf.get_logger(), logging.getLogger("absl")):
            logger.setLevel(logging.ERROR)


@contextlib.contextmanager
def _native_stderr_held_back() -> Iterator[None]:
    """Keeps what is written to file descriptor 2, from C++ too; it appears if the body fails."""
    sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            held_back.seek(0)
            os.write(original, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
