"""Plan of the CelebA study and its scales: the models of Table 2, and JMVAE-kl with a GAN."""

from dataclasses import replace

from tf_jmvae.studies.study import Scale, Training
from tf_jmvae.training import presets

TRAININGS = {
    "jmvae-kl": Training("jmvae-kl"),
    "jmvae": Training("jmvae"),
    "hierarchical-jmvae": Training("hierarchical-jmvae"),
    "cvae-x": Training("cvae", options={"target": "x"}),
    "cvae-w": Training("cvae", options={"target": "w"}),
    "cmma-x": Training("cmma", options={"target": "x"}),
    "cmma-w": Training("cmma", options={"target": "w"}),
    "jmvae-kl-gan": Training("jmvae-kl-gan"),
}
# JMVAE without the weight of attributes that the small presets have.
UNWEIGHTED = "jmvae-unweighted"
_SMALL = {**TRAININGS, UNWEIGHTED: Training("jmvae", options={"modalities": {"w": {"weight": 1.0}}})}

# Models in miniature: as few layers as possible, because tracing them takes the time.
_MINIATURE = {
    "latent_dim": 8,
    "trunk": (16,),
    "modalities": {
        "x": {"encoder": {"filters": (8, 8), "units": ()}, "decoder": {"filters": (8,)}, "batch_norm": False},
        "w": {"encoder": (16,), "decoder": (16,), "batch_norm": False},
    },
}
_OF_KIND = {"jmvae-kl-gan": {"discriminator": {"filters": (8, 8), "units": (16,)}}}

_FULL = Scale(
    trainings=TRAININGS,
    dataset="celeba",
    num_steps=40,
    steps=(1, 2, 4, 8, 16, 32),
    figure_size=500,
    classifier={"epochs": 8, "channels": (32, 64, 128, 128)},
    validate_every=4,
)
SCALES = {
    "full": _FULL,
    "small": replace(_FULL, trainings=_SMALL, suffix="-small"),
    "quick": replace(
        _FULL,
        trainings={
            name: replace(one, options=presets.merge(_MINIATURE | _OF_KIND.get(one.kind, {}), one.options))
            for name, one in _SMALL.items()
        },
        suffix="-small",
        epochs=1,
        settings={"precision": "float32"},
        train_size=64,
        test_size=16,
        num_samples=2,
        num_steps=2,
        steps=(1, 2),
        figure_size=8,
        classifier={"epochs": 1, "channels": (4, 4, 8, 8)},
    ),
}
