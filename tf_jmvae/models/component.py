"""The base of the layers that models are put together from."""

from typing import Any

import keras

from tf_jmvae._utils.keras_api import flatten_layers


class Component(keras.layers.Layer):
    """Base of the layers of models, of which `model.summary()` shows what they give and, nested, what they hold."""

    def __init__(self, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # the layers that it holds cast what they read, and only that

    def _made(self, *output_shape: int) -> None:
        """Ends a constructor: the layer has its weights, and gives tensors or events `[B, *output_shape]`."""
        self.output_shape = (None, *output_shape)
        self.build(self.output_shape)

    @property
    def layers(self) -> list[keras.layers.Layer]:
        return flatten_layers(self, recursive=False, include_self=False)

    def __dir__(self) -> list[str]:
        """Without `layers`: in files Keras calls weights by the attributes that it finds here first."""
        return [name for name in super().__dir__() if name != "layers"]
