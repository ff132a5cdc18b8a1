"""Data as `tf.data` pipelines of `{modality: [B, *event_shape]}`."""

from tf_jmvae.data.incomplete import Missing, without
from tf_jmvae.data.pipeline import from_arrays
from tf_jmvae.data.sources import Source, load

__all__ = ["Missing", "Source", "from_arrays", "load", "without"]
