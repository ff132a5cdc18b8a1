"""PyTorch's side of `serving.py`: the verbs of an exported model, by hand."""

import math

import networks
import numpy as np
import protocol
import torch
from torch import nn

SAMPLES = 100


class Verbs:
    def load(self, path: str) -> None:
        self._model = networks.JMVAE(networks.MNIST).eval()
        networks.load(self._model, np.load(path))

    @torch.inference_mode()
    def answer(self, name: str, rows: int, seed: int) -> float:
        """The sum over the first row."""
        return float(getattr(self, name)(*_request(rows, seed))[:1].sum())

    @torch.inference_mode()
    def time(self, name: str, rows: int, seed: int, seconds: float) -> float:
        """Seconds of a call."""
        verb, request = getattr(self, name), _request(rows, seed)
        verb(*request)
        return protocol.repeat(lambda: verb(*request), seconds)

    def encode(self, x, w):
        mean, variance = self._model.joint(x, w)
        torch.sqrt(variance)
        return mean

    def generate_w_from_x(self, x, w):
        return torch.softmax(self._model.decoders["w"](self._model.singles["x"](x)[0]), dim=-1)

    def generate_x_from_w(self, x, w):
        return torch.sigmoid(self._model.decoders["x"](self._model.singles["w"](w)[0]))

    def sample_x_from_w(self, x, w):
        mean, variance = self._model.singles["w"](w)
        return torch.sigmoid(self._model.decoders["x"](mean + variance.sqrt() * torch.randn_like(mean)))

    def log_likelihood(self, x, w):
        mean, variance = self._model.joint(x, w)
        noise = torch.randn(SAMPLES, *mean.shape)
        z = mean + variance.sqrt() * noise
        logits = self._model.decoders["x"](z)
        terms = (x * logits - nn.functional.softplus(logits)).sum(-1)
        terms += (w * torch.log_softmax(self._model.decoders["w"](z), dim=-1)).sum(-1)
        terms += 0.5 * (noise**2 - z**2 + torch.log(variance)).sum(-1)
        return torch.logsumexp(terms, dim=0) - math.log(SAMPLES)


def _request(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    x = torch.tensor(random.integers(0, 2, (rows, 28, 28, 1)).astype(np.float32)).flatten(1)
    return x, torch.tensor(np.eye(10, dtype=np.float32)[random.integers(0, 10, rows)])


if __name__ == "__main__":
    verbs = Verbs()
    protocol.serve({"load": verbs.load, "answer": verbs.answer, "time": verbs.time})
