"""Comparisons of measurements: how many times faster, over the rounds in which both sides took turns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Summary = Mapping[str, Any]
OURS = "tf_jmvae"


class Ratio(NamedTuple):
    """Of two medians, and the smallest and largest of the rounds."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def speed(ours: Summary, theirs: Summary, *, rates: bool) -> Ratio:
    """How many times faster ours is: of `rates` the ratio, of times its inverse."""

    def of(a: float, b: float) -> float:
        return a / b if rates else b / a

    rounds = [of(a, b) for a, b in zip(ours["rounds"], theirs["rounds"], strict=True)]
    return Ratio(of(ours["median"], theirs["median"]), min(rounds), max(rounds))


def best(found: Mapping[str, Summary], start: str, *, rates: bool, without: str | None = None) -> str | None:
    """The fastest contestant whose name begins so, and has nothing of `without` in it."""
    names = [name for name in found if name.startswith(start) and not (without and without in name)]
    pick = max if rates else min
    return pick(names, key=lambda name: found[name]["median"]) if names else None


def against(found: Mapping[str, Summary], *, rates: bool) -> dict[str, Ratio]:
    """Ours beside each peer: float32 beside float32, and both sides' best beside each other's."""
    plain = best(found, OURS, rates=rates, without="bfloat16")
    pairs = {
        "MultiVae": (plain, best(found, "multivae", rates=rates)),
        "Pixyz": (plain, best(found, "pixyz", rates=rates)),
        "PyTorch": (plain, best(found, "pytorch", rates=rates, without="bfloat16")),
        "PyTorch, best": (best(found, OURS, rates=rates), best(found, "pytorch", rates=rates)),
        "ONNX Runtime": (plain, best(found, "onnxruntime", rates=rates)),
    }
    if not any("bfloat16" in name for name in found):
        del pairs["PyTorch, best"]
    return {
        peer: speed(found[ours], found[theirs], rates=rates)
        for peer, (ours, theirs) in pairs.items()
        if ours and theirs
    }


def share(rate: float, limit: Mapping[str, Any] | None, name: str) -> str:
    """Of what arithmetic allows in the contestant's precision, in percent; nothing where that was not measured."""
    allowed = (limit or {}).get("bfloat16" if "bfloat16" in name else "float32")
    return f"{rate / allowed:.0%}" if allowed else ""
