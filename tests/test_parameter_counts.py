"""Section 3.5 of the paper: how many parameters the encoders have, with M for each network."""

import keras
import numpy as np
import pytest

import tf_jmvae as tj


def _square_modality(size):
    return tj.Modality((size,), "bernoulli", encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))


def _size(layers):
    return sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables)


@pytest.mark.parametrize("num_modalities", [2, 3, 4])
def test_encoder_parameters_follow_section_3_5(num_modalities):
    k, m = num_modalities, 8 * 4 + 4
    modalities = {f"m{i}": _square_modality(8) for i in range(k)}
    jmvae, full = tj.JMVAE(modalities, 2), tj.JMVAEKL(modalities, 2)
    single = tj.JMVAEKL(modalities, 2, subsets="single")
    assert _size([jmvae.encoder.towers]) == k * m
    assert _size(e.towers for e in [full.encoder, *full.subset_encoders.values()]) == 2 ** (k - 1) * k * m
    assert _size(e.towers for e in [single.encoder, *single.subset_encoders.values()]) == 2 * k * m


@pytest.mark.parametrize("num_modalities", [2, 3, 4])
def test_one_way_models_have_a_tower_for_each_modality_and_another_for_each_given_one(num_modalities):
    k, m = num_modalities, 8 * 4 + 4
    modalities = {f"m{i}": _square_modality(8) for i in range(k)}
    cvae, cmma = tj.CVAE(modalities, 2, target="m0"), tj.CMMA(modalities, 2, target="m0")
    assert _size([cvae.encoder.towers, cvae.decoders["m0"].towers]) == (2 * k - 1) * m
    assert _size([cmma.encoder.towers, cmma.prior_encoder.towers]) == (2 * k - 1) * m


@pytest.mark.parametrize("num_layers", [1, 2, 4])
def test_hierarchical_encoder_parameters_follow_section_3_5(num_layers):
    """Towers and layers are all 8 -> 8, so that each has the same M parameters."""
    m = 8 * 8 + 8
    modality = tj.Modality((8,), "bernoulli", encoder=tj.networks.mlp([8]), decoder=tj.networks.mlp([4]))
    trunk = keras.layers.AveragePooling1D(2)  # halves the 16 joined features to 8, without parameters
    trunk = keras.Sequential([keras.layers.Reshape((16, 1)), trunk, keras.layers.Flatten()])
    model = tj.HierarchicalJMVAE(
        {"a": modality, "b": modality}, 2, num_layers=num_layers, layer_encoder=tj.networks.mlp([8]), trunk=trunk
    )
    assert _size([model.towers, *model.layer_networks]) == (2 + num_layers - 1) * m
