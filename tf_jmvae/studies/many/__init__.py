"""JMVAE-kl of five modalities in each of its forms, beside MultiVae's models on the same files."""
