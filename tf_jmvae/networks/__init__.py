"""The paper's network blocks as Keras models: tensor in, tensor out.

What these functions return is a prototype: a `Modality` keeps it, and a model makes a copy wherever it needs one (a
tower of the joint encoder, a single encoder). Any Keras model or layer that can be made again from its config will do
in their place. A copy has weights of its own. Where the prototype has some already, each copy starts from them: a
pre-trained network, an adapted `Normalization`, also any functional model, whose weights come with it. Where it has
none yet, as those made here, each copy starts anew; `keras.models.clone_model(network)` gives one without its weights.
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
