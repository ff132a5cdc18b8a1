"""What holds for every test. Fixtures import TensorFlow: the process that only deals tests to workers needs none."""

import contextlib
import ctypes
import functools
import gc
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Small models on a worker for each core: threads of their own would only wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# What XLA compiles here runs a few times.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import filelock
import pytest
from worker_folders import shared_folder

# Looking for garbage in all that is imported takes a tenth of the tests' time.
gc.set_threshold(100_000, 50, 50)
_SECONDS_OF_GARBAGE = 60


@pytest.fixture(scope="session", autouse=True)
def _graphs_are_ready_sooner():
    """Without TensorFlow's graph optimizers, which take longer than what they save here.

    They work in tests/conformance, in serving's `exported.OPTIMIZED`, and in every process that a test starts.
    """
    from exported import optimizers

    with optimizers(False):
        yield


_collected = [time.monotonic()]


@pytest.fixture(autouse=True)
def _models_are_dropped():
    """Models and their functions are cycles, which wait for the garbage collector with all their memory.

    What they leave goes back to the system, so that a worker does not keep the largest that it ever had.
    """
    yield
    if time.monotonic() - _collected[0] > _SECONDS_OF_GARBAGE:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # of glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        _collected[0] = time.monotonic()


@pytest.fixture(autouse=True)
def _reproducible():
    import keras
    from small_models import set_seeds

    set_seeds(1)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")  # for fixtures of the next module, which are made before this one


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """The folder of a kind of tests/serving, `KIND/1`, exported once for all workers, when first asked for."""
    import exported

    folder = shared_folder(tmp_path_factory, "exports")

    @functools.cache
    def version(kind):
        path = folder / kind / "1"
        with filelock.FileLock(folder / f"{kind}.lock"), exported.optimizers(kind in exported.OPTIMIZED):
            return path if path.exists() else exported.make(kind).export(path, **exported.KINDS[kind][-1])

    return version
