"""Export of models as SavedModels, which TF Serving, TF Hub and Keras load without this package.

NAME/VERSION/saved_model.pb, variables/     the graph and the weights
             assets.extra/                  warm-up requests for a server, one for each function
             model_card.json                description, and checksums of all files
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

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import names
from tf_jmvae._utils.files import explained, flush_folder, remove_abandoned, write_json
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.serving import card
from tf_jmvae.serving.functions import Settings
from tf_jmvae.serving.signatures import Endpoint, endpoints

WARM_UP = "assets.extra/tf_serving_warmup_requests"
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
    """Exports a model to `NAME/VERSION/`, atomically: a server that watches NAME never sees an incomplete version.

    Args:
      model: `MultimodalVAE` to export.
      path: folder `NAME`, under which the next free version is made, or `NAME/VERSION` with a number.
      iterated_sampling: an `IteratedSampling` or a number of steps, for every signature that completes missing
        modalities; by default the model's own options.
      num_steps: number of steps, which overrides only that option; by default the model's own.
      num_samples: number of importance samples for each log-likelihood; by default 100.
      observed: subsets of modalities to make signatures for; by default all subsets, or for more than four modalities
        the single ones and all but one. A model of more than four table columns that learns from incomplete rows needs
        none: its signatures of all modalities take rows with missing values.
      training: JSON object for the card about the training and its data; by default empty.
      metrics: dict of quality metrics for the card, by name; by default empty.
      notes: text for the card with further information for users, such as how images must look, the data's split and
        licences; by default empty.

    Returns:
      Path of the version's folder.

    Raises:
      FileExistsError: if the requested version exists.
      OSError: if the folder cannot be written; no partial export is left.
      ValueError: if an option is invalid.
    """
    path = Path(path).expanduser().resolve()
    version = card.version_of(path.name)
    folder = path if version is None else path.parent
    if not folder.name:
        raise ValueError(f"{path} has no name for the model; expected NAME, or NAME/VERSION.")
    described = {"training": dict(training or {}), "metrics": dict(metrics or {}), "notes": str(notes)}
    try:
        json.dumps(described, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"training and metrics must be finite numbers, texts, lists and dicts: {error}.") from error
    iteration = iteration_of(model, iterated_sampling, num_steps)
    settings = Settings(iteration, num_samples, observed)
    if keywords := [name for name in model.modalities if keyword.iskeyword(name)]:
        raise ValueError(f"The input of a SavedModel cannot be named by a keyword of Python; rename {keywords}.")
    made = endpoints(model, settings)
    if version is not None and (folder / str(version)).exists():
        raise FileExistsError(
            f"{folder / str(version)} exists; choose another version, or leave it out to get the next one."
        )
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder, rf"{re.escape(_TEMPORARY)}.*")
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder))
    try:
        with explained(folder):
            functions = {name: endpoint.function for name, endpoint in made.items()}
            tf.saved_model.save(_Served(model, made), str(temporary), signatures=functions)
            write_warm_up(temporary, folder.name, made)
        spec = replace(model.spec, name=folder.name, num_steps=int(iteration.num_steps))
        content = card.describe(spec, settings.num_samples, temporary)
        write_json(temporary / card.CARD, {**content, **described})
        temporary.chmod(0o755)  # mkdtemp's mode would deny access to a server of another user
        return _publish(temporary, folder, version)
    except tf.errors.OpError as error:
        raise OSError(f"The model could not be written to {folder}: {error.message}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # only succeeds if it is empty


class _Served(tf.Module):
    """Module with the reusable-SavedModel interface of TF Hub: `__call__`, its variables, and all endpoints by name.

    Attributes:
      __call__: function from all modalities to features, the mean of z; `training` has no effect.
      variables: list of the variables that `__call__` reads; `trainable_variables` are among them, and
        `regularization_losses` are theirs.
      model_variables: list of all variables of the model.
    """

    variables = trainable_variables = ()  # attributes rather than the properties of tf.Module

    def __init__(self, model: MultimodalVAE, made: Mapping[str, Endpoint]):
        super().__init__()
        encode = made["encode"]
        self.__call__ = tf.function(lambda inputs, training=False: encode.function(inputs)["mean"], autograph=False)
        for training in (False, True):  # TF Hub may ask for either
            called = self.__call__.get_concrete_function(dict(encode.inputs), training=training)
        self.model_variables = [variable.value for variable in model.weights]
        self.variables = list(called.variables)
        self.trainable_variables = list(called.trainable_variables)
        self.regularization_losses = [
            tf.function(functools.partial(variable.regularizer, variable.value), input_signature=[], autograph=False)
            for variable in model.trainable_weights
            if variable.regularizer and any(variable.value is used for used in called.trainable_variables)
        ]
        self.cells = [modality.cells.layer for modality in model.modalities.values() if modality.reads_texts]
        for name, endpoint in made.items():
            setattr(self, name, endpoint.function)


def write_warm_up(folder: Path, name: str, made: Mapping[str, Endpoint]) -> None:
    """Writes warm-up requests of one row to a version's folder, as TFRecords of `PredictionLog`.

    A warm-up request takes a server longer than a thousand ordinary ones, so there is one per function: none for
    signatures that only read or return images in another format, and one for signatures with several names.
    """
    path = folder / WARM_UP
    path.parent.mkdir()
    chosen = {}
    for signature in sorted(made, key=len):  # `InferenceModel` calls the shortest name
        if names.plain(signature) == signature or names.plain(signature) not in made:
            chosen.setdefault(made[signature].function, signature)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in chosen.values():
            writer.write(_prediction_log(name, signature, _example(made[signature])))


def _example(endpoint: Endpoint) -> dict[str, np.ndarray]:
    """Returns one row for each input: zeros, a small black image, or an empty text."""
    image = tf.io.encode_png(np.zeros((8, 8, 1), np.uint8)).numpy()
    strings = {name: image if name.endswith(names.BYTES) else b"" for name in endpoint.inputs}
    return {
        name: np.array([strings[name]], object)
        if spec.dtype == tf.string
        else np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in endpoint.inputs.items()
    }


def _prediction_log(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """Encodes a `PredictionLog` as protocol buffer, so that an export does not need TF Serving's package."""
    model_spec = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key, value in inputs.items():
        request += _field(2, _field(1, key.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString()))
    return _field(6, _field(1, request))  # predict_log.request


def _field(number: int, content: bytes) -> bytes:
    """Encodes a field of text, bytes or a message: number and wire type 2, length in groups of 7 bits, content."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _publish(temporary: Path, folder: Path, version: int | None) -> Path:
    """Renames the finished folder to its version; concurrent exports get different versions."""
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
    return 1 + max((card.version_of(path.name) or 0 for path in folder.iterdir()), default=0)
