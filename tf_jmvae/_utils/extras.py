"""Imports of packages that an extra of this one brings, with errors that say which."""

import contextlib
from collections.abc import Iterator

__all__ = ["extra"]


@contextlib.contextmanager
def extra(name: str, user: str) -> Iterator[None]:
    """Turns a failing import within its block into an `ImportError` that says what to install.

    Args:
      name: of the extra in setup.py, such as `"report"`.
      user: what needs the package, with which the message begins.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "tf_jmvae":
            raise
        raise ImportError(f'{user} needs {package}: pip install "tf-jmvae[{name}]".') from error
