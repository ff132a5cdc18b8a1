"""Whether the running program is this package's own command, and how a command is ended.

`import tf_jmvae` loads TensorFlow, because models can be loaded only when their classes are known to Keras. The
command has to pass through the same import, but its help, its completion and its complaints about a mistyped option
need nothing of it and would come seconds late. So the package loads its parts eagerly for everybody but the command.
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
    """Whether this process was started as `tf-jmvae`, `python -m tf_jmvae` or the checkout's `train.py`."""
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    if program == "-m":  # a module that Python still looks for; its name stands before the arguments
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
    """Has `end` answer SIGTERM, which Kubernetes and batch systems send before they kill, as far as signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
