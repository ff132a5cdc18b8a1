"""PyTorch's side of `serving.py`: the verbs of an exported model, by hand, and of some ONNX Runtime's."""

import math

import networks
import numpy as np
import onnxruntime
import protocol
import torch
from torch import nn

SAMPLES = 100
ONNX = {"encode": (0, 1), "generate_w_from_x": (0,), "generate_x_from_w": (1,)}  # and which of x and w they read


class Verbs:
    def load(self, path: str) -> None:
        self._model = networks.JMVAE(networks.MNIST).eval()
        networks.load(self._model, np.load(path))
        self._onnx = {name: _converted(self._model, getattr(self, name), read) for name, read in ONNX.items()}

    def time_onnx(self, name: str, rows: int, seed: int, seconds: float) -> float:
        """Seconds of a call of ONNX Runtime, whose answer must be PyTorch's."""
        session, request = self._onnx[name], _request(rows, seed)
        feed = {one.name: request[at].numpy() for one, at in zip(session.get_inputs(), ONNX[name], strict=True)}
        with torch.inference_mode():
            expected = getattr(self, name)(*request).numpy()
        np.testing.assert_allclose(session.run(None, feed)[0], expected, rtol=1e-4, atol=1e-5)
        return protocol.repeat(lambda: session.run(None, feed), seconds)

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


class _Verb(nn.Module):
    def __init__(self, model: nn.Module, verb, read: tuple[int, ...]):
        super().__init__()
        self.model, self._verb, self._read = model, verb, read

    def forward(self, *given):
        request = dict(zip(self._read, given, strict=True))
        return self._verb(request.get(0), request.get(1))


def _converted(model: nn.Module, verb, read: tuple[int, ...]) -> onnxruntime.InferenceSession:
    """A verb in ONNX Runtime, for any number of rows, on as many threads as PyTorch has."""
    given = tuple(_request(2, 0)[at] for at in read)
    rows = torch.export.Dim("rows")
    options = {"dynamic_shapes": (tuple({0: rows} for _ in read),), "dynamo": True, "verbose": False}
    program = torch.onnx.export(_Verb(model, verb, read).eval(), given, **options)
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), threads)


def _request(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    x = torch.tensor(random.integers(0, 2, (rows, 28, 28, 1)).astype(np.float32)).flatten(1)
    return x, torch.tensor(np.eye(10, dtype=np.float32)[random.integers(0, 10, rows)])


if __name__ == "__main__":
    verbs = Verbs()
    protocol.serve({"load": verbs.load, "answer": verbs.answer, "time": verbs.time, "time_onnx": verbs.time_onnx})
