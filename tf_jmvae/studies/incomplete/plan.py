"""What the study of incomplete rows trains: MNIST with few labels, and with images and labels that are apart.

The fraction of images that keep their label falls from all to 0.1%, as many of each digit, for several seeds, of which
each draws rows of its own. Beside each training on all rows stands one on the complete rows alone, with the same
networks and settings of its own. Settings were chosen on 5,000 training images that were held out.
"""

from dataclasses import replace

from tf_jmvae.studies.study import Scale, Training

# Of the images that keep their label, with the number of seeds.
FRACTIONS = {0.01: 5, 1.0: 3, 0.001: 3, 0.05: 3, 0.1: 3}
APART = 0.475  # of the rows lack x, and as many others w
EPOCHS = {"keep": 16, "drop": 16}
_NETWORK = {"batch_norm": True}


def labelled(fraction: float, incomplete: str, seed: int) -> str:
    """The name of a training on all rows, `"keep"`, or on the complete ones, `"drop"`."""
    return f"labels-{fraction:g}-{incomplete}-{seed}"


def _training(missing: dict[str, dict], incomplete: str, seed: int, epochs: int | None = None) -> Training:
    data = {"missing": missing, "missing_seed": seed, "incomplete": incomplete}
    modalities = {"x": _NETWORK | {"optional": "x" in missing}, "w": _NETWORK | {"optional": True}}
    return Training("jmvae-kl", epochs or EPOCHS[incomplete], {"modalities": modalities}, data=data, seed=seed)


def trainings(fractions: dict[float, int]) -> dict[str, Training]:
    """All of them, those that say most first."""
    found = {}
    for incomplete in ("keep", "drop"):
        missing = {name: {"fraction": APART} for name in "xw"}
        found[f"apart-{incomplete}"] = _training(missing, incomplete, 0)
    for fraction, seeds in fractions.items():
        missing = {"w": {"fraction": 1 - fraction, "balanced": True}}
        for seed in range(seeds):
            for incomplete in ("keep", "drop") if fraction < 1 else ("keep",):
                found[labelled(fraction, incomplete, seed)] = _training(missing, incomplete, seed)
    return found


_FULL = Scale(
    trainings=trainings(FRACTIONS),
    dataset="mnist",
    test_size=10_000,
    num_steps=1,
    steps=(),
    figure_size=0,
    importance_samples=200,
    classifier={"epochs": 3},
    validate_every=100,
)
SCALES = {
    "full": _FULL,
    "quick": replace(
        _FULL,
        trainings=trainings({0.1: 2}),
        dataset="digits",
        epochs=1,
        settings={"steps_per_execution": 1},
        train_size=400,
        test_size=40,
        importance_samples=5,
        classifier={"epochs": 1},
    ),
}
