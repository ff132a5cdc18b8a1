"""Presets, their schema, and runs."""
