"""Saving and loading of models as `.keras` files and weights, and export as SavedModels."""

import contextlib
import json
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import h5py
import keras
import numpy as np

from tf_jmvae._utils.checks import listed
from tf_jmvae._utils.keras_api import saves_as_hdf5
from tf_jmvae.models.components import parts, places
from tf_jmvae.models.fitted_prior import FittedPrior

_FITTED_PRIOR = "fitted_prior_"  # prefix of keys of its parameters
_STRUCTURE = "structure"  # key, among a model's own variables, of the record of its structure
_NO_HDF5 = (
    "Save as .keras, as in model.save('model.keras'): HDF5 cannot hold a model of this kind. For the weights alone, "
    "use save_weights('model.weights.h5')."
)


class Saving:
    """Mixin of configuration, saving and export of models."""

    def get_config(self) -> dict[str, Any]:
        if saves_as_hdf5():
            raise ValueError(_NO_HDF5)
        serialized = {name: keras.saving.serialize_keras_object(m) for name, m in self.modalities.items()}
        own = {
            "modalities": serialized,
            "latent_dim": self.latent_dim,
            "conditions": list(self.conditions),
            "iterated_sampling": keras.saving.serialize_keras_object(self.iterated_sampling),
            "frozen": [place for place, layer in parts(self) if not layer.trainable],
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        with keras.saving.custom_object_scope(custom_objects or {}):
            settings = {key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
            frozen = settings.pop("frozen", None)
            if "given" in settings:  # in files of the first version
                settings["conditions"] = settings.pop("given")
            model = cls(**settings)
        for place, layer in parts(model) if frozen is not None else ():
            layer.trainable = place not in frozen  # owners first, because a layer sets `trainable` of its sublayers
        return model

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        """Writes the model's own variables and a record of its structure.

        Args:
          store: mapping of Keras's from keys to arrays, part of a file of weights.
        """
        super().save_own_variables(store)
        store[_STRUCTURE] = np.frombuffer(json.dumps(self._structure()).encode(), np.uint8)
        for name, value in vars(self.fitted_prior).items() if self.fitted_prior else ():
            store[_FITTED_PRIOR + name] = value

    def load_own_variables(self, store: Any) -> None:
        """Reads the variables that `save_own_variables` writes.

        Args:
          store: mapping of Keras's from keys to arrays, part of a file of weights.

        Raises:
          ValueError: if the weights belong to another model.
        """
        if _STRUCTURE in store.keys():  # noqa: SIM118
            _check_structure("The file", json.loads(np.asarray(store[_STRUCTURE]).tobytes()), self._structure())
        own = {key: store[key] for key in store.keys() if key != _STRUCTURE}  # noqa: SIM118
        prior = {key: np.asarray(own.pop(key)) for key in list(own) if key.startswith(_FITTED_PRIOR)}
        super().load_own_variables(own)
        prior = {key.removeprefix(_FITTED_PRIOR): value for key, value in prior.items()}
        self.fitted_prior = FittedPrior(**prior) if prior else None

    def load_weights(self, filepath: str | os.PathLike, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Loads weights as Keras does, after a check that they belong to the same kind of model and ordered modalities.

        Keras matches the networks in a file by their order alone.

        Args:
          filepath: path of a `.weights.h5` or a `.keras` file.
          skip_mismatch: whether to skip the check, and load, with a warning, the networks whose place and shape fit;
            False by default.
          **kwargs: other options of `keras.Model.load_weights`.

        Raises:
          ValueError: if the weights belong to another model; the message says how the two differ.
        """
        if not skip_mismatch and (recorded := _recorded_structure(pathlib.Path(filepath))):
            _check_structure(filepath, recorded, self._structure())  # before any weight is changed
        super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def _structure(self) -> dict[str, Any]:
        """Returns the model's structure as JSON types: its class, its modalities in order, and all layer paths."""
        layers = [place for place, *_ in places(self)]
        return {"kind": type(self).__name__, "modalities": list(self.modalities), "layers": layers}

    def save(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Saves the model to a `.keras` file, as Keras does.

        Args:
          filepath: path of the file.
          *args: other arguments of `keras.Model.save`.
          **kwargs: other arguments of `keras.Model.save`.

        Raises:
          ValueError: if the path ends in `.h5` or `.hdf5`: HDF5 cannot hold such a model.
        """
        if str(filepath).lower().endswith((".h5", ".hdf5")):
            raise ValueError(f"{_NO_HDF5} Got {filepath}.")
        super().save(filepath, *args, **kwargs)

    def export(
        self, filepath: str | os.PathLike, format: str = "tf_saved_model", verbose: bool | None = None, **options: Any
    ) -> pathlib.Path:
        """Exports a SavedModel for TF Serving and TF Hub, with signatures for all methods of the model.

        Args:
          filepath: path `NAME`, under which the next free version is made, or `NAME/VERSION`, with a number.
          format: `"tf_saved_model"`, the default and only supported format.
          verbose: whether to print the path of the exported model; None, the default, does not.
          **options: options of `tf_jmvae.serving.export`.

        Returns:
          `pathlib.Path` of the version's folder.

        Raises:
          ValueError: if another format or Keras's `input_signature` is given; and as `tf_jmvae.serving.export`.
        """
        from tf_jmvae.serving import export

        if format != "tf_saved_model" or options.pop("input_signature", None) is not None:
            raise ValueError(
                "export writes format='tf_saved_model' only, and its signatures follow from modalities and observed, "
                f"not from an input_signature; got format={format!r}."
            )
        folder = export(self, filepath, **options)
        if verbose:
            print(f"Exported to {folder}.")
        return folder


def _recorded_structure(path: pathlib.Path) -> dict[str, Any] | None:
    """Reads the structure recorded in a file of weights; None if it has none, as in the first version."""
    with contextlib.suppress(KeyError, OSError, ValueError, zipfile.BadZipFile), contextlib.ExitStack() as stack:
        source: Any = path
        if path.suffix == ".keras":
            archive = stack.enter_context(zipfile.ZipFile(path))
            source = stack.enter_context(archive.open("model.weights.h5"))
        file = stack.enter_context(h5py.File(source))
        return json.loads(np.asarray(file["vars"][_STRUCTURE]).tobytes())
    return None


def _check_structure(source: Any, recorded: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    if recorded != own:
        raise ValueError(f"{source} holds weights of another model: {_difference(recorded, own)}")


def _difference(recorded: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Describes why weights do not belong to a model, and what to do."""
    if recorded["kind"] != own["kind"]:
        return (
            f"of a {recorded['kind']}, but this is a {own['kind']}. Make a model of that kind, or take over single "
            "networks: their weights by model.networks()."
        )
    if recorded["modalities"] != own["modalities"]:
        return (
            f"its modalities are {listed(recorded['modalities'])}, in this order, and this model's are "
            f"{listed(own['modalities'])}. Pass the same modalities in the file's order."
        )
    theirs, ours = recorded["layers"], own["layers"]
    first = next(name for name in [*theirs, *ours] if not (name in theirs and name in ours))
    which = "the file" if first in theirs else "this model"
    return f"only {which} has {first!r}. Make the model with the same options and networks."
