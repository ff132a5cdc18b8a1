"""What signatures and their tensors are called."""

from collections.abc import Iterable

__all__ = ["AS_PNG", "AS_UINT8", "BYTES", "encode", "encoded", "from_given"]

BYTES = "_bytes"  # of an encoded image, and of a signature that reads some; TF Serving's REST API asks for this ending
AS_UINT8 = "_as_uint8"
AS_PNG = "_as_png"


def encode(given: Iterable[str]) -> str:
    """`encode_from_<given>`."""
    return f"encode_from_{_joined(given)}"


def from_given(verb: str, target: str, given: Iterable[str]) -> str:
    """`<verb>_<target>_from_<given>`."""
    return f"{verb}_{target}_from_{_joined(given)}"


def encoded(modality: str) -> str:
    """The tensor of an image modality's encoded images."""
    return modality + BYTES


def _joined(names: Iterable[str]) -> str:
    return "_and_".join(names)
