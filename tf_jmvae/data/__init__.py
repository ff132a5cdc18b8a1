"""Datasets and `tf.data` pipelines of dicts `{modality: [B, *event_shape]}`."""

from tf_jmvae.columns import read_table
from tf_jmvae.data.incomplete import Missing, without
from tf_jmvae.data.pipeline import from_arrays
from tf_jmvae.data.sources import Source, load
from tf_jmvae.data.table import from_table

__all__ = ["Missing", "Source", "from_arrays", "from_table", "load", "read_table", "without"]
