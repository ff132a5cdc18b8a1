"""Dense layers of Keras as PyTorch's, with their weights."""

import numpy as np
import torch
from torch import nn


def linear(kernel: np.ndarray, bias: np.ndarray) -> nn.Linear:
    layer = nn.Linear(*kernel.shape)
    layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
    return layer


def mlp(weights: list[np.ndarray]) -> nn.Sequential:
    """Kernels and biases of dense layers to linear layers, each with its ReLU."""
    layers = []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        layers += [linear(kernel, bias), nn.ReLU()]
    return nn.Sequential(*layers)
