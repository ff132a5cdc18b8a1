"""Stateless randomness: seeds, random numbers with a seed for each row, and sampling of distributions."""
