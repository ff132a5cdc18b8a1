"""Studies in miniature without what takes longest there: nothing is traced, and runs draw no pictures of their own."""

import contextlib
import warnings

import pytest
import tensorflow as tf

from tf_jmvae.evaluation import samples
from tf_jmvae.training import run


@contextlib.contextmanager
def eagerly():
    """The same code, run eagerly; tests/training and tests/evaluation have what is left out."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.filterwarnings("ignore", message="Even though the `tf.config.experimental_run_functions_eagerly`")
            patch.setattr(samples, "max_rows", lambda *_, **__: 10_000)
            patch.setattr(run, "_draw", lambda *_: None)
            yield
    finally:
        tf.config.run_functions_eagerly(False)
