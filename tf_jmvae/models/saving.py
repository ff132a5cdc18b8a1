"""Models in files: Keras's own format, and SavedModels."""

import os
import pathlib
from typing import Any

import keras

from tf_jmvae.models.components import parts

__all__ = ["Saving"]


class Saving:
    """Configuration, saving and export of models."""

    def get_config(self) -> dict[str, Any]:
        serialized = {name: keras.saving.serialize_keras_object(m) for name, m in self.modalities.items()}
        own = {
            "modalities": serialized,
            "latent_dim": self.latent_dim,
            "iterated_sampling": keras.saving.serialize_keras_object(self.iterated_sampling),
            "frozen": [place for place, layer in parts(self) if not layer.trainable],
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        with keras.saving.custom_object_scope(custom_objects or {}):
            settings = {key: keras.saving.deserialize_keras_object(value) for key, value in config.items()}
            frozen = settings.pop("frozen", None)
            if "given" in settings:  # of a file of the first version
                settings["conditions"] = settings.pop("given")
            model = cls(**settings)
        for place, layer in parts(model) if frozen is not None else ():
            layer.trainable = place not in frozen  # in this order: what a layer is told, those in it are told
        return model

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def save(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """As Keras's, to a `.keras` file.

        Args:
          filepath: where.
          *args: as of `keras.Model.save`.
          **kwargs: likewise.

        Raises:
          ValueError: HDF5, which cannot hold such a model.
        """
        if str(filepath).lower().endswith((".h5", ".hdf5")):
            raise ValueError(
                f"Save as .keras, as in model.save('model.keras'): HDF5 holds no model of this kind; got {filepath}. "
                "For weights alone there is save_weights('model.weights.h5')."
            )
        super().save(filepath, *args, **kwargs)

    def export(
        self, filepath: str | os.PathLike, format: str = "tf_saved_model", verbose: bool | None = None, **options: Any
    ) -> pathlib.Path:
        """Writes a SavedModel for TF Serving and TF Hub, with a signature for everything that the model can be asked.

        Args:
          filepath: `NAME`, which gets its next free version, or `NAME/VERSION`, with a number.
          format: `"tf_saved_model"`; of Keras's formats there is no other.
          verbose: print where the model is.
          **options: see `tf_jmvae.serving.export`.

        Returns:
          The version's folder.

        Raises:
          ValueError: another format, or Keras's `input_signature`; and see `tf_jmvae.serving.export`.
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
