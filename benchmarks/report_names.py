"""What the page calls things that results have short names for."""

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
