"""Training steps of the peers of `training.py`, in a process of their own: PyTorch and TensorFlow do not share one.

For every line of JSON that comes in, trains for as long as it says and answers with examples per second. All train the
paper's JMVAE-kl, alpha 1, on random binary images and labels in memory, shuffled and cut into batches.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import metadata

import torch
from torch import nn
from torch.nn import functional

LATENT_DIM = 64
EXAMPLES = 20_480
STEP = Callable[[torch.Tensor, torch.Tensor], None]


def mlp(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())


class Gaussian(nn.Module):
    """Towers, then mean and variance."""

    def __init__(self, *sizes: int):
        super().__init__()
        self.towers = nn.ModuleList(mlp(size) for size in sizes)
        self.mean = nn.Linear(512 * len(sizes), LATENT_DIM)
        self.raw_variance = nn.Linear(512 * len(sizes), LATENT_DIM)

    def forward(self, *values):
        h = torch.cat([tower(value) for tower, value in zip(self.towers, values, strict=True)], dim=-1)
        return self.mean(h).float(), functional.softplus(self.raw_variance(h).float()) + 1e-6


def kl(mean_q, variance_q, mean_p, variance_p):
    ratio = variance_q / variance_p
    return 0.5 * (ratio + (mean_q - mean_p) ** 2 / variance_p - 1 - ratio.log()).sum(-1)


class JMVAEKL(nn.Module):
    """By hand, as one who knows PyTorch would write it: the loss of a batch."""

    def __init__(self):
        super().__init__()
        self.joint, self.x, self.w = Gaussian(784, 10), Gaussian(784), Gaussian(10)
        self.decoder_x = nn.Sequential(mlp(LATENT_DIM), nn.Linear(512, 784))
        self.decoder_w = nn.Sequential(mlp(LATENT_DIM), nn.Linear(512, 10))

    def forward(self, x, w):
        mean, variance = self.joint(x, w)
        z = mean + variance.sqrt() * torch.randn_like(mean)
        log_p = -functional.binary_cross_entropy_with_logits(self.decoder_x(z).float(), x, reduction="none").sum(-1)
        log_p += (w * functional.log_softmax(self.decoder_w(z).float(), dim=-1)).sum(-1)
        divergence = kl(mean, variance, torch.zeros_like(mean), torch.ones_like(variance))
        divergence += kl(mean, variance, *self.x(x)) + kl(mean, variance, *self.w(w))
        return (divergence - log_p).mean()


def by_hand(*, compiled: bool, precision: str) -> STEP:
    model = JMVAEKL()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss = torch.compile(model) if compiled else model

    def step(x, w):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            value = loss(x, w)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()

    return step


def multivae() -> STEP:
    from multivae.data import MultimodalBaseDataset
    from multivae.models import JMVAE, JMVAEConfig
    from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput
    from multivae.models.nn import BaseJointEncoder

    class Single(BaseEncoder):
        def __init__(self, size):
            super().__init__()
            self.latent_dim = LATENT_DIM
            self.network = Gaussian(size)

        def forward(self, x):
            mean, variance = self.network(x)
            return ModelOutput(embedding=mean, log_covariance=variance.log())

    class Joint(BaseJointEncoder):
        def __init__(self):
            super().__init__()
            self.latent_dim = LATENT_DIM
            self.network = Gaussian(784, 10)

        def forward(self, x):
            mean, variance = self.network(x["x"], x["w"])
            return ModelOutput(embedding=mean, log_covariance=variance.log())

    class Decoder(BaseDecoder):
        def __init__(self, size):
            super().__init__()
            self.latent_dim = LATENT_DIM
            self.network = nn.Sequential(mlp(LATENT_DIM), nn.Linear(512, size))

        def forward(self, z):
            return ModelOutput(reconstruction=self.network(z))

    config = JMVAEConfig(
        n_modalities=2,
        latent_dim=LATENT_DIM,
        input_dims={"x": (784,), "w": (10,)},
        decoders_dist={"x": "bernoulli", "w": "categorical"},
        alpha=1.0,
        warmup=0,
    )
    sizes = {"x": 784, "w": 10}
    model = JMVAE(
        config,
        encoders={name: Single(size) for name, size in sizes.items()},
        decoders={name: Decoder(size) for name, size in sizes.items()},
        joint_encoder=Joint(),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(x, w):
        value = model(MultimodalBaseDataset({"x": x, "w": w}), epoch=1).loss
        optimizer.zero_grad()
        value.backward()
        optimizer.step()

    return step


def pixyz() -> STEP:
    from pixyz.distributions import Bernoulli, Categorical, Normal
    from pixyz.losses import KullbackLeibler
    from pixyz.models import VAE

    class Posterior(Normal):
        def __init__(self, names, sizes, name):
            super().__init__(var=["z"], cond_var=names, name=name)
            self.network = Gaussian(*sizes)
            self.names = names

        def forward(self, **values):
            mean, variance = self.network(*[values[name] for name in self.names])
            return {"loc": mean, "scale": variance.sqrt()}

    class Image(Bernoulli):
        def __init__(self):
            super().__init__(var=["x"], cond_var=["z"], name="p")
            self.network = nn.Sequential(mlp(LATENT_DIM), nn.Linear(512, 784))

        def forward(self, z):
            return {"probs": torch.sigmoid(self.network(z))}

    class Label(Categorical):
        def __init__(self):
            super().__init__(var=["w"], cond_var=["z"], name="p")
            self.network = nn.Sequential(mlp(LATENT_DIM), nn.Linear(512, 10))

        def forward(self, z):
            return {"probs": torch.softmax(self.network(z), dim=-1)}

    joint = Posterior(["x", "w"], [784, 10], "q")
    q_x, q_w = Posterior(["x"], [784], "q_x"), Posterior(["w"], [10], "q_w")
    prior = Normal(
        loc=torch.tensor(0.0), scale=torch.tensor(1.0), var=["z"], features_shape=[LATENT_DIM], name="p_prior"
    )
    regularizer = KullbackLeibler(joint, prior) + KullbackLeibler(joint, q_x) + KullbackLeibler(joint, q_w)
    model = VAE(
        joint,
        Image() * Label(),
        other_distributions=[q_x, q_w],
        regularizer=regularizer,
        optimizer=torch.optim.Adam,
        optimizer_params={"lr": 1e-3},
    )
    return lambda x, w: model.train({"x": x, "w": w})


MAKE = {
    "multivae": multivae,
    "pixyz": pixyz,
    "pytorch": lambda: by_hand(compiled=False, precision="float32"),
    "pytorch, compiled": lambda: by_hand(compiled=True, precision="float32"),
    "pytorch, bfloat16": lambda: by_hand(compiled=False, precision="bfloat16"),
    "pytorch, compiled, bfloat16": lambda: by_hand(compiled=True, precision="bfloat16"),
}


def batches(probabilities: torch.Tensor, labels: torch.Tensor, size: int):
    while True:
        order = torch.randperm(len(labels))
        for index in order[: len(order) // size * size].view(-1, size):
            yield torch.bernoulli(probabilities[index]), labels[index]


def main() -> None:
    torch.manual_seed(0)
    probabilities = torch.rand(EXAMPLES, 784)
    labels = functional.one_hot(torch.randint(10, (EXAMPLES,)), 10).float()
    print(json.dumps({name: metadata.version(name) for name in ("torch", "multivae", "pixyz")}), flush=True)
    steps = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = request["name"], request["batch"]
        if key not in steps:
            steps[key] = MAKE[request["name"]](), batches(probabilities, labels, request["batch"])
            for _ in range(5):
                steps[key][0](*next(steps[key][1]))
        step, source = steps[key]
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < request["seconds"]:
            step(*next(source))
            count += request["batch"]
        print(json.dumps({"examples_per_second": count / (time.perf_counter() - start)}), flush=True)


if __name__ == "__main__":
    main()
