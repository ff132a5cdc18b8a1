"""Reading of picture files, and preprocessing of pictures to a modality's images."""

from tf_jmvae.images.preprocessing import MAX_PIXELS, open_rgb, prepared

__all__ = ["MAX_PIXELS", "open_rgb", "prepared"]
