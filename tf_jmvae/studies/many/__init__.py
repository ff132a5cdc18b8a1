"""The study of many modalities: JMVAE-kl of five modalities in each form, and MultiVae's models on the same files."""
