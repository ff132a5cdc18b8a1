"""Floating-point operations of a model's networks, counted from the shapes of their layers.

A dense layer of n inputs and m outputs is a matrix product of `2 n m` operations per example; a convolution is the
product of its patches with its kernel. Training makes three products of each: the outputs, the kernel's gradient and
the inputs' gradient, which layers that read data do not need. Activations, likelihoods and the optimizer are left out.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator

import keras

from tf_jmvae.models import JMVAE
from tf_jmvae.models.components import Decoder, Encoder, Towers


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer as a matrix product: `[examples * rows, inputs] x [inputs, outputs]`."""

    rows: int
    inputs: int
    outputs: int
    reads_data: bool = False

    @property
    def flops(self) -> int:
        """Of one example, forward."""
        return 2 * self.rows * self.inputs * self.outputs


@dataclasses.dataclass(frozen=True)
class Product:
    """`[rows, inner] x [inner, columns]`."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Of all of it."""
        return 2 * self.rows * self.inner * self.columns


def layers(model: JMVAE) -> list[Layer]:
    """Every layer of a model with a joint encoder that has a kernel."""
    encoders = [model.encoder, *getattr(model, "subset_encoders", {}).values()]
    found = [layer for encoder in encoders for layer in encoder_layers(encoder)]
    shared = getattr(model, "shared_encoders", None)
    if shared is not None:  # of every modality a tower and a projection, of every subset a head
        found += _towers(shared.towers)
        found += [Layer(1, *layer.kernel.shape) for layer in shared.projections.values()]
        count, units, outputs = shared.kernel.shape
        found += [Layer(1, units, outputs)] * count
    return found + [layer for decoder in model.decoders.values() for layer in decoder_layers(decoder)]


def encoder_layers(encoder: Encoder, known: Iterable[str] = ()) -> list[Layer]:
    """Of one encoder, without the towers of modalities whose features are known."""
    trunk = [] if encoder.towers.trunk is None else list(_of(encoder.towers.trunk))
    return _towers(encoder.towers, known) + trunk + _heads(encoder.head)


def _towers(towers: Towers, known: Iterable[str] = ()) -> list[Layer]:
    found = []
    for name, tower in towers.towers.items():
        if name not in known:
            first, *rest = _of(tower)
            found += [dataclasses.replace(first, reads_data=True), *rest]
    return found


def decoder_layers(decoder: Decoder) -> list[Layer]:
    """Of one decoder."""
    return [*_of(decoder.network), *_heads(decoder.head)]


def training_flops(model: JMVAE) -> int:
    """Of a training step, per example."""
    return sum(layer.flops * (2 if layer.reads_data else 3) for layer in layers(model))


def training_products(model: JMVAE, batch: int) -> list[Product]:
    """The matrix products of a training step: of each layer its outputs, its kernel's gradient and its inputs'."""
    found = []
    for layer in layers(model):
        rows = batch * layer.rows
        found += [Product(rows, layer.inputs, layer.outputs), Product(layer.inputs, rows, layer.outputs)]
        if not layer.reads_data:
            found.append(Product(rows, layer.outputs, layer.inputs))
    return found


def forward_products(found: Iterable[Layer], batch: int) -> list[Product]:
    """The matrix products of layers, forward only."""
    return [Product(batch * layer.rows, layer.inputs, layer.outputs) for layer in found]


def _of(network: keras.layers.Layer) -> Iterator[Layer]:
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dense):
            yield Layer(1, *layer.kernel.shape)
        elif isinstance(layer, keras.layers.Conv2DTranspose):
            yield _transposed(layer, layer.input.shape[1:3])
        elif isinstance(layer, keras.layers.Conv2D):
            *patch, channels = layer.kernel.shape
            yield Layer(math.prod(layer.output.shape[1:3]), math.prod(patch), channels)


def _heads(head: keras.layers.Layer) -> list[Layer]:
    found = []
    for layer in head._projections:
        if isinstance(layer, keras.layers.Dense):
            found.append(Layer(1, *layer.kernel.shape))
        else:
            size = [length // stride for length, stride in zip(head.event_shape, layer.strides, strict=False)]
            found.append(_transposed(layer, size))
    return found


def _transposed(layer: keras.layers.Conv2DTranspose, size: Iterable[int]) -> Layer:
    """Each input pixel is spread over a patch of outputs."""
    *window, outputs, inputs = layer.kernel.shape
    return Layer(math.prod(size), inputs, math.prod(window) * outputs)
