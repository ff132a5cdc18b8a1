"""Operations counted by hand from the paper's description of the networks."""

from collections import Counter

import flops
import keras_side
import numpy as np
import products
import pytest

import tf_jmvae as tj


def test_mnist_by_hand():
    """Section 4.2.1: towers D512R-D512R, z of 64, decoders D512R-D512R."""
    towers = {"x": (784 * 512, 512 * 512), "w": (10 * 512, 512 * 512)}
    forward_and_back = 0
    for first, second in [towers["x"], towers["w"]] * 2:  # of the joint encoder, and of the two others
        forward_and_back += 2 * first + 3 * second  # data need no gradient
    forward_and_back += 3 * 2 * (1024 * 64 + 512 * 64 + 512 * 64)  # mean and variance of three encoders
    for outputs in (784, 10):
        forward_and_back += 3 * (64 * 512 + 512 * 512 + 512 * outputs)
    model = keras_side.make("mnist-jmvae-kl")
    assert flops.training_flops(model) == 2 * forward_and_back


def test_convolutions_by_hand():
    """C8R-C16R on 16x16x3, and back by D128-DC8-DC3 from 4x4x8: 4x4 kernels of stride 2."""
    image = tj.Modality(
        (16, 16, 3),
        tj.heads.Gaussian(variance=1.0, projection=tj.networks.upsampling(3)),
        encoder=tj.networks.conv_encoder((8, 16)),
        decoder=tj.networks.conv_decoder((8,), start=(4, 4)),
    )
    label = tj.Modality((5,), "categorical", encoder=tj.networks.mlp([6]), decoder=tj.networks.mlp([6]))
    model = tj.models.JMVAEKL({"x": image, "w": label}, 7)
    layers = Counter(flops.layers(model))
    expected = {
        flops.Layer(8 * 8, 4 * 4 * 3, 8, reads_data=True): 2,  # each pixel of the output reads a patch
        flops.Layer(4 * 4, 4 * 4 * 8, 16): 2,
        flops.Layer(1, 5, 6, reads_data=True): 2,
        flops.Layer(1, 4 * 4 * 16 + 6, 7): 2,
        flops.Layer(1, 4 * 4 * 16, 7): 2,
        flops.Layer(1, 6, 7): 2,
        flops.Layer(1, 7, 4 * 4 * 8): 1,
        flops.Layer(4 * 4, 8, 4 * 4 * 8): 1,  # each pixel of the input writes a patch
        flops.Layer(8 * 8, 8, 4 * 4 * 3): 1,
        flops.Layer(1, 7, 6): 1,
        flops.Layer(1, 6, 5): 1,
    }
    assert layers == expected
    total = sum(product.flops for product in flops.training_products(model, 3))
    assert total == 3 * flops.training_flops(model)


def test_shared_towers_by_hand():
    """Towers D6 of 5 and of 4 entries, for all and for the two subsets, whose hidden layers have 7 units; z has 7."""
    modalities = {
        name: tj.Modality((size,), "gaussian", encoder=tj.networks.mlp([6]), decoder=tj.networks.mlp([]))
        for name, size in (("x", 5), ("w", 4))
    }
    towers = 2 * 2 * (5 * 6 + 4 * 6)
    heads = 3 * (2 * 12 * 7 + 2 * 6 * 7 + 2 * 7 * 14 + 2 * 7 * (5 + 4))
    assert flops.training_flops(tj.models.JMVAEKL(modalities, 7, subsets="shared")) == 2 * (towers + heads)


def test_limit_by_hand():
    large, small = flops.Product(10, 100, 1000), flops.Product(1, 1, 500)  # 2e6 and 1e3 operations
    rates = {"10x100x1000": {"a": {"median": 1.0}, "b": {"median": 2.0}}}  # GFLOP/s
    found = products.limit(Counter({large: 2, small: 4}), 8, rates)
    assert found == pytest.approx(8 / ((4e6 + 4e3) / 2e9))  # the small ones at the rate of the large


def test_weights_go_out_and_come_back():
    model, other = (keras_side.make("digits-jmvae-kl", seed=seed) for seed in (0, 1))
    batch = keras_side.random_batch(model, 3)
    bounds = [keras_side.bound_at_mean(one, batch) for one in (model, other)]
    assert abs(bounds[0] - bounds[1]) > 1e-3
    keras_side.set_arrays(other, keras_side.arrays(model))
    np.testing.assert_allclose(keras_side.bound_at_mean(other, batch), bounds[0], rtol=1e-6)
