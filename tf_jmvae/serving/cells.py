"""Signatures on table cells: classes by name, texts, numbers in their unit and encoded images."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tf_jmvae._utils import names
from tf_jmvae.columns.numbers import Numbers
from tf_jmvae.evaluation import expected
from tf_jmvae.images import preprocessing_in_graph as images
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving.endpoint import Endpoint, Specs

Decoders = Mapping[str, Callable[[tf.Tensor], tf.Tensor]]


def fills(model: MultimodalVAE) -> bool:
    """Returns whether all modalities are optional table columns and the model reads rows with any of them missing."""
    of_gaps = all(modality.columns and modality.optional for modality in model.modalities.values())
    return of_gaps and model.incomplete_rows and not model.conditions


def decoded_with_gaps(decode: Callable[[tf.Tensor], tf.Tensor], encoded: tf.Tensor) -> tf.Tensor:
    """Decodes encoded images, strings `[B]`, by `decode`, with NaN in the rows of empty strings."""
    gap, blank = encoded == "", tf.io.encode_png(tf.zeros((1, 1, 3), tf.uint8))
    return tf.where(gap[:, None, None, None], np.nan, decode(tf.where(gap, blank, encoded)))


def of_cells(
    model: MultimodalVAE, plain: Mapping[str, Endpoint], decoders: Decoders, num_samples: int
) -> Iterator[tuple[str, Endpoint]]:
    """Yields, for a model of table columns, a variant of each signature on modalities, named with `_as_cells`.

    Empty texts and bytes are missing values. `spread_as_cells` returns the decoder's stddev of numbers and counts, and
    `fill_as_cells` the expected value of every cell of a row, from `num_samples` samples. `decoders` convert encoded
    images to the model's own values.
    """
    columns = [modality.columns for modality in model.modalities.values()]
    if not any(columns):
        return
    for name, endpoint in plain.items():
        tensors = {*endpoint.inputs, *endpoint.outputs}
        if tensors & set(model.modalities) and not name.startswith("edit_"):
            yield name + names.CELLS, _of_cells(model, endpoint, decoders)
    numbers = [name for name in model.targets if isinstance(model.modalities[name].cells, Numbers)]
    if numbers:
        yield "spread" + names.CELLS, _spread(model, plain["decode"], numbers)
    if fills(model):
        fill = _fill(model, plain["log_likelihood"].inputs, plain["reconstruct"].outputs, num_samples)
        yield names.FILL, _of_cells(model, fill, decoders)


def _spread(model: MultimodalVAE, decode: Endpoint, numbers: list[str]) -> Endpoint:
    """Returns the endpoint of the stddev under p(m | z) of numbers and counts, in their unit."""

    def answer(values):
        conditions = {name: value for name, value in values.items() if name != "z"}
        found = model.likelihoods(values["z"], conditions=conditions or None, names=numbers)
        return {name: p.stddev() * _scales(model).get(name, 1.0) for name, p in found.items()}

    return Endpoint.of(answer, decode.inputs, {name: decode.outputs[name] for name in numbers})


def _fill(model: MultimodalVAE, inputs: Specs, values: Specs, num_samples: int) -> Endpoint:
    """Returns the endpoint of expectations, in the model's own values, and their uncertainties, in table units."""
    kinds = {name: modality.cells for name, modality in model.modalities.items()}
    spreads = {name: names.spread(name) for name, kind in kinds.items() if isinstance(kind, Numbers)}
    texts = {name: names.probability(name) for name, kind in kinds.items() if kind.is_text and not kind.averages}
    outputs = {**values}
    outputs |= {tensor: tf.TensorSpec(values[name].shape, tf.float32, name=tensor) for name, tensor in spreads.items()}
    outputs |= {tensor: tf.TensorSpec((None,), tf.float32, name=tensor) for tensor in texts.values()}

    def answer(given):
        observed = {name: given[name] for name in model.modalities}
        found, scales = expected.given(model, observed, given["seed"], num_samples), _scales(model)
        made = {name: own["value"] for name, own in found.items()}
        made |= {tensor: found[name]["stddev"] * scales.get(name, 1.0) for name, tensor in spreads.items()}
        return made | {tensor: found[name]["probability"] for name, tensor in texts.items()}

    return Endpoint.of(answer, inputs, outputs)


def _scales(model: MultimodalVAE) -> dict[str, tf.Tensor]:
    """Returns the factors from the model's units to table units, for standardised modalities."""
    return {name: layer.stddev for name, layer in model.standardizations.items()}


def _of_cells(model: MultimodalVAE, plain: Endpoint, decoders: Decoders) -> Endpoint:
    read = {name: _spec_of_cells(model, name) for name in plain.inputs if name in model.modalities}
    inputs = {spec.name: spec for spec in read.values()}
    inputs |= {name: spec for name, spec in plain.inputs.items() if name not in read}
    written = [name for name in plain.outputs if name in model.modalities and plain.outputs[name].shape.rank > 1]
    outputs = {name: spec for name, spec in plain.outputs.items() if name not in written}
    for name in written:
        spec = _spec_of_cells(model, name)
        outputs[spec.name] = spec
        if model.modalities[name].spec.kind == "label":
            outputs[name] = plain.outputs[name]

    def answer(values):
        own = {name: _read(model, name, values[spec.name], decoders) for name, spec in read.items()}
        found = plain.function({**own, **{name: values[name] for name in plain.inputs if name not in read}})
        cells = {_spec_of_cells(model, name).name: _written(model, name, found[name]) for name in written}
        return {name: cells.get(name, found.get(name)) for name in outputs}

    return Endpoint.of(answer, inputs, outputs)


def _spec_of_cells(model: MultimodalVAE, name: str) -> tf.TensorSpec:
    modality = model.modalities[name]
    if modality.spec.is_image:
        return tf.TensorSpec((None,), tf.string, name=names.encoded(name))
    if modality.reads_texts:
        return tf.TensorSpec((None,), tf.string, name=names.text(name))
    return tf.TensorSpec((None, *modality.event_shape), tf.float32, name=name)


def _read(model: MultimodalVAE, name: str, cells: tf.Tensor, decoders: Decoders) -> tf.Tensor:
    modality = model.modalities[name]
    if modality.spec.is_image:
        # A missing image that the model requires becomes NaN, and affects no other row.
        return decoders[name](cells) if modality.optional else decoded_with_gaps(decoders[name], cells)
    if modality.reads_texts:
        return tf.ensure_shape(modality.cells.from_strings(cells), (None, *modality.event_shape))
    return model.standardizations[name](cells) if name in model.standardizations else cells


def _written(model: MultimodalVAE, name: str, values: tf.Tensor) -> tf.Tensor:
    modality = model.modalities[name]
    if modality.spec.is_image:
        return images.to_png(model.pixels(name, values))
    if modality.reads_texts:
        return modality.cells.to_strings(values)
    return model.standardizations[name].inverse(values) if name in model.standardizations else values
