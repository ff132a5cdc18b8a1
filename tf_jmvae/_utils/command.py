"""Detection of this package's own command, and handling of its termination.

`import tf_jmvae` loads TensorFlow, because models can be loaded only if their classes are registered with Keras. The
command passes through the same import, but its help, completion and usage errors do not need TensorFlow and would be
delayed by seconds. So the package loads its parts eagerly, except in the command.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).resolve().parents[2]


def is_running() -> bool:
    """Returns whether this process was started as `tf-jmvae`, `python -m tf_jmvae` or the checkout's `train.py`."""
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    if program == "-m":  # while Python locates the module, whose name precedes the arguments
        return sys.orig_argv[-len(sys.argv)] in ("tf_jmvae", "-mtf_jmvae")
    path = Path(program)
    if path.name in ("tf-jmvae", "tf-jmvae.exe", "tf-jmvae-script.py"):
        return True
    return path.name in ("train.py", "__main__.py") and path.resolve() in (
        _CHECKOUT / "train.py",
        _CHECKOUT / "tf_jmvae" / "__main__.py",
    )


@contextlib.contextmanager
def terminable(end: Callable[[int, Any], Any]) -> Iterator[None]:
    """Context in which `end` handles SIGTERM, which Kubernetes and batch systems send before a kill."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
