"""Names of signatures and of their tensors."""

from collections.abc import Iterable

BYTES = "_bytes"  # of an encoded image, and of a signature that reads some; TF Serving's REST API asks for this ending
AS_UINT8 = "_as_uint8"
AS_PNG = "_as_png"
CELLS = "_as_cells"  # of a signature that reads and gives what a table holds
FILL = "fill" + CELLS  # what a row of a table holds: everything, with what is expected in its gaps
TEXT = "_text"  # of a class by its name, and of a text
SPREAD = "_spread"  # of the standard deviation of numbers and counts, in their unit
PROBABILITY = "_probability"  # of a text


def of_given(verb: str, given: Iterable[str]) -> str:
    """`<verb>_from_<given>`."""
    return f"{verb}_from_{'_and_'.join(given)}"


def edit(image: str, attributes: str) -> str:
    """`edit_<image>_by_<attributes>`."""
    return f"edit_{image}_by_{attributes}"


def edit_inputs(attributes: str) -> tuple[str, str]:
    """The tensors of new values of attributes, and of which stay as the model sees them: 1 or 0."""
    return f"{attributes}_changed", f"{attributes}_kept"


def encoded(modality: str) -> str:
    """The tensor of an image modality's encoded images."""
    return modality + BYTES


def text(modality: str) -> str:
    """The tensor of a modality's classes by name, or of its texts."""
    return modality + TEXT


def spread(modality: str) -> str:
    """The tensor of the standard deviations of a modality's numbers."""
    return modality + SPREAD


def probability(modality: str) -> str:
    """The tensor of the probabilities of a modality's texts."""
    return modality + PROBABILITY


def modality(tensor: str) -> str:
    """The modality of a tensor, encoded or not."""
    return tensor.removesuffix(BYTES)


def without_format(signature: str) -> str:
    """The signature that gives the same with images in the model's own values."""
    return signature.removesuffix(AS_PNG).removesuffix(AS_UINT8)


def plain(signature: str) -> str:
    """The signature that gives the same in the model's own values, and reads them."""
    return without_format(signature.removesuffix(CELLS)).removesuffix(BYTES)
