"""PyTorch's side of `serving.py`, in a process of its own: PyTorch and TensorFlow do not share one.

Reads an `.npz` of weights; then, for every line of JSON that comes in, answers the request again and again for as long
as it says.
"""

import json
import math
import sys
import time
from importlib import metadata

import numpy as np
import torch
from layers import linear, mlp
from torch import nn

SAMPLES = 100


class Encoder(nn.Module):
    def __init__(self, towers: dict[str, list[np.ndarray]], head: list[np.ndarray]):
        super().__init__()
        self.towers = nn.ModuleDict({name: mlp(weights) for name, weights in towers.items()})
        self.mean, self.variance = linear(*head[:2]), linear(*head[2:])

    def forward(self, **values):
        h = torch.cat([tower(values[name].flatten(1)) for name, tower in self.towers.items()], dim=-1)
        return self.mean(h), torch.sqrt(nn.functional.softplus(self.variance(h)) + 1e-6)


class Model(nn.Module):
    """The verbs that are measured."""

    def __init__(self, weights):
        super().__init__()

        def encoder(name, modalities):
            towers = {modality: weights(f"{name}/tower/{modality}") for modality in modalities}
            return Encoder(towers, weights(f"{name}/head"))

        self.joint, self.x, self.w = encoder("joint", "xw"), encoder("x", "x"), encoder("w", "w")
        self.decoders = nn.ModuleDict()
        for name in "xw":
            decoder = weights(f"decoder/{name}")
            self.decoders[name] = nn.Sequential(mlp(decoder[:-2]), linear(*decoder[-2:]))

    def encode(self, x, w, seed):
        return self.joint(x=x, w=w)

    def generate_w_from_x(self, x, w, seed):
        return (torch.softmax(self.decoders["w"](self.x(x=x)[0]), dim=-1),)

    def generate_x_from_w(self, x, w, seed):
        return (torch.sigmoid(self.decoders["x"](self.w(w=w)[0])),)

    def sample_x_from_w(self, x, w, seed):
        mean, deviation = self.w(w=w)
        return (torch.sigmoid(self.decoders["x"](mean + deviation * torch.randn_like(mean))),)

    def log_likelihood(self, x, w, seed):
        mean, deviation = self.joint(x=x, w=w)
        noise = torch.randn(SAMPLES, *mean.shape)
        z = mean + deviation * noise
        logits = self.decoders["x"](z)
        terms = (x.flatten(1) * logits - nn.functional.softplus(logits)).sum(-1)
        terms += (w * torch.log_softmax(self.decoders["w"](z), dim=-1)).sum(-1)
        terms += (0.5 * (noise**2 - z**2) + torch.log(deviation)).sum(-1)
        return (torch.logsumexp(terms, dim=0) - math.log(SAMPLES),)


def main() -> None:
    arrays = np.load(sys.argv[1])

    def weights(prefix: str) -> list[np.ndarray]:
        count = sum(name.startswith(f"{prefix}/") for name in arrays)
        return [arrays[f"{prefix}/{index}"] for index in range(count)]

    model = Model(weights).eval()
    print(json.dumps({"torch": metadata.version("torch")}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        random = np.random.default_rng(request["seed"])
        rows = request["rows"]
        x = torch.tensor(random.integers(0, 2, (rows, 28, 28, 1)).astype(np.float32))
        w = torch.tensor(np.eye(10, dtype=np.float32)[random.integers(0, 10, rows)])
        verb = getattr(model, request["name"])
        with torch.inference_mode():
            verb(x, w, None)
            calls, start = 0, time.perf_counter()
            while time.perf_counter() - start < request["seconds"]:
                outputs = verb(x, w, None)
                calls += 1
            milliseconds = (time.perf_counter() - start) / calls * 1e3
        print(json.dumps({"milliseconds": milliseconds, "sum": float(outputs[0][:1].sum())}), flush=True)


if __name__ == "__main__":
    main()
