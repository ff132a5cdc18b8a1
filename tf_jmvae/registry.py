"""Registries of models, likelihoods, datasets, estimators and kinds of columns by name."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["COLUMNS", "DATASETS", "ESTIMATORS", "LIKELIHOODS", "MODELS", "Registry", "UnknownNameError"]

Entry = TypeVar("Entry")

_REGISTERED = re.compile(r'^@(?:\w+\.)?register\(\s*"([^"]+)"', re.MULTILINE)


class UnknownNameError(ValueError):
    """Raised for a name under which nothing is registered."""


class Registry:
    """Registry of classes or functions by name.

    Names can be listed without importing the modules, which import TensorFlow: the command line shows them in its help.

    Args:
      what: singular name of an entry for messages, such as `"model"`.
      package: name of the module or package whose files register by `@REGISTRY.register("name")` at the left margin.
    """

    def __init__(self, what: str, package: str):
        self.what, self.package = what, package
        self._entries: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Returns a decorator that registers a class or function; raises `ValueError` if the name is taken."""

        def decorate(entry: Entry) -> Entry:
            there = self._entries.setdefault(name, entry)
            if (there.__module__, there.__qualname__) != (entry.__module__, entry.__qualname__):
                raise ValueError(f"There is already a {self.what} {name!r}: {there.__module__}.{there.__qualname__}.")
            self._entries[name] = entry  # replaces the entry of a reloaded module
            return entry

        return decorate

    def names(self) -> list[str]:
        """Returns all names in alphabetical order: those registered so far, and those in the package's files."""
        place = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
        in_files = (name for path in files for name in _REGISTERED.findall(path.read_text("utf-8")))
        return sorted({*self._entries, *in_files})

    def get(self, name: str) -> Any:
        """Returns the entry of a name; raises `UnknownNameError`, which lists the names, if there is none."""
        if not isinstance(name, str) or name not in self._entries:
            module = importlib.import_module(self.package)
            for file in pkgutil.iter_modules(getattr(module, "__path__", ())):
                importlib.import_module(f"{self.package}.{file.name}")
        if not isinstance(name, str) or name not in self._entries:
            raise UnknownNameError(
                f"Unknown {self.what} {name!r}. Expected one of {', '.join(map(repr, self.names()))}."
            )
        return self._entries[name]

    def checked(self, name: str) -> str:
        """Returns the name if it is known; raises `ValueError`, which lists the names, otherwise."""
        if name not in self._entries and name not in self.names():
            raise ValueError(f"expected one of {', '.join(map(repr, self.names()))}; got {name!r}")
        return name


MODELS = Registry("model", "tf_jmvae.models")
LIKELIHOODS = Registry("likelihood", "tf_jmvae.heads")
DATASETS = Registry("dataset", "tf_jmvae.data")
ESTIMATORS = Registry("estimator", "tf_jmvae.evaluation")
COLUMNS = Registry("kind of column", "tf_jmvae.columns")
