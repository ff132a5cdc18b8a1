"""Training of MultiVae's models on five digits, and generation of images, run by a Python with MultiVae.

    python multivae_models.py REQUEST.json

The request, which `peers.py` writes, names the verb, `train` or `generate`, and the files. Networks are those of the
preset `five-digits-jmvae-kl-small`, pixel values are in [0, 1], and likelihoods and settings are those of MultiVae's
authors for PolyMNIST [1], with warm-up in proportion to the epochs. This file does not import tf_jmvae, which that
Python does not have.

References:
  [1] Senellart, Chadebec and Allassonniere, MultiVae, 2025 (JOSS), its `benchmarking_on_partial_polymnist`.
"""

import json
import math
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch
from multivae.data import IncompleteDataset, MultimodalBaseDataset
from multivae.models import JMVAE, JNF, MMVAE, MVTCAE, JMVAEConfig, JNFConfig, MMVAEConfig, MVTCAEConfig
from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput
from multivae.models.nn import BaseJointEncoder
from sklearn.mixture import GaussianMixture
from torch import nn

_BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}  # Keras's defaults
_STRIDES = {"kernel_size": 4, "stride": 2, "padding": 1}
_CHANNELS, _UNITS, _SIDE = (16, 32), 256, 7
_COMPONENTS = 10
_IN_ONE = 500  # number of rows to generate at once


def _tower() -> nn.Sequential:
    first, second = _CHANNELS
    return nn.Sequential(
        nn.Conv2d(3, first, **_STRIDES),
        nn.ReLU(),
        nn.Conv2d(first, second, bias=False, **_STRIDES),
        nn.BatchNorm2d(second, **_BATCH_NORM),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(second * _SIDE**2, _UNITS),
        nn.ReLU(),
    )


def _output(mean: torch.Tensor, log_variance: torch.Tensor) -> ModelOutput:
    return ModelOutput(embedding=mean, log_covariance=log_variance)


class Encoder(BaseEncoder):
    """Encoder q(z | view) of one view."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.tower, self.mean, self.log_variance = _tower(), *(nn.Linear(_UNITS, latent_dim) for _ in range(2))

    def forward(self, x):
        features = self.tower(x)
        return _output(self.mean(features), self.log_variance(features))


class Remembered(BaseEncoder):
    """Encoder that caches its output for the last input tensor."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.latent_dim, self._encoder, self._asked, self._answer = encoder.latent_dim, encoder, None, None

    def forward(self, x):
        if x is not self._asked:
            self._asked, self._answer = x, self._encoder(x)
        return self._answer


class JointEncoder(BaseJointEncoder):
    """Joint encoder q(z | all views), with separate towers."""

    def __init__(self, names: Sequence[str], latent_dim: int):
        super().__init__()
        self.latent_dim, self.names = latent_dim, names
        self.towers = nn.ModuleList(_tower() for _ in names)
        self.mean, self.log_variance = (nn.Linear(_UNITS * len(names), latent_dim) for _ in range(2))

    def forward(self, x):
        features = torch.cat([tower(x[name]) for name, tower in zip(self.names, self.towers, strict=True)], dim=1)
        return _output(self.mean(features), self.log_variance(features))


class Decoder(BaseDecoder):
    """Decoder to the location of p(view | z)."""

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim, channels = latent_dim, _CHANNELS[-1]
        self.network = nn.Sequential(
            nn.Linear(latent_dim, channels * _SIDE**2),
            nn.ReLU(),
            nn.Unflatten(1, (channels, _SIDE, _SIDE)),
            nn.ConvTranspose2d(channels, channels, bias=False, **_STRIDES),
            nn.BatchNorm2d(channels, **_BATCH_NORM),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, 3, **_STRIDES),
        )

    def forward(self, z):
        return ModelOutput(reconstruction=self.network(z))


def build(kind: str, names: Sequence[str], latent_dim: int, epochs: int) -> nn.Module:
    """Makes a new model with the authors' settings."""
    common = {
        "n_modalities": len(names),
        "latent_dim": latent_dim,
        "input_dims": dict.fromkeys(names, (3, 28, 28)),
        "decoders_dist": dict.fromkeys(names, "laplace"),
        "decoder_dist_params": {name: {"scale": 0.75} for name in names},
    }
    networks = {
        "encoders": {name: Encoder(latent_dim) for name in names},
        "decoders": {name: Decoder(latent_dim) for name in names},
    }
    if kind in ("jmvae", "jnf"):
        networks["joint_encoder"] = JointEncoder(names, latent_dim)
    if kind == "jmvae":
        return JMVAE(JMVAEConfig(**common, alpha=0.1, warmup=epochs // 4), **networks)
    if kind == "jnf":
        return JNF(JNFConfig(**common, warmup=epochs // 2), **networks)
    if kind == "mvtcae":
        return MVTCAE(MVTCAEConfig(**common, beta=2.5, alpha=5 / 6), **networks)
    return MMVAE(MMVAEConfig(**common, K=1, learn_prior=False), **networks)


class Views:
    """Dataset of rows of `[N, 28, 28, 3]` uint8 files in MultiVae's form; views may be missing.

    Args:
      files: dict of the file of each view.
      size: number of rows, from the first on.
      held: file of Boolean masks `[N]` by view, which rows hold it; None, the default, if all do.
    """

    def __init__(self, files: dict[str, str], size: int, held: str | None = None):
        self.names, self._size = list(files), size
        self._arrays = {name: np.load(path, mmap_mode="r") for name, path in files.items()}
        self._held = None if held is None else dict(np.load(held))

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rows: np.ndarray) -> MultimodalBaseDataset:
        data = {
            name: torch.from_numpy(array[rows]).permute(0, 3, 1, 2).float() / 255
            for name, array in self._arrays.items()
        }
        if self._held is None:
            return MultimodalBaseDataset(data)
        masks = {name: torch.from_numpy(self._held[name][rows]) for name in self.names}
        for name, mask in masks.items():
            data[name][~mask] = 0.0
        return IncompleteDataset(data, masks)


def epoch_of(views: Views, batch_size: int, random: np.random.Generator) -> Iterator[MultimodalBaseDataset]:
    """Yields batches of all rows in a new random order."""
    order = random.permutation(len(views))
    for start in range(0, len(order), batch_size):
        yield views[order[start : start + batch_size]]


def train(kind: str, views: Views, options: dict[str, Any], folder: pathlib.Path) -> None:
    """Trains with Adam and cosine decay of the learning rate; saves the state after each epoch, to resume from."""
    epochs, batch_size, rate = options["epochs"], options["batch_size"], options["learning_rate"]
    torch.manual_seed(options["seed"])
    model = build(kind, views.names, options["latent_dim"], epochs)
    stage = epochs // 2 if kind == "jnf" else epochs  # JNF's flows and encoders are trained after the joint model
    optimizer, path, done, steps, seconds = None, folder / "state.pt", 0, -(-len(views) // batch_size), 0.0
    if path.exists():
        state = torch.load(path, weights_only=False)
        model.load_state_dict(state["model"])
        torch.set_rng_state(state["random"])
        done, seconds = state["epoch"], state["seconds"]
    for epoch in range(done, epochs):
        if optimizer is None or epoch == stage:
            optimizer = torch.optim.Adam(model.parameters(), lr=rate)
            if done and epoch == done and epoch != stage:
                optimizer.load_state_dict(state["optimizer"])
        model.train()
        total, start = 0.0, time.perf_counter()
        for number, batch in enumerate(epoch_of(views, batch_size, np.random.default_rng([options["seed"], epoch]))):
            past = (epoch % stage + number / steps) / stage
            for group in optimizer.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * past))
            rows = len(batch.data[views.names[0]])  # before MultiVae removes views that no row holds
            loss = model(batch, epoch=epoch + 1).loss
            loss = loss / rows if kind == "mmvae" else loss  # MMVAE returns the sum
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        print(f"{folder.name}: epoch {epoch + 1} of {epochs}, loss {total / steps:.2f}", flush=True)
        seconds += time.perf_counter() - start
        state = {"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        state |= {"random": torch.get_rng_state(), "seconds": seconds}
        _replace(path, lambda file, state=state: torch.save(state, file))
    trained = {
        "seconds": seconds,
        "parameters": sum(values.numel() for values in model.parameters()),
        "packages": {name: metadata.version(name) for name in ("multivae", "torch", "numpy")},
    }
    _replace(folder / "trained.json", lambda file: file.write_text(json.dumps(trained)))


@torch.no_grad()
def generate(model: nn.Module, views: Views, given: Sequence[str]) -> dict[str, np.ndarray]:
    """Generates images of the views that are not given, uint8 `[N, 28, 28, 3]`, each from a sample of z."""
    found = {name: [] for name in views.names if name not in given}
    encoders = dict(model.encoders.items())
    for start in range(0, len(views), _IN_ONE):
        batch = views[np.arange(start, min(start + _IN_ONE, len(views)))]
        if isinstance(model, JNF):  # whose Hamiltonian sampling calls the encoders a thousand times
            for name in given:
                model.encoders[name] = Remembered(encoders[name])
        _decode(model, model.encode(batch, cond_mod=list(given)).z, found)
    for name, encoder in encoders.items():
        model.encoders[name] = encoder
    return {name: np.concatenate(parts) for name, parts in found.items()}


@torch.no_grad()
def sample(model: nn.Module, count: int, mixture: GaussianMixture | None) -> dict[str, np.ndarray]:
    """Generates images of all views, from the model's prior or from a fitted mixture."""
    found = {name: [] for name in model.decoders}
    z = model.generate_from_prior(count).z if mixture is None else torch.from_numpy(mixture.sample(count)[0]).float()
    _decode(model, z, found)
    return {name: np.concatenate(parts) for name, parts in found.items()}


@torch.no_grad()
def fitted_mixture(model: nn.Module, views: Views, seed: int) -> GaussianMixture:
    """Fits the mixture of MultiVae's sampler to samples of z given all views, for the first 10,000 rows."""
    rows = np.arange(min(len(views), 10_000))
    z = [model.encode(views[rows[start : start + _IN_ONE]]).z for start in range(0, len(rows), _IN_ONE)]
    mixture = GaussianMixture(min(_COMPONENTS, len(rows)), covariance_type="full", reg_covar=1e-4, random_state=seed)
    return mixture.fit(torch.cat(z).numpy())


def _decode(model: nn.Module, z: torch.Tensor, found: dict[str, list[np.ndarray]]) -> None:
    for name, parts in found.items():
        image = model.decoders[name](z.reshape(-1, z.shape[-1])).reconstruction
        parts.append((image.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())


def _replace(path: pathlib.Path, write) -> None:
    """Writes a file atomically."""
    temporary = path.with_name(f"{path.name}~")
    write(temporary)
    temporary.replace(path)


def main(request: dict[str, Any]) -> None:
    """Executes a request."""
    folder, kind, options = pathlib.Path(request["folder"]), request["kind"], request["options"]
    views = Views(request["train"], options["train_size"], request["held"])
    if request["verb"] == "train":
        train(kind, views, options, folder)
        return
    torch.manual_seed(request["seed"])
    model = build(kind, views.names, options["latent_dim"], options["epochs"])
    model.load_state_dict(torch.load(folder / "state.pt", weights_only=False)["model"])
    model.eval()
    test, output = Views(request["test"], request["rows"]), pathlib.Path(request["output"])
    for given in request["given"]:
        np.savez(output / f"{'+'.join(given)}.npz", **generate(model, test, given))
    complete = Views(request["train"], options["train_size"])
    for name, mixture in (("standard", None), ("fitted", fitted_mixture(model, complete, request["seed"]))):
        np.savez(output / f"{name}.npz", **sample(model, request["rows"], mixture))


if __name__ == "__main__":
    main(json.loads(pathlib.Path(sys.argv[1]).read_text()))
