"""Plan of the study of many modalities: five digits by JMVAE-kl in each form, and by MultiVae's models.

All models have the networks of the small preset, the same number of latents, and the same rows, epochs and batches. Our
settings were chosen on held-out training rows; those of MultiVae are its authors' settings for PolyMNIST.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tf_jmvae.data.five_digits import PICTURES
from tf_jmvae.studies.study import Scale, Training

VIEWS = tuple(PICTURES)
# Forms of JMVAE-kl by name. Pull has 5 or 30 KL terms, so alpha is smaller if they are more; follow does not need that.
# (An encoder per subset with separate towers costs eight times as much.)
FORMS = {
    "single-pull": {"subsets": "single", "subset_learning": "pull", "alpha": 0.1},
    "single-follow": {"subsets": "single", "subset_learning": "follow", "alpha": 1.0},
    "shared-pull": {"subsets": "shared", "subset_learning": "pull", "alpha": 0.02},
    "shared-follow": {"subsets": "shared", "subset_learning": "follow", "alpha": 1.0},
    "shared-flow": {"subsets": "shared", "subset_learning": "follow", "alpha": 1.0, "flow": 4, "flow_units": 128},
}
MISSING = (0.2, 0.5)  # fractions of missing views
BEST = "single-pull"  # the form that is trained on incomplete rows


@dataclass(frozen=True)
class PeerTraining:
    """Training of a model of MultiVae."""

    kind: str  # jmvae, jnf, mvtcae or mmvae
    missing: str | None = None  # our training with the same missing rows


def incomplete(way: str, fraction: float) -> str:
    """Returns the name of a training on incomplete rows: `way` is `keep`, `drop`, or one of MultiVae's models."""
    return f"missing-{fraction:g}-{way}"


def _trainings() -> dict[str, Training]:
    def options(form: str, **of_views: Any) -> dict[str, Any]:
        return {**FORMS[form], "modalities": dict.fromkeys(VIEWS, of_views)}

    found = {name: Training("jmvae-kl", None, options(name)) for name in FORMS}
    for fraction in MISSING:
        missing = {view: {"fraction": fraction} for view in VIEWS}
        for way in ("keep", "drop"):
            data = {"missing": missing, "incomplete": way, "complete_rows": 0.0}
            found[incomplete(way, fraction)] = Training("jmvae-kl", None, options(BEST, optional=True), data=data)
    return found


def _peers() -> dict[str, PeerTraining]:
    found = {f"multivae-{kind}": PeerTraining(kind) for kind in ("jmvae", "jnf", "mvtcae", "mmvae")}
    for fraction in MISSING:
        for kind in ("mvtcae", "mmvae"):
            found[incomplete(kind, fraction)] = PeerTraining(kind, missing=incomplete("keep", fraction))
    return found


@dataclass(frozen=True, kw_only=True)
class ManyScale(Scale):
    """Size of the study, with the peers' trainings."""

    peers: Mapping[str, PeerTraining]
    counts: tuple[int, ...] = (1, 2, 3, 4)  # numbers of given views
    resamples: int = 10  # bootstrap resamples for the standard error of each Frechet distance


_FULL = ManyScale(
    trainings=_trainings(),
    peers=_peers(),
    dataset="five-digits",
    suffix="-small",
    train_size=20_000,
    test_size=1000,
    num_steps=1,
    steps=(),
    figure_size=6,
    classifier={"epochs": 4, "rows": 24_000},
    validate_every=100,
)
_QUICK_PEERS = ("multivae-mmvae", incomplete("mmvae", MISSING[-1]))
_QUICK_TRAININGS = ("single-pull", "shared-flow", incomplete("keep", MISSING[-1]))
SCALES = {
    "full": _FULL,
    "quick": replace(
        _FULL,
        trainings={name: _FULL.trainings[name] for name in _QUICK_TRAININGS},
        peers={name: _FULL.peers[name] for name in _QUICK_PEERS},
        epochs=1,
        settings={"steps_per_execution": 1},
        train_size=128,
        test_size=40,
        counts=(1, 4),
        resamples=2,
        figure_size=2,
        classifier={"epochs": 1, "rows": 60},
    ),
}
