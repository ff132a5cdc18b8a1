"""Numbers as people read them: rounded to their error, aligned at the point, with a real minus."""

import math
from collections.abc import Sequence

__all__ = ["aligned", "decimals", "duration", "number", "percent", "significant"]

_FIGURE_SPACE, _POINT_SPACE = "\u2007", "\u2008"


def number(value: float | None, places: int) -> str:
    """Rounded to so many places; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def significant(value: float) -> str:
    """Four digits or so, for values of any size."""
    return number(value, min(4, max(0, 3 - math.floor(math.log10(abs(value))))) if value else 0)


def decimals(standard_error: float | None) -> int:
    """Places such that the standard error has two digits, 0 to 4; 2 where it is not known."""
    if standard_error is None or not math.isfinite(standard_error) or standard_error <= 0:
        return 2
    return min(4, max(0, 1 - math.floor(math.log10(standard_error))))


def aligned(texts: Sequence[str]) -> list[str]:
    """Numbers of unlike numbers of places, padded so that their points stand below one another."""
    places = [len(text.partition(".")[2]) for text in texts]
    most = max(places, default=0)
    return [
        text + ("" if own or not most else _POINT_SPACE) + _FIGURE_SPACE * (most - own)
        for text, own in zip(texts, places, strict=True)
    ]


def percent(fraction: float) -> str:
    """A fraction in per cent, with a place."""
    return f"{fraction:.1%}"


def duration(seconds: float) -> str:
    """In the two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
