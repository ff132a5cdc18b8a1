"""What the page calls things that results have short names for."""

from collections.abc import Mapping
from typing import Any

_SIDES = {"torch": "PyTorch", "pytorch": "PyTorch", "multivae": "MultiVae", "pixyz": "Pixyz"}
NETWORKS = {"mnist": "MNIST", "celeba": "CelebA"}


def side(name: str) -> str:
    """A contestant's name as it is written."""
    first, comma, options = name.partition(",")
    return _SIDES.get(first, first) + comma + options


def batch_name(key: str) -> str:
    """`mnist/128`, as it is written."""
    work, _, batch = key.partition("/")
    return f"{NETWORKS[work]}, batch {batch}"


def work_name(key: str) -> str:
    """`training/mnist/128`, or the evaluation, as it is written."""
    work, _, rest = key.partition("/")
    return f"training, {batch_name(rest)}" if work == "training" else "joint importance bound"


def processor_name(results: Mapping[str, Any]) -> str:
    """The processor that results by benchmark were measured on, with the instructions that it has for matrices."""
    facts = next(iter(results.values()))["processor"]
    return facts["name"] + (f" ({', '.join(facts['instructions'])})" if facts["instructions"] else "")
