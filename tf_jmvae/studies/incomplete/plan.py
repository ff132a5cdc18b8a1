"""What the study of incomplete rows trains: MNIST with few labels, and with images and labels that are apart.

The fraction of images that keep their label falls from all to 0.1%, as many of each digit, for several seeds, of which
each draws rows of its own. Beside each training on all rows stands one on the complete rows alone, with the same
networks. Settings, and the epochs with 1% of the labels, were chosen on 5,000 training images that were held out.
"""

from collections.abc import Mapping
from dataclasses import replace

from tf_jmvae.studies.mnist.plan import MINIATURE
from tf_jmvae.studies.study import Scale, Training
from tf_jmvae.training import presets

# Of the images that keep their label, with the number of seeds.
FRACTIONS = {0.01: 5, 1.0: 1, 0.001: 1, 0.05: 1, 0.1: 1}
APART = 0.475  # of the rows lack x, and as many others w
# What is trained on: all rows; all rows again, with the labels filled in of which the first training is sure; once
# more, with those of which the second is; and the complete rows alone.
WAYS = ("keep", "again", "twice", "drop")
_FILLED_BY = {"again": "keep", "twice": "again"}
_WEIGHT = 10.0  # of w
# By the fraction of labels: of all rows 7,500 steps or so; of 600 complete rows more epochs name no more digits.
_EPOCHS = {
    "keep": {0.001: 8, 0.01: 8, 0.05: 8, 0.1: 8, 1.0: 16},
    "again": {0.001: 16, 0.01: 16, 0.05: 16, 0.1: 16},
    "twice": {0.001: 16, 0.01: 16, 0.05: 16, 0.1: 16},
    "drop": {0.001: 1000, 0.01: 400, 0.05: 160, 0.1: 100},
}


def labelled(fraction: float, way: str, seed: int) -> str:
    """The name of a training."""
    return f"labels-{fraction:g}-{way}-{seed}"


def _training(missing: dict[str, dict], way: str, seed: int, epochs: int, filled_by: str | None = None) -> Training:
    data = {"missing": missing, "incomplete": "drop" if way == "drop" else "keep"}
    label = {"optional": True, "weight": _WEIGHT}
    modalities = {"x": {"batch_norm": "encoder", "optional": "x" in missing}, "w": label}
    return Training("jmvae-kl", epochs, {"modalities": modalities}, data=data, filled_by=filled_by, seed=seed)


def trainings(fractions: Mapping[float, int]) -> dict[str, Training]:
    """All of them, those that say most first."""
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
