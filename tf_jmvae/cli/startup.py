"""Quiet start of TensorFlow, and progress notes where stderr is a terminal."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from tf_jmvae._utils import extras as _extras

__all__ = ["load_tensorflow", "note", "watched"]


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
    _extras.require_tensorflow()
    if "tensorflow" in sys.modules:
        return
    note("Loading TensorFlow ...")
    if debug:
        import tensorflow as tf

        tf.config.list_physical_devices()
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what is an error for Python comes as an exception
    if not watched():
        os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of tensorflow-datasets
    with _native_stderr_held_back():  # its libraries write to the file descriptor before any level is read
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)


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
