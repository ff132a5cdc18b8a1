"""Plan of the study of incomplete rows: MNIST with few labels, and with separate images and labels.

The fraction of images with a label falls from all to 0.1%, equally many of each digit, for several seeds with different
rows. Each training on all rows is compared with one on the complete rows alone, with the same networks. Settings, and
the epochs with 1% of the labels, were chosen on 5,000 held-out training images.
"""

from collections.abc import Mapping
from dataclasses import replace

from tf_jmvae.studies.mnist.plan import MINIATURE
from tf_jmvae.studies.study import Scale, Training
from tf_jmvae.training import presets

# Fractions of images that keep their label, with the number of seeds.
FRACTIONS = {0.01: 5, 1.0: 1, 0.001: 1, 0.05: 1, 0.1: 1}
APART = 0.475  # fraction of rows that lack x, and of others that lack w
# Training data: all rows; all rows again with the confident labels of the first training filled in; once more with
# those of the second; and the complete rows alone.
WAYS = ("keep", "again", "twice", "drop")
_FILLED_BY = {"again": "keep", "twice": "again"}
_WEIGHT = 10.0  # weight of w
# By the fraction of labels: about 7,500 steps on all rows; more epochs on 600 complete rows do not improve accuracy.
_EPOCHS = {
    "keep": {0.001: 8, 0.01: 8, 0.05: 8, 0.1: 8, 1.0: 16},
    "again": {0.001: 16, 0.01: 16, 0.05: 16, 0.1: 16},
    "twice": {0.001: 16, 0.01: 16, 0.05: 16, 0.1: 16},
    "drop": {0.001: 1000, 0.01: 400, 0.05: 160, 0.1: 100},
}


def labelled(fraction: float, way: str, seed: int) -> str:
    """Returns the name of a training."""
    return f"labels-{fraction:g}-{way}-{seed}"


def _training(missing: dict[str, dict], way: str, seed: int, epochs: int, filled_by: str | None = None) -> Training:
    data = {"missing": missing, "incomplete": "drop" if way == "drop" else "keep"}
    label = {"optional": True, "weight": _WEIGHT}
    modalities = {"x": {"batch_norm": "encoder", "optional": "x" in missing}, "w": label}
    return Training("jmvae-kl", epochs, {"modalities": modalities}, data=data, filled_by=filled_by, seed=seed)


def trainings(fractions: Mapping[float, int]) -> dict[str, Training]:
    """Returns all trainings, the most informative first."""
    found = {}
    missing = {name: {"fraction": APART} for name in "xw"}
    for way in ("keep", "drop"):
        found[f"apart-{way}"] = _training(missing, way, 0, _EPOCHS[way].get(0.05))
    for fraction, seeds in fractions.items():
        missing = {"w": {"fraction": 1 - fraction, "balanced": True}}
        for seed in range(seeds):
            for way in WAYS if fraction < 1 else WAYS[:1]:
                before = labelled(fraction, _FILLED_BY[way], seed) if way in _FILLED_BY else None
                found[labelled(fraction, way, seed)] = _training(missing, way, seed, _EPOCHS[way][fraction], before)
    return found


_FULL = Scale(
    trainings=trainings(FRACTIONS),
    dataset="mnist",
    test_size=10_000,
    num_steps=1,
    steps=(),
    figure_size=0,
    importance_samples=50,
    classifier={"epochs": 3},
    validate_every=100,
)
SCALES = {
    "full": _FULL,
    "quick": replace(
        _FULL,
        trainings={
            name: replace(one, options=presets.merge(MINIATURE, one.options))
            for name, one in trainings({0.1: 2}).items()
        },
        dataset="digits",
        epochs=1,
        settings={"steps_per_execution": 1},
        train_size=400,
        test_size=40,
        importance_samples=5,
        classifier={"epochs": 1},
    ),
}
