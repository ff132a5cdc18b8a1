"""Training steps of the peers of `training.py`, in a process of their own: PyTorch and TensorFlow do not share one.

All train the paper's JMVAE-kl, alpha 1, on random data in memory, shuffled and cut into batches.
"""

import time
from collections.abc import Callable, Iterator
from unittest import mock

import libraries
import networks
import numpy as np
import protocol
import torch
from networks import ARCHITECTURES, Architecture
from torch import nn

Batch = dict[str, torch.Tensor]
WARM_UP = 3  # steps


class ByHand:
    """A training loop as one who knows PyTorch writes it, with fused Adam."""

    def __init__(self, architecture: Architecture, options: set[str], rate: float = 1e-3, alpha: float = 1.0):
        self.model = networks.JMVAE(architecture)
        self.channels_last = "channels_last" in options
        if self.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, fused=True)
        self.alpha = alpha
        self._precision = torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in options)
        self._loss = torch.compile(self.model) if "compiled" in options else self.model

    def step(self, batch: Batch, kl_weight: float = 1.0) -> None:
        if self.channels_last:
            batch = {
                name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
                for name, value in batch.items()
            }
        with self._precision:
            loss = self._loss(self.alpha, kl_weight, True, **batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def multivae_step(architecture: Architecture) -> Callable[[Batch], None]:
    from multivae.data import MultimodalBaseDataset

    model = libraries.multivae(architecture)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(batch):
        loss = model(MultimodalBaseDataset(batch), epoch=1).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def make(name: str, architecture: Architecture) -> Callable[[Batch], None]:
    if name == "multivae":
        return multivae_step(architecture)
    if name == "pixyz":
        return libraries.pixyz(architecture).train
    return ByHand(architecture, set(name.split(", ")[1:])).step


def random_batches(architecture: Architecture, size: int, examples: int) -> Iterator[Batch]:
    """Shuffled anew on every pass; binary values are drawn anew from their probabilities."""
    data = {}
    for name, modality in architecture.modalities.items():
        shape = (examples, *modality.shape)
        if modality.likelihood == "categorical":
            data[name] = nn.functional.one_hot(torch.randint(shape[1], shape[:1]), shape[1]).float()
        else:
            data[name] = torch.rand(shape) if modality.likelihood == "bernoulli" else torch.randn(shape)
    binary = [name for name, modality in architecture.modalities.items() if modality.likelihood == "bernoulli"]
    return batches(data, size, binary)


def batches(data: Batch, size: int, binary: list[str]) -> Iterator[Batch]:
    while True:
        for index in torch.randperm(len(next(iter(data.values())))).split(size):
            yield {
                name: torch.bernoulli(value[index]) if name in binary else value[index] for name, value in data.items()
            }


class Trainings:
    """Every training that was asked for, kept so that it goes on."""

    def __init__(self):
        self._found = {}

    def train(self, name: str, architecture: str, batch: int, examples: int, seconds: float) -> float:
        """Examples per second, over as many steps as fit into `seconds`."""
        key = name, architecture, batch
        if key not in self._found:
            torch.manual_seed(0)
            source = random_batches(ARCHITECTURES[architecture], batch, examples)
            self._found[key] = make(name, ARCHITECTURES[architecture]), source
            for _ in range(WARM_UP):
                self._step(key)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            count += self._step(key)
        return count / (time.perf_counter() - start)

    def forget(self) -> None:
        """Lets go of the models, and of the code that was compiled for them."""
        self._found.clear()
        torch.compiler.reset()

    def _step(self, key) -> int:
        step, source = self._found[key]
        batch = next(source)
        step(batch)
        return len(batch["w"])


def check(architecture: str, path: str) -> dict[str, dict[str, float]]:
    """Parameters of every peer, and its bound at the mean of q for the weights and the batch in a file."""
    from multivae.data import MultimodalBaseDataset

    arrays, wanted = np.load(path), ARCHITECTURES[architecture]
    batch = {name: torch.tensor(arrays[f"batch/{name}"]) for name in wanted.modalities}
    ours = networks.JMVAE(wanted).eval()
    networks.load(ours, arrays)
    with torch.no_grad():
        found = {"pytorch": _facts(ours, -float(ours(1.0, 1.0, False, **batch)))}
    theirs = libraries.multivae(wanted).eval()
    parts = [ours.joint, *ours.singles.values(), *ours.decoders.values()]
    others = [theirs.joint_encoder, *theirs.encoders.values(), *theirs.decoders.values()]
    for part, other in zip(parts, others, strict=True):
        other.network.load_state_dict(part.state_dict())
    mean = {"rsample": _mean, "sample": _mean}
    with mock.patch.multiple(torch.distributions.Normal, **mean), torch.no_grad():
        found["multivae"] = _facts(theirs, -float(theirs(MultimodalBaseDataset(batch), epoch=1).loss))
        model = libraries.pixyz(wanted)
        for part, other in zip(parts, libraries.pixyz_networks(model), strict=True):
            other.load_state_dict(part.state_dict())
        found["pixyz"] = _facts(model.distributions, -float(model.test(batch)))
    return found


def _mean(self, sample_shape=()):
    return self.loc.expand(self._extended_shape(sample_shape))


def _facts(module: nn.Module, bound: float) -> dict[str, float]:
    return {"parameters": sum(parameter.numel() for parameter in module.parameters()), "bound": bound}


if __name__ == "__main__":
    trainings = Trainings()
    handlers = {"train": trainings.train, "forget": trainings.forget, "check": check}
    protocol.serve(handlers, ("torch", "multivae", "pixyz"))
