"""The page of the CelebA study, with the paper's numbers beside ours."""

import functools

from tf_jmvae.studies.celeba.measurements import CLASSIFIED
from tf_jmvae.studies.celeba.plan import UNWEIGHTED
from tf_jmvae.studies.pages import TITLES, Table, render

__all__ = ["page"]

# The authors' code averaged the image's log-likelihood over the 3 channels.
_TABLE_2 = Table(
    "table-2",
    {
        "cvae": (-6825, -44.28, -4031, -44.28),
        "cmma": (-6920, -44.57, -4026, -38.74),
        "jmvae": (-48763, -43.97, -4026, -43.43),
        "jmvae-kl": (-6852, -44.13, -4089, -43.83),
        "hierarchical-jmvae": (-7355, -47.61, -4901, -47.32),
    },
    digits=(1, 3),
    channels=3,
)
_TITLES = TITLES | {"jmvae-kl-gan": "JMVAE-kl + GAN", UNWEIGHTED: "JMVAE, attributes not weighted"}

# The page of a record as `results/celeba.json` has it.
page = functools.partial(
    render,
    "celeba",
    table=_TABLE_2,
    titles=_TITLES | {"majority": "majority of the training images"},
    # The same where the classifier looks at images of the models and at real ones.
    classified=_TITLES | {"real": "real images", "cmma-x": "CMMA", "cvae-x": "CVAE, z at the mean of p(z)"},
    iterated=[name for name, iterates in CLASSIFIED.items() if iterates],
    named=("Male", "Smiling", "Eyeglasses", "Bald", "Blond_Hair"),
)
