"""The known datasets' names, apart from what loads them, for those who only need to know which there are."""

__all__ = ["NAMES"]

NAMES = ("digits", "mnist", "celeba")
