"""Memory: bounded by the widest layer, whatever the numbers of samples, chains and ways down are."""

import json

import forked
import memory_jobs
import pytest

import tf_jmvae as tj
from tf_jmvae.evaluation import samples


def test_sixty_thousand_z_do_not_stand_in_memory_at_once(tmp_path):
    """In one tensor of 512 hidden units they would take 120 MiB, and there are a dozen such tensors."""
    code, printed = forked.run(memory_jobs.of_estimates, tmp_path / "grown", log=tmp_path / "log")
    assert code == 0, printed[-2000:]
    grown = json.loads((tmp_path / "grown").read_text())
    assert len(grown) == 3
    assert max(grown) < 250, grown  # bounded they take 170 MiB, at once 500


def _modalities(hidden):
    wide = {"encoder": tj.networks.mlp([16]), "decoder": tj.networks.mlp(hidden)}
    return {"x": tj.Modality((7, 5), "bernoulli", **wide), "w": tj.Modality((10,), "categorical", **wide)}


@pytest.mark.parametrize("cls", [tj.JMVAE, tj.JMVAEKL, tj.HierarchicalJMVAE])
@pytest.mark.parametrize(
    ("hidden", "latent_dim", "names", "widest"),
    [([64], 3, "xw", 64), ([], 3, "xw", 35), ([12], 3, "w", 12), ([8], 50, "w", 50)],
)
def test_the_rows_are_counted_by_the_widest_of_events_z_and_layers(cls, hidden, latent_dim, names, widest):
    options = {"layer_encoder": tj.networks.mlp([4]), "layer_prior": tj.networks.mlp([4])}
    model = cls(_modalities(hidden), latent_dim, **(options if cls is tj.HierarchicalJMVAE else {}))
    if cls is tj.HierarchicalJMVAE:
        widest = max(widest, 2 * latent_dim)  # both layers of z
    assert samples.max_rows(model, names) == 2**23 // widest


@pytest.mark.parametrize("cls", [tj.CVAE, tj.CMMA])
def test_the_rows_of_one_way_models_are_counted_too(cls):
    # The decoder of a CVAE reads z beside the features of w.
    model = cls(_modalities([64]), 3, target="x")
    assert samples.max_rows(model, "x") == 2**23 // 64


def test_encoders_count_where_every_z_is_encoded():
    modalities = _modalities([64])
    modalities["x"] = tj.Modality((7, 5), "bernoulli", encoder=tj.networks.mlp([300]), decoder=tj.networks.mlp([64]))
    model = tj.JMVAE(modalities, 3)
    assert samples.max_rows(model, "w") == 2**23 // 64
    assert samples.max_rows(model, "w", encodes=True) == 2**23 // 316  # both towers side by side


def test_the_paper_s_mnist_networks_decode_as_many_z_as_images_of_784_pixels_allow():
    assert samples.max_rows(tj.from_preset("mnist-jmvae-kl"), "xw") == 2**23 // 784
