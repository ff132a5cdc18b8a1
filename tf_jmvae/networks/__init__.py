"""Networks of encoders and decoders as Keras models, which serve as prototypes.

The functions return prototypes: a `Modality` holds one, and a model makes a copy for each use (a tower of the joint
encoder, a subset encoder). Any Keras model or layer that can be made again from its config can serve instead. Copies do
not share weights. If the prototype is built, each copy starts from its weights: a pre-trained network, an adapted
`Normalization`, and every functional model, which is always built. If it is not built, as those made here, each copy
is initialised anew; `keras.models.clone_model(network)` returns a copy of a built network without its weights.
"""

from tf_jmvae.networks.blocks import BatchNormalization, conv_decoder, conv_encoder, mlp, upsampling
from tf_jmvae.networks.text import TextEncoder

__all__ = [
    "BatchNormalization",
    "TextEncoder",
    "conv_decoder",
    "conv_encoder",
    "mlp",
    "upsampling",
]
