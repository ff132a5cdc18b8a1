"""Plan of the MNIST study and its scales: the models of Table 1, Figure 5 and arXiv 1611.01891."""

from dataclasses import replace

from tf_jmvae.studies.study import Scale, Training
from tf_jmvae.training import presets

TRAININGS = {
    "jmvae-kl-0.1": Training("jmvae-kl", 200, {"alpha": 0.1}),
    "jmvae-kl-flow": Training("jmvae-kl", 60, {"subset_learning": "follow", "flow": 8}, joint_from="jmvae-kl-0.1"),
    "jmvae-kl": Training("jmvae-kl", 60),
    "jmvae": Training("jmvae", 60),
    "hierarchical-jmvae": Training("hierarchical-jmvae", 60),
    "cvae-x": Training("cvae", 25, {"target": "x"}),
    "cvae-w": Training("cvae", 12, {"target": "w"}),
    "cmma-x": Training("cmma", 25, {"target": "x"}),
    "cmma-w": Training("cmma", 12, {"target": "w"}),
    "jmvae-2d": Training("jmvae", 15, {"latent_dim": 2}),
    "hierarchical-jmvae-2d": Training("hierarchical-jmvae", 15, {"latent_dim": 2}),
    "jmvae-kl-2d": Training("jmvae-kl", 15, {"latent_dim": 2}),
}

# Models in miniature: one layer per network, because making, saving and loading layers takes the time.
MINIATURE = {"modalities": {name: {"encoder": (16,), "decoder": (16,)} for name in "xw"}}

_FULL = Scale(
    trainings=TRAININGS,
    dataset="mnist",
    settings={"steps_per_execution": 7},
    test_size=10_000,
    num_steps=100,
    steps=(1, 2, 4, 8, 16, 32, 64, 128),
    figure_size=2000,
    importance_samples=1000,
    classifier={"epochs": 3},
    validate_every=10,
)
SCALES = {
    "full": _FULL,
    "quick": replace(
        _FULL,
        trainings={
            name: replace(one, options=presets.merge(MINIATURE, one.options)) for name, one in TRAININGS.items()
        },
        dataset="digits",
        epochs=1,
        settings={"steps_per_execution": 1},
        train_size=128,
        test_size=40,
        num_samples=2,
        num_steps=2,
        steps=(1, 2),
        figure_size=20,
        importance_samples=10,
        classifier={"epochs": 1},
    ),
}
