"""Models of users' tables: descriptions and configurations, filling, encoding and scoring of rows."""

from tf_jmvae.tables.answers import encode, fill, score, to_table

__all__ = ["encode", "fill", "score", "to_table"]
