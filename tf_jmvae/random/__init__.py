"""Stateless randomness: seeds, a generator for each row, and samples of distributions."""
