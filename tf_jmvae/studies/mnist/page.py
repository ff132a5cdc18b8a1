"""The page of the MNIST study, with the paper's numbers beside ours."""

import functools

from tf_jmvae.studies.pages import TITLES, Table, render

__all__ = ["IMPORTANCE", "page"]

# arXiv 1611.01891 for log p(x, w); for log p(x) that paper's value as MultiVae's documentation compares with it.
IMPORTANCE = {
    "jmvae/joint": ("JMVAE", "log p(x, w)", "q(z \\| x, w)", -86.96),
    "jmvae/x-joint": ("JMVAE", "log p(x)", "q(z \\| x, w)", None),
    "jmvae-kl/joint": ("JMVAE-kl, alpha 1", "log p(x, w)", "q(z \\| x, w)", -89.28),
    "jmvae-kl/x-own": ("JMVAE-kl, alpha 1", "log p(x)", "q(z \\| x)", None),
    "jmvae-kl-0.1/joint": ("JMVAE-kl, alpha 0.1", "log p(x, w)", "q(z \\| x, w)", -86.93),
    "jmvae-kl-0.1/x-joint": ("JMVAE-kl, alpha 0.1", "log p(x)", "q(z \\| x, w)", -86.86),
    "jmvae-kl-0.1/x-own": ("JMVAE-kl, alpha 0.1", "log p(x)", "q(z \\| x)", -86.86),
    "jmvae-kl-0.1/x-given-w": ("JMVAE-kl, alpha 0.1", "log p(x \\| w)", "q(z \\| x, w)", None),
}
_TABLE_1 = Table(
    "table-1",
    {
        "cvae": (-448.8, -5.293, -70.42, -5.304),
        "cmma": (-451.1, -0.2971, -69.89, -0.002574),
        "jmvae": (-747.1, -0.2286, -69.57, -0.2026),
        "jmvae-kl": (-422.35, -0.2628, -76.94, -0.1874),
        "hierarchical-jmvae": (-475.5, -2.640, -196.9, -0.4456),
    },
    digits=(2, 4),
)

# The page of a record as `results/mnist.json` has it.
page = functools.partial(render, "mnist", table=_TABLE_1, importance=IMPORTANCE, titles=TITLES)
