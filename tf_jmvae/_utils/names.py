"""Names made of modalities' names: of subsets and directions, of signatures and their tensors."""

from collections.abc import Iterable

BYTES = "_bytes"  # encoded images, and signatures that read them; TF Serving's REST API requires this suffix
AS_UINT8 = "_as_uint8"
AS_PNG = "_as_png"
CELLS = "_as_cells"  # signatures on table cells
FILL = "fill" + CELLS  # the signature of expected values of all cells of a row
TEXT = "_text"  # classes by name, and texts
SPREAD = "_spread"  # stddev of numbers and counts, in their unit
PROBABILITY = "_probability"  # probability of a text
ENDINGS = (BYTES, AS_PNG, AS_UINT8, CELLS)  # in which no modality's name may end


def subset_name(modalities: Iterable[str]) -> str:
    """Returns the names of the modalities, joined by `_and_`."""
    return "_and_".join(modalities)


def of_given(what: str, given: Iterable[str]) -> str:
    """Returns `<what>_from_<given>`, of a verb or a target."""
    return f"{what}_from_{subset_name(given)}"


def edit(image: str, attributes: str) -> str:
    """Returns `edit_<image>_by_<attributes>`."""
    return f"edit_{image}_by_{attributes}"


def edit_inputs(attributes: str) -> tuple[str, str]:
    """Returns the names of the tensors of new attribute values and of the mask (1 or 0) of attributes to keep."""
    return f"{attributes}_changed", f"{attributes}_kept"


def encoded(modality: str) -> str:
    """Returns the name of the tensor of a modality's encoded images."""
    return modality + BYTES


def text(modality: str) -> str:
    """Returns the name of the tensor of a modality's class names or texts."""
    return modality + TEXT


def spread(modality: str) -> str:
    """Returns the name of the tensor of the stddev of a modality's numbers."""
    return modality + SPREAD


def probability(modality: str) -> str:
    """Returns the name of the tensor of the probabilities of a modality's texts."""
    return modality + PROBABILITY


def modality(tensor: str) -> str:
    """Returns the modality of a tensor of values or encoded images."""
    return tensor.removesuffix(BYTES)


def without_format(signature: str) -> str:
    """Returns the name of the signature with the same outputs in the model's own values."""
    return signature.removesuffix(AS_PNG).removesuffix(AS_UINT8)


def plain(signature: str) -> str:
    """Returns the name of the signature with the same inputs and outputs in the model's own values."""
    return without_format(signature.removesuffix(CELLS)).removesuffix(BYTES)
