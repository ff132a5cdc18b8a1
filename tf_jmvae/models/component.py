"""`Component`, the base class of the layers of which models are composed."""

from typing import Any

import keras

from tf_jmvae._utils.keras_api import flatten_layers


class Component(keras.layers.Layer):
    """Base layer of model components, whose output shape and nested layers `model.summary()` shows."""

    def __init__(self, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # nested layers cast their own inputs

    def _made(self, *output_shape: int) -> None:
        """Marks the layer as built at the end of a constructor; outputs are tensors or events `[B, *output_shape]`."""
        self.output_shape = (None, *output_shape)
        self.build(self.output_shape)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        return flatten_layers(self, recursive=False, include_self=False)

    def __dir__(self) -> list[str]:
        """Hides `layers`, because Keras names weights in files by the first attribute found here."""
        return [name for name in super().__dir__() if name != "layers"]
