"""Photographs to arrays: reading any file people have, and the one way from pictures to a modality's images."""

from tf_jmvae.images.preparing import center_crop, prepared, to_array
from tf_jmvae.images.reading import MAX_PIXELS, open_rgb

__all__ = ["MAX_PIXELS", "center_crop", "open_rgb", "prepared", "to_array"]
