"""Memory: bounded by the widest layer, whatever the numbers of samples, chains and ways down are."""

import os
import pathlib
import subprocess
import sys

import pytest

import tf_jmvae as tj
from tf_jmvae.evaluation import samples

SCRIPT = """
import resource, sys
import numpy as np
import tf_jmvae as tj
from tf_jmvae.evaluation import *

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # MiB

modalities = {"a": tj.Modality((3,), "gaussian"), "b": tj.Modality((4,), "categorical")}
model, hierarchical = (kind(modalities, 8) for kind in (tj.JMVAEKL, tj.HierarchicalJMVAE))

def data(size):
    return {"a": np.zeros((size, 3), np.float32), "b": np.eye(4, dtype=np.float32)[np.arange(size) % 4]}

def joint(size, num_samples):
    joint_log_likelihood(model, data(size), num_samples=num_samples, verbose=0)

def nested(size, num_samples):
    options = {"target": "a", "given": "b", "num_samples": num_samples}
    options["iterated_sampling"] = tj.IteratedSampling(num_chains=1)
    conditional_log_likelihood(hierarchical, data(size), **options, verbose=0)

def coherence(size, num_samples):
    conditional_coherence(model, data(size), target="b", given="b", num_samples=num_samples, verbose=0)

for estimate in (joint, nested, coherence):
    estimate(2, 2)
before = peak()
for estimate, size, num_samples in ((joint, 60, 1000), (nested, 1, 250), (coherence, 300, 200)):
    estimate(size, num_samples)
    print(peak() - before)
"""


def test_sixty_thousand_z_do_not_stand_in_memory_at_once():
    """In one tensor of 512 hidden units they would take 120 MiB, and there are a dozen such tensors."""
    paths = [str(pathlib.Path(tj.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    grown = [float(line) for line in done.stdout.splitlines()]
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
