"""The study of incomplete rows: JMVAE-kl on incomplete rows, compared with complete rows alone."""
