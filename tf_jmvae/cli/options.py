"""What options have in common over all verbs, and how they are parsed."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import tyro

__all__ = ["Common", "default", "metavar", "parse"]

CONFIG = (tyro.conf.FlagCreatePairsOff,)


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every verb takes."""

    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show the traceback of an error, and all that TensorFlow says."""


AnyOptions = TypeVar("AnyOptions", bound=Common)


def default(what: str) -> object:
    """Says what an option is if it is not given, where that is no value."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {what})")


def metavar(name: str) -> object:
    """Marks a positional argument, and says what it is called in the usage line."""
    return tyro.conf.arg(metavar=name)


def parse(options: type[AnyOptions], argv: Sequence[str], prog: str) -> AnyOptions:
    """A verb's options from the command line; the class's docstring is the help's text.

    Raises:
      SystemExit: help was asked for, or an option is unknown or does not fit; it has been printed.
    """
    return tyro.cli(options, args=list(argv), prog=prog, description=inspect.getdoc(options), config=CONFIG)
