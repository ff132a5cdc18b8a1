"""`open_model`, which opens a run, a `.keras` file, an exported model or a served model as an `InferenceModel`."""

import os
import re
from pathlib import Path
from typing import Any

from tf_jmvae._utils import pretrained
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import options_of
from tf_jmvae.serving import archives, card, hub
from tf_jmvae.serving.client import Client
from tf_jmvae.serving.inference import InferenceModel
from tf_jmvae.serving.local import LiveModel

_SERVER = re.compile(r"(grpc://|https?://)([^/]+)/v1/models/([^/:]+)(?:/versions/(\d+))?/?", re.IGNORECASE)
ADVICE = "Copy the file again, or train the run anew."


def open_model(
    handle: str | os.PathLike | MultimodalVAE,
    *,
    iterated_sampling: IteratedSampling | int | None = None,
    **options: Any,
) -> InferenceModel:
    """Opens a model from memory, disk, a URL or a server.

    Args:
      handle: path of a run folder or a `.keras` file; a `MultimodalVAE` in memory; an exported model, as
        `tf_jmvae.hub.load` takes it (a folder, an archive, the URL of an archive, the name of a pre-trained model); or
        a model behind TF Serving, `"grpc://HOST:8500/v1/models/NAME"` or, over REST,
        `"http://HOST:8501/v1/models/NAME"`, optionally followed by `/versions/NUMBER`.
      iterated_sampling: an `IteratedSampling` or a number of steps, for models that complete missing modalities; by
        default the model's own options. Those of exported models are fixed at export.
      **options: options of `tf_jmvae.hub.load` for exported models, and of `tf_jmvae.serving.Client` for served ones.

    Returns:
      `tf_jmvae.serving.InferenceModel` of the model.

    Raises:
      FileNotFoundError: if there is no model at the path.
      OSError: if the model cannot be downloaded or read.
      RunError: if a `.keras` file is missing or damaged, or holds another kind of model.
      ValueError: if an exported model is damaged or unsafe to load, or its number of steps is not `iterated_sampling`.

    Examples:
      >>> model = open_model("runs/mnist-jmvae-kl")
      >>> images = model.generate({"w": labels}, num_samples=8, images="png", seed=1)["x"]
    """
    if isinstance(handle, MultimodalVAE):
        return LiveModel(handle, iterated_sampling=iterated_sampling, **options)
    if not isinstance(handle, str | os.PathLike):
        raise TypeError(f"Expected a path, an address or a model of tf_jmvae; got {type(handle).__name__}.")
    handle = pretrained.located(os.fsdecode(handle))
    path = Path(handle).expanduser()
    if server := _SERVER.fullmatch(handle):
        scheme, host, name, version = server.groups()
        address = host if scheme.lower() == "grpc://" else f"{scheme}{host}"
        opened = Client(address, model=name, version=None if version is None else int(version), **options)
    elif file := keras_file(path):
        return _live(file, iterated_sampling, **options)
    elif "://" in handle or path.name.lower().endswith(archives.SUFFIXES) or card.version_folder(path):
        opened = hub.load(handle, **options)
    else:
        raise no_model(path)
    asked = options_of(iterated_sampling, IteratedSampling())
    if iterated_sampling is not None and asked.num_steps != opened.spec.num_steps:
        raise ValueError(
            f"Iterated sampling was fixed at {opened.spec.num_steps} steps when {handle} was exported; name the run or "
            "its model.keras to choose it."
        )
    return opened


def keras_file(path: Path) -> Path | None:
    """Returns the `.keras` file of a path: the path itself or `model.keras` in a run folder; None for other paths."""
    if path.is_dir():
        return path / "model.keras" if (path / "model.keras").exists() or (path / "config.json").exists() else None
    return path if path.suffix == ".keras" else None


def no_model(path: Path) -> FileNotFoundError:
    """Returns the error to raise for a path without a model."""
    state = "holds none" if path.is_dir() else "is none" if path.exists() else "does not exist"
    return FileNotFoundError(
        "Expected the folder of a run, a model.keras, the folder of an exported SavedModel, or a pre-trained model "
        f"({', '.join(pretrained.NAMES)}); {path} {state}."
    )


def _live(file: Path, iterated_sampling: IteratedSampling | int | None, **options: Any) -> LiveModel:
    from tf_jmvae.training.run_folder import describe, load_model

    model, folder = load_model(file, advice=ADVICE), file.resolve().parent
    name = folder.name if file.name == "model.keras" else file.stem
    options = {"name": name, "training": describe(folder)["training"], **options}
    return LiveModel(model, iterated_sampling=iterated_sampling, **options)
