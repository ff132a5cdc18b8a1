"""Kinds of table columns, which convert cells to a modality's values and back, and the reader of tables."""

from tf_jmvae.columns.base import Kind, kind_of
from tf_jmvae.columns.reader import read_table

__all__ = ["Kind", "kind_of", "read_table"]
