"""What reports and figures call the models and the columns of Tables 1 and 2."""

__all__ = ["COLUMN_TITLES", "TITLES"]

TITLES = {
    "cvae": "CVAE, x completed by iterated sampling",
    "cvae-prior": "CVAE, z ~ p(z)",
    "cmma": "CMMA",
    "jmvae": "JMVAE",
    "jmvae-kl": "JMVAE-kl",
    "jmvae-kl-0.1": "JMVAE-kl, alpha 0.1",
    "hierarchical-jmvae": "hierarchical JMVAE",
}
COLUMN_TITLES = {
    "x-given-w": "log p(x \\| w)",
    "w-given-x": "log p(w \\| x)",
    "x-given-xw": "log p(x \\| w, x)",
    "w-given-xw": "log p(w \\| w, x)",
}
