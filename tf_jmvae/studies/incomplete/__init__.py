"""JMVAE-kl on rows that lack modalities, beside what it learns from the complete ones alone."""
