"""A model of portraits and attributes whose every part is linear, so that edits have a closed form."""

import numpy as np

import tf_jmvae as tj

NAMES = ("Bald", "Eyeglasses", "Smiling", "Male")
SIZE, LATENT = 6, 2
_random = np.random.default_rng(0)
# z = x A + a;  w = z C + c;  z = w B + b;  x = z E + e, with x in a row.
A, B, C, E = (
    _random.normal(0, scale, shape)
    for scale, shape in (
        (0.1, (SIZE * SIZE * 3, LATENT)),
        (0.5, (4, LATENT)),
        (0.4, (LATENT, 4)),
        (0.3, (LATENT, SIZE * SIZE * 3)),
    )
)
OFFSETS = {
    name: _random.normal(0, 0.3, size)
    for name, size in (("a", LATENT), ("b", LATENT), ("c", 4), ("e", SIZE * SIZE * 3))
}
MEAN = _random.uniform(90, 150, (SIZE, SIZE, 3))
DEVIATION = _random.uniform(30, 60, (SIZE, SIZE, 3))


def portrait_model(cls=tj.JMVAEKL, *, preprocessing=None, **options):
    """`cls` over x `[6, 6, 3]`, standardised, and four attributes w; of a JMVAEKL, all parts are those above."""
    linear = {"encoder": tj.networks.mlp([]), "decoder": tj.networks.mlp([])}
    gaussian = tj.heads.Gaussian(variance=1.0)
    modalities = {
        "x": tj.Modality((SIZE, SIZE, 3), gaussian, standardized=True, preprocessing=preprocessing, **linear),
        "w": tj.Modality((len(NAMES),), gaussian, entry_names=NAMES, **linear),
    }
    model = cls(modalities, LATENT, **options)
    model.set_statistics("x", MEAN, DEVIATION)
    if cls is tj.JMVAEKL:
        for name, kernel, offset in (("x", A, "a"), ("w", B, "b")):
            model.subset_encoders[name].set_weights([kernel, OFFSETS[offset], np.zeros_like(kernel), np.zeros(LATENT)])
        for name, kernel, offset in (("x", E, "e"), ("w", C, "c")):
            model.decoders[name].set_weights([kernel, OFFSETS[offset]])
    return model


def attributes_of(portrait):
    """What the model must say of a uint8 portrait `[6, 6, 3]`."""
    x = ((portrait - MEAN) / DEVIATION).reshape(-1)
    return (x @ A + OFFSETS["a"]) @ C + OFFSETS["c"]


def edited(portrait, changes):
    """`x + x'_mean - x_mean` in grey levels: what does not depend on the attributes cancels."""
    difference = np.zeros(len(NAMES))
    for name, value in changes.items():
        difference[NAMES.index(name)] = value - attributes_of(portrait)[NAMES.index(name)]
    levels = portrait + DEVIATION * (difference @ B @ E).reshape(portrait.shape)
    return np.clip(levels, 0, 255)
