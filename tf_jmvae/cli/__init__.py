"""The command line, `tf-jmvae`: a module per verb. Nothing here imports TensorFlow before a verb runs."""

from tf_jmvae.cli.program import main

__all__ = ["main"]
