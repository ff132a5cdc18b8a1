"""Options that several verbs have, and the parser of a verb's options."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import tyro

__all__ = ["AnyModel", "Common", "default", "metavar", "parse"]

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


# A model of any kind, for verbs that have one to begin with.
AnyModel = Annotated[str | None, tyro.conf.Positional, metavar("[MODEL]"), default("the pre-trained MNIST model")]

AnyOptions = TypeVar("AnyOptions", bound=Common)


def parse(options: type[AnyOptions], argv: Sequence[str], prog: str) -> AnyOptions:
    """A verb's options from the command line; `SystemExit` after help or an error, which has been printed."""
    return tyro.cli(options, args=list(argv), prog=prog, description=inspect.getdoc(options), config=CONFIG)
