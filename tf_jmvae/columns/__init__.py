"""Columns of a table as a modality's values and back: a file for each kind, and the reader of tables."""

from tf_jmvae.columns.base import Kind, kind_of
from tf_jmvae.columns.reader import read_table

__all__ = ["Kind", "kind_of", "read_table"]
