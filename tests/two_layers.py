"""A hierarchy whose lower layer knows the label of a picture, q(z_1 | x), and whose upper one, q(z_2 | x), does not.

Models generate from z_2 down, so this one cannot tell labels apart: at the mean it says 0 of every picture, and draws
each with probability 1/3. To decode the mean of q(z_1 | x) would be right of every picture.
"""

import numpy as np

import tf_jmvae as tj

CLASSES = 3
PICTURES = 255 * np.repeat(np.eye(CLASSES, dtype=np.uint8)[:, :, None, None], CLASSES, axis=2)  # row k of picture k


def two_layers():
    """The model of x `[3, 3, 1]` and w `[3]`, with z_1 and z_2 of 3 entries each."""
    linear = {"encoder": tj.networks.mlp([]), "decoder": tj.networks.mlp([])}
    modalities = {
        "x": tj.Modality((CLASSES, CLASSES, 1), "bernoulli", **linear),
        "w": tj.Modality((CLASSES,), "categorical", **linear),
    }
    layers = {"layer_encoder": tj.networks.mlp([]), "layer_prior": tj.networks.mlp([])}
    model = tj.HierarchicalJMVAE(modalities, CLASSES, num_layers=2, **layers)
    unit, zeros = np.eye(CLASSES), np.zeros(CLASSES)
    rows = np.repeat(unit, CLASSES, axis=0) / CLASSES  # which row is lit
    observed = np.concatenate([rows, unit])  # by x, or by w
    sure, unsure = zeros - 8, zeros
    model.layer_heads[0].set_weights([8 * observed, zeros, 0 * observed, sure])  # q(z_1 | x, w)
    model.layer_heads[1].set_weights([0 * observed, zeros, 0 * observed, unsure])  # q(z_2 | x, w), the same for all
    model.layer_priors[0].set_weights([8 * unit, unit[0], 0 * unit, sure])  # p(z_1 | z_2)
    model.decoders["x"].set_weights([8 * np.repeat(unit, CLASSES, axis=1), np.zeros(CLASSES**2) - 4])
    model.decoders["w"].set_weights([4 * unit, zeros])
    return model
