"""Any model that somebody may name: a run's folder, a `.keras` file, or an exported SavedModel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

__all__ = ["ADVICE", "Described", "Model", "describe", "is_exported", "keras_file", "load", "no_model", "of_card"]

ADVICE = "Copy the file again, or train the run anew."


@dataclass(frozen=True)
class Described:
    """What is known of a modality without its networks.

    Attributes:
      event_shape: of one example.
      likelihood: by name, or the class of the user's own head.
      given: whether the model is conditioned on it and does not generate it.
      standardized: whether raw values are standardised.
      entry_names: what the entries mean, if that is known.
    """

    event_shape: tuple[int, ...]
    likelihood: str
    given: bool
    standardized: bool
    entry_names: tuple[str, ...]

    @property
    def is_image(self) -> bool:
        """Grey or RGB, and neither classes nor counts."""
        grid = len(self.event_shape) == 3 and self.event_shape[-1] in (1, 3)
        return grid and self.likelihood not in ("categorical", "counts")

    @property
    def is_label(self) -> bool:
        """One class of several."""
        return self.likelihood == "categorical" and len(self.event_shape) == 1


class Model(Protocol):
    """What `generate` asks of a model, wherever it came from.

    Attributes:
      kind: the class of the model.
      modalities: by name.
    """

    kind: str
    modalities: Mapping[str, Described]

    def read_images(self, name: str, encoded: Sequence[bytes]) -> Any:
        """Encoded images as the model takes them for a modality."""

    def generate(
        self, observed: Mapping[str, Any], target: str, *, num_samples: int, latent: str, seed: int, pixels: bool
    ) -> np.ndarray:
        """`[B, S, *event_shape]`; images as uint8 if `pixels`."""

    def sample(self, num_samples: int, *, seed: int, pixels: bool) -> dict[str, np.ndarray]:
        """All modalities from the prior, `[S, *event_shape]`; images as uint8 if `pixels`."""


def keras_file(path: Path) -> Path | None:
    """The `.keras` file that a path means: itself, or that of a run's folder. None if it means something else."""
    if path.is_dir():
        return path / "model.keras" if (path / "model.keras").exists() or (path / "config.json").exists() else None
    return path if path.suffix == ".keras" else None


def is_exported(path: Path) -> bool:
    """Whether it is a folder of an exported model, or of one of its versions."""
    from tf_jmvae.serving import versions

    return path.is_dir() and ((path / versions.MODEL_FILE).is_file() or versions.newest(path) is not None)


def no_model(path: Path) -> FileNotFoundError:
    """The error to raise where a path leads to no model."""
    state = "holds none" if path.is_dir() else "is none" if path.exists() else "does not exist"
    return FileNotFoundError(
        f"Expected the folder of a run, a model.keras, or the folder of an exported SavedModel; {path} {state}."
    )


def load(handle: str, num_steps: int | None = None) -> Model:
    """The model, wherever it comes from.

    Args:
      handle: a run's folder, a `.keras` file, or what `tf_jmvae.hub.load` takes.
      num_steps: of iterated sampling, where that can still be chosen.

    Raises:
      RunError, ValueError, OSError: there is no such model, or it is damaged; the message says what to do.
    """
    path = Path(handle).expanduser()
    if file := keras_file(path):
        from tf_jmvae.training import run

        steps = run.describe(file.parent)["num_steps"] if num_steps is None else num_steps
        return _Trained(run.load_model(file, advice=ADVICE), steps)
    from tf_jmvae.serving import archives, hub

    if "://" not in handle and not path.name.lower().endswith(archives.SUFFIXES) and not is_exported(path):
        raise no_model(path)

    exported = hub.load(handle)
    if num_steps is not None:
        raise ValueError(
            f"--num-steps was fixed at {exported.card['num_steps']} when {handle} was exported; "
            "name the run or its model.keras to choose it."
        )
    return _Exported(exported)


class _Trained:
    """A model of this package in memory."""

    def __init__(self, model: Any, num_steps: int):
        self._model, self._num_steps = model, num_steps
        self.kind = type(model).__name__
        self.modalities = describe(model)

    def read_images(self, name: str, encoded: Sequence[bytes]) -> Any:
        import tensorflow as tf

        from tf_jmvae.serving import image_tensors

        return image_tensors.from_bytes(self._model, name, tf.constant(list(encoded)))

    def generate(self, observed, target, *, num_samples, latent, seed, pixels):
        options = {"num_samples": num_samples, "latent": latent, "seed": seed, "num_steps": self._num_steps}
        return self._shown(target, self._model.generate(observed, targets=[target], **options)[target], pixels)

    def sample(self, num_samples, *, seed, pixels):
        drawn = self._model.sample(num_samples, seed=seed)
        return {name: self._shown(name, values, pixels) for name, values in drawn.items()}

    def _shown(self, name, values, pixels):
        from tf_jmvae.serving import image_tensors

        if pixels and self.modalities[name].is_image:
            return image_tensors.to_uint8(self._model, name, values).numpy()
        return values.numpy()


class _Exported:
    """A SavedModel in this process."""

    def __init__(self, model: Any):
        self._model = model
        self.kind = model.card["kind"]
        self.modalities = {name: of_card(entry) for name, entry in model.card["modalities"].items()}

    def read_images(self, name, encoded):
        return list(encoded)  # the graph decodes them

    def generate(self, observed, target, *, num_samples, latent, seed, pixels):
        if target in observed:
            return self._reconstructed(observed, target, num_samples, latent, seed, pixels)
        options = {"num_samples": num_samples, "latent": latent, "seed": seed, "images": self._images(target, pixels)}
        return self._model.generate(observed, targets=[target], **options)[target]

    def sample(self, num_samples, *, seed, pixels):
        return self._model.sample(num_samples, images="uint8" if pixels else "float", seed=seed)

    def _reconstructed(self, observed, target, num_samples, latent, seed, pixels):
        """By way of z: no signature generates a modality from itself."""
        q = self._model.encode(observed)
        mean, deviation = (np.repeat(q[name], num_samples, axis=0) for name in ("mean", "standard_deviation"))
        noise = np.random.default_rng(seed).standard_normal(mean.shape).astype(mean.dtype)
        z = mean + deviation * noise if latent == "sample" else mean
        conditions = {
            name: [value for value in observed[name] for _ in range(num_samples)]
            for name, described in self.modalities.items()
            if described.given
        }
        made = self._model.decode(z, conditions or None, images=self._images(target, pixels))[target]
        return made.reshape(-1, num_samples, *made.shape[1:])

    def _images(self, name, pixels):
        return "uint8" if pixels and self.modalities[name].is_image else "float"


def describe(model: Any) -> dict[str, Described]:
    """The modalities of a model of this package."""
    from tf_jmvae import heads

    return {
        name: Described(
            modality.event_shape,
            heads.name_of(modality.head),
            name in model.given,
            modality.standardized,
            tuple(modality.entry_names),
        )
        for name, modality in model.modalities.items()
    }


def of_card(entry: Mapping[str, Any]) -> Described:
    """A modality as a model card has it."""
    return Described(
        tuple(entry["event_shape"]),
        entry["likelihood"],
        entry["given"],
        entry["standardized"],
        tuple(entry["entry_names"]),
    )
