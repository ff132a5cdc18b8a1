"""Data as `tf.data` pipelines of `{modality: [B, *event_shape]}`."""

from tf_jmvae.data.pipeline import from_arrays
from tf_jmvae.data.sources import Source, load

__all__ = ["Source", "from_arrays", "load"]
