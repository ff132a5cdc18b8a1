"""The paper's networks and JMVAE-kl in PyTorch, by hand, and how weights come from Keras and go back.

L_kl = log p(x|z) + log p(w|z) - KL(q(z|x,w) || p(z)) - alpha * (KL(q(z|x,w) || q(z|x)) + KL(q(z|x,w) || q(z|w)))
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

VARIANCE_FLOOR = 1e-8


@dataclasses.dataclass(frozen=True)
class Modality:
    """A tower of so many features, and a decoder from z of so many numbers to the likelihood's parameter."""

    likelihood: str
    shape: tuple[int, ...]
    tower: Callable[[], nn.Module]
    features: int
    decoder: Callable[[int], nn.Module]


@dataclasses.dataclass(frozen=True)
class Architecture:
    latent_dim: int
    modalities: dict[str, Modality]
    trunk: int | None = None


class Gaussian(nn.Module):
    """q(z | modalities): towers, a trunk where there is one, then mean and variance."""

    def __init__(self, architecture: Architecture, names: tuple[str, ...]):
        super().__init__()
        modalities = [architecture.modalities[name] for name in names]
        features = sum(modality.features for modality in modalities)
        self.towers = nn.ModuleList(modality.tower() for modality in modalities)
        self.trunk = nn.Sequential()
        if architecture.trunk:
            self.trunk = nn.Sequential(nn.Linear(features, architecture.trunk), nn.ReLU())
            features = architecture.trunk
        self.mean = nn.Linear(features, architecture.latent_dim)
        self.raw_variance = nn.Linear(features, architecture.latent_dim)

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head([tower(value) for tower, value in zip(self.towers, values, strict=True)])

    def head(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.trunk(torch.cat(features, dim=-1))
        return self.mean(h).float(), functional.softplus(self.raw_variance(h).float()) + VARIANCE_FLOOR


class JMVAE(nn.Module):
    """A joint encoder and a decoder per modality; `singles` are the encoders of JMVAE-kl."""

    def __init__(self, architecture: Architecture, *, singles: bool = True):
        super().__init__()
        names = tuple(architecture.modalities)
        self.likelihoods = {name: modality.likelihood for name, modality in architecture.modalities.items()}
        self.joint = Gaussian(architecture, names)
        self.singles = nn.ModuleDict({name: Gaussian(architecture, (name,)) for name in names} if singles else {})
        self.decoders = nn.ModuleDict(
            {name: modality.decoder(architecture.latent_dim) for name, modality in architecture.modalities.items()}
        )

    def forward(self, alpha: float, kl_weight: float, noise: bool, **batch: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        mean, variance = self.joint(*batch.values())
        z = mean + variance.sqrt() * torch.randn_like(mean) if noise else mean
        bound = -kl_weight * kl(mean, variance, torch.zeros_like(mean), torch.ones_like(variance))
        for name, value in batch.items():
            bound = bound + log_prob(self.likelihoods[name], self.decoders[name](z).float(), value)
            bound = bound - alpha * kl(mean, variance, *self.singles[name](value))
        return -bound.mean()


def kl(mean_q, variance_q, mean_p, variance_p):
    ratio = variance_q / variance_p
    return 0.5 * (ratio + (mean_q - mean_p) ** 2 / variance_p - 1 - ratio.log()).sum(-1)


def log_prob(likelihood: str, parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if likelihood == "bernoulli":
        return -functional.binary_cross_entropy_with_logits(parameter, value, reduction="none").flatten(1).sum(-1)
    if likelihood == "categorical":
        return (value * functional.log_softmax(parameter, dim=-1)).sum(-1)
    return -0.5 * ((value - parameter) ** 2 + math.log(2 * math.pi)).flatten(1).sum(-1)


def mlp(*sizes: int, batch_norm: bool = False) -> nn.Sequential:
    layers = []
    for index, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        normalized = batch_norm and index > 0
        layers.append(nn.Linear(rows, columns, bias=not normalized))
        if normalized:
            layers.append(nn.BatchNorm1d(columns, **BATCH_NORM))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class LastAxis(nn.Module):
    """Images to vectors with the channels innermost, as Keras has them; in channels_last that costs nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class Start(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.view(-1, 4, 4, 256).permute(0, 3, 1, 2)


BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}  # Keras's
STRIDES = {"kernel_size": 4, "stride": 2, "padding": 1}


def conv_encoder(more: int = 0) -> nn.Sequential:
    """C64R-C128BR-C256BR-C256BR-F, with so many more C256BR."""
    layers = [nn.Conv2d(3, 64, **STRIDES), nn.ReLU()]
    for before, after in ((64, 128), (128, 256), (256, 256), *[(256, 256)] * more):
        layers += [nn.Conv2d(before, after, bias=False, **STRIDES), nn.BatchNorm2d(after, **BATCH_NORM), nn.ReLU()]
    return nn.Sequential(*layers, LastAxis())


def conv_decoder(latent_dim: int, more: int = 0) -> nn.Sequential:
    """D4096R-DC256BR-DC128BR-DC64BR-DC3 and tanh, with so many more DC256BR."""
    layers = [nn.Linear(latent_dim, 4096), nn.ReLU(), Start()]
    for before, after in (*[(256, 256)] * (1 + more), (256, 128), (128, 64)):
        convolution = nn.ConvTranspose2d(before, after, bias=False, **STRIDES)
        layers += [convolution, nn.BatchNorm2d(after, **BATCH_NORM), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, **STRIDES), nn.Tanh())


def faces(side: int) -> Architecture:
    """The paper's networks for CelebA, for images of 64, 128 or 256 pixels, all of which convolutions make 4x4."""
    more = {64: 0, 128: 1, 256: 2}[side]
    image = Modality(
        "gaussian", (3, side, side), lambda: conv_encoder(more), 4096, lambda latent_dim: conv_decoder(latent_dim, more)
    )
    return Architecture(128, {"x": image, "w": ATTRIBUTES}, trunk=1024)


MNIST = Architecture(
    64,
    {
        name: Modality(
            likelihood,
            (size,),
            lambda size=size: mlp(size, 512, 512),
            512,
            lambda latent_dim, size=size: nn.Sequential(mlp(latent_dim, 512, 512), nn.Linear(512, size)),
        )
        for name, likelihood, size in (("x", "bernoulli", 784), ("w", "categorical", 10))
    },
)
ATTRIBUTES = Modality(
    "gaussian",
    (40,),
    lambda: mlp(40, 512, 512, batch_norm=True),
    512,
    lambda latent_dim: nn.Sequential(mlp(latent_dim, 4096, 512, batch_norm=True), nn.Linear(512, 40), nn.Tanh()),
)
ARCHITECTURES = {"mnist": MNIST, "celeba": faces(64), "celeba-128": faces(128), "celeba-256": faces(256)}


def load(model: JMVAE, arrays: Mapping[str, np.ndarray]) -> None:
    """Takes the weights that `keras_side.arrays` wrote down."""
    for key, (tensor, to_torch, _) in _slots(model).items():
        tensor.data.copy_(torch.tensor(arrays[key]).permute(to_torch))


def dump(model: JMVAE) -> dict[str, np.ndarray]:
    """The weights as Keras has them."""
    return {key: tensor.detach().permute(back).numpy() for key, (tensor, _, back) in _slots(model).items()}


def _slots(model: JMVAE) -> dict[str, tuple[torch.Tensor, tuple[int, ...], tuple[int, ...]]]:
    """Tensors by the name of their array, with the order of axes from Keras and back."""
    parts = {"joint": model.joint}
    parts |= {f"encoder/{name}": single for name, single in model.singles.items()}
    parts |= {f"decoder/{name}": decoder for name, decoder in model.decoders.items()}
    found = {}
    for part, module in parts.items():
        number = 0
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                orders = [((1, 0), (1, 0)), ((0,), (0,))]
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                orders = [((3, 2, 0, 1), (2, 3, 1, 0)), ((0,), (0,))]
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                orders = [((0,), (0,))] * 4
            else:
                continue
            tensors = [layer.weight, layer.bias, getattr(layer, "running_mean", None)]
            tensors += [getattr(layer, "running_var", None)]
            present = [tensor for tensor in tensors if tensor is not None]
            for tensor, (to_torch, back) in zip(present, orders, strict=False):
                found[f"{part}/{number}"] = tensor, to_torch, back
                number += 1
    return found
