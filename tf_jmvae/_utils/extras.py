"""Checks of requirements, with errors that say what to do: packages of extras, and Keras on TensorFlow."""

import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def extra(name: str, user: str) -> Iterator[None]:
    """Converts a failing import within its block to an `ImportError` that says what to install.

    `name` is that of the extra in setup.py, such as `"report"`; the message begins with `user`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "tf_jmvae":
            raise
        raise ImportError(f'{user} needs {package}: pip install "tf-jmvae[{name}]".') from error


def require_tensorflow() -> None:
    """Raises `ImportError` unless Keras uses, or will use, TensorFlow.

    The setting is read before Keras is imported, because importing Keras with a backend that is not installed fails
    with an error about that backend.
    """
    keras, settings = sys.modules.get("keras"), {}
    with contextlib.suppress(OSError, ValueError):
        home = pathlib.Path(os.environ.get("KERAS_HOME", pathlib.Path.home() / ".keras"))
        settings = json.loads((home / "keras.json").read_text())
    of_file = settings.get("backend", "tensorflow") if isinstance(settings, dict) else "tensorflow"
    loaded = keras.backend.backend() if hasattr(keras, "backend") else None
    backend = loaded or os.environ.get("KERAS_BACKEND") or of_file
    if backend != "tensorflow":
        raise ImportError(
            f"tf_jmvae needs Keras to run on TensorFlow, but the backend is '{backend}'. "
            "Set the environment variable KERAS_BACKEND=tensorflow before Python starts, "
            "or remove the 'backend' entry from Keras's keras.json."
        )
