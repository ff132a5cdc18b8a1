"""Export: a model as a SavedModel that TF Serving, TF Hub and Keras load without this package.

NAME/VERSION/saved_model.pb, variables/     the graph and the weights
             assets.extra/                  requests that a server warms up with
             model_card.json                what it is, and the checksums of all of it
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_jmvae.files import remove_if_abandoned, write_json
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import card, description, warm_up
from tf_jmvae.serving.signatures import Endpoint, Settings, endpoints

__all__ = ["export"]

_TEMPORARY = ".export-"


def export(
    model: MultimodalVAE,
    path: str | os.PathLike,
    *,
    num_steps: int = 1,
    num_samples: int = 100,
    given: Iterable[Iterable[str]] | None = None,
    training: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Path:
    """Writes `NAME/VERSION/`, whole or not at all: a server that watches NAME never sees half a model.

    Args:
      model: any model of the package.
      path: `NAME`, which gets its next free version, or `NAME/VERSION` with a number.
      num_steps: of iterated sampling, in every signature that completes missing modalities by it.
      num_samples: behind each log-likelihood.
      given: subsets of modalities to make signatures for; by default all of them, or, of more than four modalities,
        single ones and all but one.
      training: what the card says of the training and its data.
      metrics: what the card says of the model's quality.

    Returns:
      The version's folder.

    Raises:
      FileExistsError: the version that was asked for exists.
      OSError: the folder cannot be written; nothing is left of the attempt.
      ValueError: options that make no sense.
    """
    folder, version = _name_and_version(Path(path))
    settings = Settings(num_steps, num_samples, None if given is None else tuple(tuple(names) for names in given))
    made = endpoints(model, settings)
    if version is not None and (folder / str(version)).exists():
        raise FileExistsError(f"{folder / str(version)} exists; choose another version, or leave it out for the next.")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_TEMPORARY}*"):
        remove_if_abandoned(leftover)
    temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder))
    try:
        _save(model, made, temporary)
        warm_up.write(temporary, folder.name, made)
        content = description.describe(folder.name, model, settings, temporary, training, metrics)
        write_json(temporary / card.CARD, content)
        temporary.chmod(0o755)  # mkdtemp's own mode would keep a server of another user out
        return _publish(temporary, folder, version)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Served(tf.Module):
    """The reusable-SavedModel interface: `__call__`, the variables, and each endpoint by its name."""

    variables = trainable_variables = ()  # attributes here, where tf.Module has properties

    def __init__(self, model: MultimodalVAE, functions: Mapping[str, tf.types.experimental.GenericFunction]):
        super().__init__()
        self.variables = [variable.value for variable in model.weights]
        self.trainable_variables = [variable.value for variable in model.trainable_weights]
        self.regularization_losses = []
        for name, function in functions.items():
            setattr(self, name, function)


def _save(model: MultimodalVAE, made: Mapping[str, Endpoint], folder: Path) -> None:
    functions = {name: endpoint.function for name, endpoint in made.items()}
    served = _Served(model, functions)
    served.__call__ = _callable(made["encode"])
    tf.saved_model.save(served, str(folder), signatures=functions)


def _callable(encode: Endpoint) -> tf.types.experimental.GenericFunction:
    """What TF Hub calls: features of all modalities, the mean of z; `training` changes nothing."""
    call = tf.function(lambda inputs, training=False: encode.function(inputs)["mean"], autograph=False)
    for training in (False, True):
        call.get_concrete_function(dict(encode.inputs), training=training)
    return call


def _name_and_version(path: Path) -> tuple[Path, int | None]:
    if _is_version(path.name):
        return path.parent, int(path.name)
    return path, None


def _publish(temporary: Path, folder: Path, version: int | None) -> Path:
    """Renames the finished folder to its version; two exports at once get two versions."""
    while True:
        target = folder / str(_next_version(folder) if version is None else version)
        try:
            return temporary.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        if version is not None:
            raise FileExistsError(f"{target} was written by another process; choose another version.")


def _next_version(folder: Path) -> int:
    return 1 + max((int(path.name) for path in folder.iterdir() if _is_version(path.name)), default=0)


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit()
