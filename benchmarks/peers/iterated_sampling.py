"""PyTorch's side of `iterated_sampling.py`: the chain of Eq. (6) by hand, in which the label is encoded once."""

import time

import networks
import numpy as np
import protocol
import torch


class Chains:
    def load(self, path: str) -> None:
        arrays = np.load(path)
        torch.manual_seed(0)
        self._model = networks.JMVAE(networks.MNIST, singles=False).eval()
        networks.load(self._model, arrays)
        self._batch = {name: torch.tensor(arrays[f"batch/{name}"]) for name in "xw"}
        self._draw = {False: self._step, True: torch.compile(self._step)}

    @torch.inference_mode()
    def encode(self) -> list[list[float]]:
        """The means of q(z | x, w) for the file's images and labels."""
        return self._model.joint(*self._batch.values())[0].tolist()

    def time(self, rows: int, steps: int, compiled: bool) -> float:
        """Seconds of a chain for every row."""
        labels = torch.eye(10)[torch.arange(rows) % 10]
        start = time.perf_counter()
        self._chain(labels, steps, compiled)
        return time.perf_counter() - start

    def sample(self, rows: int, label: int, steps: int) -> list[list[float]]:
        """Mean images of chains for one label."""
        return self._chain(torch.eye(10)[[label] * rows], steps, False).tolist()

    @torch.inference_mode()
    def _chain(self, labels: torch.Tensor, steps: int, compiled: bool) -> torch.Tensor:
        known = self._model.joint.towers[1](labels)
        x = torch.zeros(len(labels), 784)
        for number in range(steps):
            mean = self._draw[compiled](x, known)
            x = torch.bernoulli(mean) if number < steps - 1 else mean
        return x

    def _step(self, x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        mean, variance = self._model.joint.head([self._model.joint.towers[0](x), known])
        z = mean + variance.sqrt() * torch.randn_like(mean)
        return torch.sigmoid(self._model.decoders["x"](z))


if __name__ == "__main__":
    chains = Chains()
    protocol.serve({"load": chains.load, "encode": chains.encode, "time": chains.time, "sample": chains.sample})
