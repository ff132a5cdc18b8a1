"""MultiVae's side of `importance_sampling.py`, in a process of its own: PyTorch and TensorFlow do not share one.

Reads an `.npz` of weights and images, then scores the images once for every line that comes in.
"""

import json
import sys
import time
from importlib import metadata

import numpy as np
import torch
from layers import linear, mlp
from multivae.data import MultimodalBaseDataset
from multivae.models import JMVAE, JMVAEConfig
from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput
from multivae.models.nn import BaseJointEncoder
from torch import nn

LATENT_DIM = 64


class Encoder(BaseJointEncoder):
    """A tower per modality, then the Gaussian head; its last four weights are those of the head."""

    def __init__(self, towers: dict[str, list[np.ndarray]], head: list[np.ndarray]):
        super().__init__()
        self.latent_dim = LATENT_DIM
        self.towers = nn.ModuleDict({name: mlp(weights) for name, weights in towers.items()})
        self.mean, self.variance = linear(*head[:2]), linear(*head[2:])

    def forward(self, x):
        h = torch.cat([tower(x[name]) for name, tower in self.towers.items()], dim=-1)
        log_variance = torch.log(nn.functional.softplus(self.variance(h)))
        return ModelOutput(embedding=self.mean(h), log_covariance=log_variance)


class Single(BaseEncoder):
    """Never called here, but the model wants one for each modality."""

    def __init__(self):
        super().__init__()
        self.latent_dim = LATENT_DIM


class Decoder(BaseDecoder):
    def __init__(self, weights: list[np.ndarray]):
        super().__init__()
        self.latent_dim = LATENT_DIM
        self.network = nn.Sequential(mlp(weights[:-2]), linear(*weights[-2:]))

    def forward(self, z):
        return ModelOutput(reconstruction=self.network(z))


def main() -> None:
    arrays = np.load(sys.argv[1])
    samples = int(sys.argv[2])

    def weights(prefix: str) -> list[np.ndarray]:
        count = sum(name.startswith(f"{prefix}/") for name in arrays)
        return [arrays[f"{prefix}/{index}"] for index in range(count)]

    torch.manual_seed(0)
    config = JMVAEConfig(
        n_modalities=2,
        latent_dim=LATENT_DIM,
        input_dims={"x": (784,), "w": (10,)},
        decoders_dist={"x": "bernoulli", "w": "categorical"},
    )
    model = JMVAE(
        config,
        encoders={name: Single() for name in "xw"},
        decoders={name: Decoder(weights(f"decoder/{name}")) for name in "xw"},
        joint_encoder=Encoder({name: weights(f"tower/{name}") for name in "xw"}, weights("head")),
    )
    data = MultimodalBaseDataset({name: torch.tensor(arrays[name]) for name in "xw"})
    print(json.dumps({name: metadata.version(name) for name in ("multivae", "torch")}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        with torch.no_grad():
            total = float(model.compute_joint_nll(data, K=samples))
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "mean": -total / len(arrays["x"])}), flush=True)


if __name__ == "__main__":
    main()
