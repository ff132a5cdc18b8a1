"""Common parts of verbs: options, their parser, and a quiet start of TensorFlow."""

import contextlib
import inspect
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar, get_origin, get_type_hints

import tyro

from tf_jmvae._utils.extras import require_tensorflow

CONFIG = (tyro.conf.FlagCreatePairsOff,)


@dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every verb."""

    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show the traceback of an error, and TensorFlow's own messages."""


def default(what: str) -> object:
    """Returns the annotation of an option's default that help shows, for defaults that are not values."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})")


def metavar(name: str) -> object:
    """Returns the annotation of a positional argument's name in the usage line."""
    return tyro.conf.arg(metavar=name)


# A model of any kind, for verbs with a default model; and the folder of a run.
AnyModel = Annotated[str | None, tyro.conf.Positional, metavar("[MODEL]"), default("the pre-trained MNIST model")]
RunFolder = Annotated[Path, tyro.conf.Positional, metavar("RUN")]

AnyOptions = TypeVar("AnyOptions", bound=Common)


def parse(options: type[AnyOptions], argv: Sequence[str], prog: str) -> AnyOptions:
    """Parses a verb's options; raises `SystemExit` after printing help or an error."""
    argv = _gathered(options, argv)
    return tyro.cli(options, args=argv, prog=prog, description=inspect.getdoc(options), config=CONFIG)


def _gathered(options: type[Common], argv: Sequence[str]) -> list[str]:
    """Gathers the values of a repeated option, as in --given a=1 --given b=2, of which tyro would take the last."""
    several = [key for key, kind in get_type_hints(options).items() if get_origin(kind) is tuple]
    for flag in (f"--{key.replace('_', '-')}" for key in several):
        argv = [part for word in argv for part in (word.split("=", 1) if word.startswith(f"{flag}=") else [word])]
        others, values, takes = [], [], False
        for word in argv:
            takes = word == flag or (takes and not word.startswith("--"))
            (values if takes else others).append(word)
        if values.count(flag) > 1:
            argv = [*others, flag, *(word for word in values if word != flag)]
    return list(argv)


def require_at_least(lowest: int, **values: int | None) -> None:
    """Raises `ValueError` if one of these options is given and smaller than `lowest`."""
    for name, value in values.items():
        if value is not None and value < lowest:
            raise ValueError(f"--{name.replace('_', '-')} must be {lowest} or more; got {value}.")


def watched() -> bool:
    """Returns whether stderr is a terminal, where progress is shown."""
    return sys.stderr.isatty()


def note(text: str) -> None:
    """Prints a line of progress, such as `Loading the model ...`, if stderr is a terminal."""
    if watched():
        print(text, file=sys.stderr, flush=True)


def load_tensorflow(*, debug: bool) -> None:
    """Imports TensorFlow and finds the devices, without their output unless it fails or `debug` is set.

    Raises `ImportError` if Keras uses another backend, or TensorFlow cannot be loaded.
    """
    require_tensorflow()
    if "tensorflow" in sys.modules:
        return
    note("Loading TensorFlow ...")
    if not debug:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised as Python exceptions anyway
        if not watched():
            os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of tensorflow-datasets
    # TensorFlow's libraries write to the file descriptor before the log level is read.
    with contextlib.nullcontext() if debug else _native_stderr_held_back():
        import tensorflow as tf

        tf.config.list_physical_devices()
    if not debug:
        for logger in (tf.get_logger(), logging.getLogger("absl")):
            logger.setLevel(logging.ERROR)


@contextlib.contextmanager
def _native_stderr_held_back() -> Iterator[None]:
    """Holds back output to file descriptor 2, also from C++, and prints it if the body fails."""
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
