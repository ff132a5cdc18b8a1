"""Plan of the study of spoken digits: one model of an image, a recording and the label of a digit."""

from dataclasses import replace

from tf_jmvae.studies.study import Scale, Training

MODEL = "jmvae-kl"

_FULL = Scale(
    trainings={MODEL: Training(MODEL)},
    dataset="spoken-digits",
    suffix="-small",
    train_size=20_000,
    test_size=3000,
    num_steps=1,
    steps=(),
    figure_size=10,
    classifier={"epochs": 3, "rows": 20_000},
    validate_every=100,
)
SCALES = {
    "full": _FULL,
    "quick": replace(
        _FULL,
        epochs=1,
        settings={"steps_per_execution": 1},
        train_size=128,
        test_size=40,
        classifier={"epochs": 1, "rows": 60},
    ),
}
