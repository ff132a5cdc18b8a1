"""Export: a model as a SavedModel that TF Serving, TF Hub and Keras load without this package.

NAME/VERSION/saved_model.pb, variables/     the graph and the weights
             assets.extra/                  requests that a server warms up with
             model_card.json                what it is, and the checksums of all of it
"""

import contextlib
import errno
import functools
import json
import keyword
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_jmvae._utils.files import explained, flush_folder, remove_abandoned, write_json
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.serving import card, versions, warm_up
from tf_jmvae.serving.signatures import Endpoint, Settings, endpoints

__all__ = ["export"]

_TEMPORARY = ".export-"


def export(
    model: MultimodalVAE,
    path: str | os.PathLike,
    *,
    iterated_sampling: IteratedSampling | int | None = None,
    num_steps: int | None = None,
    num_samples: int = 100,
    observed: Iterable[Iterable[str]] | None = None,
    training: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    notes: str = "",
) -> Path:
    """Writes `NAME/VERSION/`, whole or not at all: a server that watches NAME never sees half a model.

    Args:
      model: any model of the package.
      path: `NAME`, which gets its next free version, or `NAME/VERSION` with a number.
      iterated_sampling: in every signature that completes missing modalities: other options than the model's own, or
        another number of steps.
      num_steps: short for that number.
      num_samples: behind each log-likelihood.
      observed: subsets of modalities to make signatures for; by default all of them, or, of more than four modalities,
        single ones and all but one.
      training: what the card says of the training and its data.
      metrics: what the card says of the model's quality.
      notes: what else its users should know: how images must look, the data's split, licences.

    Returns:
      The version's folder.

    Raises:
      FileExistsError: the version that was asked for exists.
      OSError: the folder cannot be written; nothing is left of the attempt.
      ValueError: options that make no sense.
    """
    folder, version = _name_and_version(Path(path).expanduser().resolve())
    described = {"training": dict(training or {}), "metrics": dict(metrics or {}), "notes": str(notes)}
    _check_json(described)
    iteration = iteration_of(model, iterated_sampling, num_steps)
    settings = Settings(iteration, num_samples, _subsets(observed))
    if keywords := [name for name in model.modalities if keyword.iskeyword(name)]:
        raise ValueError(f"A SavedModel has no input that is called by a word of Python's own; rename {keywords}.")
    made = endpoints(model, settings)
    if version is not None and (folder / str(version)).exists():
        raise FileExistsError(f"{folder / str(version)} exists; choose another version, or leave it out for the next.")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder, rf"{re.escape(_TEMPORARY)}.*")
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder))
    try:
        with explained(folder):
            _save(model, made, temporary)
            warm_up.write(temporary, folder.name, made)
        spec = replace(model.spec, name=folder.name, num_steps=int(iteration.num_steps))
        content = card.describe(spec, settings.num_samples, temporary)
        write_json(temporary / card.CARD, {**content, **described})
        temporary.chmod(0o755)  # mkdtemp's own mode would keep a server of another user out
        return _publish(temporary, folder, version)
    except tf.errors.OpError as error:
        raise OSError(f"The model could not be written to {folder}: {error.message}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # if nothing is in it


class _Served(tf.Module):
    """The reusable-SavedModel interface: `__call__`, what it is made of, and each endpoint by its name.

    Attributes:
      variables: that `__call__` reads; `trainable_variables` among them, `regularization_losses` of those.
      model_variables: all of the model.
    """

    variables = trainable_variables = ()  # attributes here, where tf.Module has properties

    def __init__(self, model: MultimodalVAE, made: Mapping[str, Endpoint]):
        super().__init__()
        self.__call__, called = _callable(made["encode"])
        self.model_variables = [variable.value for variable in model.weights]
        self.variables = list(called.variables)
        self.trainable_variables = list(called.trainable_variables)
        self.regularization_losses = [
            tf.function(functools.partial(variable.regularizer, variable.value), input_signature=[], autograph=False)
            for variable in model.trainable_weights
            if variable.regularizer and any(variable.value is used for used in called.trainable_variables)
        ]
        for name, endpoint in made.items():
            setattr(self, name, endpoint.function)


def _save(model: MultimodalVAE, made: Mapping[str, Endpoint], folder: Path) -> None:
    functions = {name: endpoint.function for name, endpoint in made.items()}
    tf.saved_model.save(_Served(model, made), str(folder), signatures=functions)


def _callable(encode: Endpoint) -> tuple[tf.types.experimental.GenericFunction, Any]:
    """What TF Hub calls: features of all modalities, the mean of z; `training` changes nothing. And one trace of it."""
    call = tf.function(lambda inputs, training=False: encode.function(inputs)["mean"], autograph=False)
    _, traced = (call.get_concrete_function(dict(encode.inputs), training=training) for training in (False, True))
    return call, traced


def _subsets(observed: Iterable[Iterable[str]] | None) -> tuple[tuple[str, ...], ...] | None:
    if observed is None:
        return None
    observed = list(observed)
    if any(isinstance(names, str) for names in observed):
        raise ValueError(
            f"observed must be a list of lists of modalities, such as [['x'], ['x', 'w']]; got {observed!r}."
        )
    return tuple(tuple(names) for names in observed)


def _check_json(content: Mapping[str, Any]) -> None:
    """Before anything is written."""
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"training and metrics must be finite numbers, texts, lists and dicts: {error}.") from error


def _name_and_version(path: Path) -> tuple[Path, int | None]:
    version = versions.version_of(path.name)
    folder = path if version is None else path.parent
    if not folder.name:
        raise ValueError(f"{path} has no name for the model; expected NAME, or NAME/VERSION.")
    return folder, version


def _publish(temporary: Path, folder: Path, version: int | None) -> Path:
    """Renames the finished folder to its version; two exports at once get two versions."""
    while True:
        target = folder / str(_next_version(folder) if version is None else version)
        try:
            temporary.rename(target)
            flush_folder(folder)
            return target
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        if version is not None:
            raise FileExistsError(f"{target} was written by another process; choose another version.")


def _next_version(folder: Path) -> int:
    there = (versions.version_of(path.name) for path in folder.iterdir())
    return 1 + max((version for version in there if version is not None), default=0)
