"""Export: a model as a SavedModel that TF Serving, TF Hub and Keras load without this package.

NAME/VERSION/saved_model.pb, variables/     the graph and the weights
             assets.extra/                  requests that a server warms up with, one for each function
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

import numpy as np
import tensorflow as tf

from tf_jmvae._utils.files import explained, flush_folder, remove_abandoned, write_json
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.serving import card, names
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
    """Writes `NAME/VERSION/`, whole or not at all: a server that watches NAME never sees half a model.

    Args:
      model: Any model of the package.
      path: Folder `NAME`, which gets its next free version, or `NAME/VERSION` with a number.
      iterated_sampling: Options of iterated sampling, or its number of steps, in every signature that completes missing
        modalities; by default the model's own.
      num_steps: Number of steps alone; by default the model's own.
      num_samples: Number of importance samples behind each log-likelihood; by default 100.
      observed: Subsets of modalities to make signatures for; by default all of them, or, of more than four modalities,
        single ones and all but one; none of a model of more than four of a table's that learns from rows with gaps:
        it answers by signatures of all modalities, with gaps for those that are not known.
      training: JSON object for the card about the training and its data; by default empty.
      metrics: Numbers for the card about the model's quality, by name; by default none.
      notes: Text for the card on what else users should know, such as how images must look, the data's split, licences;
        by default empty.

    Returns:
      The version's folder.

    Raises:
      FileExistsError: the version that was asked for exists.
      OSError: the folder cannot be written; nothing is left of the attempt.
      ValueError: options that make no sense.
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
            functions = {name: endpoint.function for name, endpoint in made.items()}
            tf.saved_model.save(_Served(model, made), str(temporary), signatures=functions)
            write_warm_up(temporary, folder.name, made)
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
    """The reusable-SavedModel interface of TF Hub: `__call__`, its parts, and each endpoint by its name.

    Attributes:
      __call__: features of all modalities, the mean of z; `training` changes nothing.
      variables: that `__call__` reads; `trainable_variables` among them, `regularization_losses` of those.
      model_variables: all of the model.
    """

    variables = trainable_variables = ()  # attributes here, where tf.Module has properties

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
    """Writes requests of one row that a server warms up with into a version's folder, as TFRecords of `PredictionLog`.

    Each takes a server longer than a thousand ordinary ones, so there is one for each function: not for the signatures
    that read or give its images in another form, and one for those that are the same by several names.
    """
    path = folder / WARM_UP
    path.parent.mkdir()
    chosen = {}
    for signature in sorted(made, key=len):  # the shortest name is the one that `InferenceModel` asks for
        if names.plain(signature) == signature or names.plain(signature) not in made:
            chosen.setdefault(made[signature].function, signature)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in chosen.values():
            writer.write(_prediction_log(name, signature, _example(made[signature])))


def _example(endpoint: Endpoint) -> dict[str, np.ndarray]:
    """One row for each input: zeros, a small black image, or no text."""
    image = tf.io.encode_png(np.zeros((8, 8, 1), np.uint8)).numpy()
    strings = {name: image if name.endswith(names.BYTES) else b"" for name in endpoint.inputs}
    return {
        name: np.array([strings[name]], object)
        if spec.dtype == tf.string
        else np.zeros((1, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in endpoint.inputs.items()
    }


def _prediction_log(model: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A `PredictionLog` as protocol buffers encode it, so that an export needs no package of TF Serving."""
    model_spec = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for key, value in inputs.items():
        request += _field(2, _field(1, key.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString()))
    return _field(6, _field(1, request))  # predict_log.request


def _field(number: int, content: bytes) -> bytes:
    """A field of text, bytes or a message: its number and wire type 2, the length in groups of 7 bits, the content."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


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
    return 1 + max((card.version_of(path.name) or 0 for path in folder.iterdir()), default=0)
