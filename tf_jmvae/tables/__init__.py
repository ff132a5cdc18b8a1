"""People's own tables: a description drafted, a configuration read, and gaps, latents and likelihoods of their rows."""

from tf_jmvae.tables.answers import encode, fill, score, to_table

__all__ = ["encode", "fill", "score", "to_table"]
