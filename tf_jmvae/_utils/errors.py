"""Errors of a run's folder."""

__all__ = ["RunError"]


class RunError(Exception):
    """The run folder cannot be used as asked; the message says what to do."""
