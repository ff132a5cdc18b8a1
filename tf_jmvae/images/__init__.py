"""Reading of picture files, and the one way from pictures to a modality's images."""

from tf_jmvae.images.preparing import prepared
from tf_jmvae.images.reading import MAX_PIXELS, open_rgb

__all__ = ["MAX_PIXELS", "open_rgb", "prepared"]
