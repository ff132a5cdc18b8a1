"""The command line `tf-jmvae`, with a module for each verb; TensorFlow is not imported before a verb runs."""

from tf_jmvae.cli.program import main

__all__ = ["main"]
