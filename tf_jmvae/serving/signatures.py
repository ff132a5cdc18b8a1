"""Signatures of an exported model: one for each method and its inputs, batch-first and stateless.

A signature is a function of one dict of named tensors, `[B, ...]`. Random signatures take a seed for each row, so that
a row's result does not depend on its batch on the server.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import tensorflow as tf

from tf_jmvae._utils import checks, names
from tf_jmvae.images import preprocessing_in_graph as images
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.models.directions import ALL_SUBSETS, subsets
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.serving import cells
from tf_jmvae.serving.endpoint import Endpoint, Specs
from tf_jmvae.serving.functions import Functions, Settings
from tf_jmvae.serving.request import IMAGE_AXES

_SEED = tf.TensorSpec((None, 2), tf.int32, name="seed")


def endpoints(model: MultimodalVAE, settings: Settings) -> dict[str, Endpoint]:
    """Makes all signatures of a model by name; see docs/serving.md."""
    settings = replace(settings, iterated_sampling=iteration_of(model, settings.iterated_sampling))
    decoders = _decoders(model)
    made = dict(_plain(model, settings, decoders))
    whole = names.of_given("encode", model.modalities)
    for form in ("", names.BYTES):  # the same function under both names, traced once
        if whole + form in made:
            made[whole + form] = made["encode" + form]
    plain = {name: endpoint for name, endpoint in made.items() if names.plain(name) == name}
    of_cells = cells.of_cells(model, plain, decoders, settings.num_samples)
    made |= dict(_in_formats(model, made)) | dict(of_cells)
    return {**made, "serving_default": made["encode"]}


def _plain(model: MultimodalVAE, settings: Settings, decoders: cells.Decoders) -> Iterator[tuple[str, Endpoint]]:
    """Yields signatures with images in the model's own values, and those that read encoded images."""
    everything, targets = tuple(model.modalities), _specs(model, model.targets)
    of, seed = Functions(model, settings), {"seed": _SEED}
    z, noise, mean, stddev = (
        {name: tf.TensorSpec((None, of.model.latent_size), tf.float32, name=name)}
        for name in ("z", "noise", "mean", "standard_deviation")
    )

    def made(name, given, function, outputs, more=None):
        plain = Endpoint.of(function, {**_specs(model, given), **(more or {})}, outputs)
        yield name, plain
        if any(key in decoders for key in given):
            yield name + names.BYTES, _reading_bytes(plain, decoders)

    def latents(name, given):
        seeded = seed if model.iterates(given, settings.iterated_sampling) else {}
        yield from made(name, given, of.latents, z, {**noise, **seeded})

    yield "latent_noise", Endpoint.of(of.latent_noise, seed, noise)
    for given in _subsets(model, settings):
        yield from made(names.of_given("encode", given), given, of.encode, mean | stddev)
        if len(given) < len(everything):
            yield from latents(names.of_given("latents", given), given)
        for target in model.targets:
            if target not in given:
                for verb, latent, more in (("generate", "mean", None), ("sample", "sample", seed)):
                    function = functools.partial(of.generate, targets=[target], latent=latent)
                    name = names.of_given(f"{verb}_{target}", given)
                    yield from made(name, given, function, {target: targets[target]}, more)
    yield from made("encode", everything, of.encode, mean | stddev)
    yield from latents("latents", everything)
    yield from made("reconstruct", everything, functools.partial(of.generate, targets=model.targets), targets)
    likelihood = {"log_likelihood": tf.TensorSpec((None,), tf.float32, name="log_likelihood")}
    yield from made("log_likelihood", everything, of.log_likelihood, likelihood, seed)
    yield from made("decode", model.conditions, of.decode, targets, z)
    if not model.conditions:
        yield "sample", Endpoint.of(of.sample, seed, targets)
        yield "latents_from_prior", Endpoint.of(of.latents_from_prior, noise, z)
    if model.fitted_prior is not None:
        density = {"log_density": tf.TensorSpec((None,), tf.float32, name="log_density")}
        yield "sample_from_fitted_prior", Endpoint.of(of.sample_from_fitted_prior, seed, targets)
        yield "fitted_prior_log_density", Endpoint.of(of.fitted_prior_log_density, z, density)
    for image, attributes in _editable(model):
        shape = (None, *model.modalities[attributes].event_shape)
        more = {name: tf.TensorSpec(shape, tf.float32, name=name) for name in names.edit_inputs(attributes)}
        outputs = {name: targets[name] for name in (image, attributes)}
        edit = functools.partial(of.edit, image=image, attributes=attributes)
        yield from made(names.edit(image, attributes), [image], edit, outputs, more)
    rows = tf.TensorSpec((None,), tf.int32, name="rows")
    text = tf.TensorSpec((None,), tf.string, name=names.encoded("description"))
    yield "describe", Endpoint.of(of.describe, {"rows": rows}, {text.name: text})


def _editable(model: MultimodalVAE) -> list[tuple[str, str]]:
    """Returns pairs of an image and an attribute modality, each with its own posterior."""
    kinds = {name: model.modalities[name].spec.kind for name in model.targets if model.has_posterior([name])}
    images_, attributes = ([name for name in kinds if kinds[name] == kind] for kind in ("image", "attributes"))
    return list(itertools.product(images_, attributes))


def _in_formats(model: MultimodalVAE, plain: Mapping[str, Endpoint]) -> Iterator[tuple[str, Endpoint]]:
    """Yields variants of the signatures with image outputs: as uint8 pixel values, and as PNG."""
    encoders = {
        name: tf.function(
            images.to_png, input_signature=[tf.TensorSpec((None, *modality.event_shape), tf.uint8)], autograph=False
        )
        for name, modality in model.modalities.items()
        if modality.spec.is_image
    }
    for name, endpoint in plain.items():
        made = [
            key for key, spec in endpoint.outputs.items() if spec.shape.rank == IMAGE_AXES
        ]  # z may have the name of a modality
        shown = [key for key in made if key in encoders]
        if shown:
            whole = {key: tf.TensorSpec(endpoint.outputs[key].shape, tf.uint8, name=key) for key in shown}
            encoded = {key: tf.TensorSpec((None,), tf.string, name=names.encoded(key)) for key in shown}
            pixels = _converted(endpoint, whole, model.pixels)
            yield name + names.AS_UINT8, pixels
            yield name + names.AS_PNG, _converted(pixels, encoded, lambda key, value: encoders[key](value))


def _converted(endpoint: Endpoint, specs: Specs, convert: Callable[[str, tf.Tensor], tf.Tensor]) -> Endpoint:
    """Returns the endpoint with the outputs in `specs` converted, and named after their specs."""
    specs = {**endpoint.outputs, **specs}

    def converted(inputs):
        outputs = endpoint.function(inputs)
        changed = {key: convert(key, value) for key, value in outputs.items() if specs[key] != endpoint.outputs[key]}
        return {specs[key].name: changed.get(key, value) for key, value in outputs.items()}

    return Endpoint.of(converted, endpoint.inputs, {spec.name: spec for spec in specs.values()})


def _decoders(model: MultimodalVAE) -> cells.Decoders:
    """Returns functions from encoded images, strings `[B]`, to the model's own values, for each image modality.

    Empty strings are missing values for an optional modality.
    """

    def decode(name: str, encoded: tf.Tensor) -> tf.Tensor:
        return model.preprocess({name: images.from_bytes(encoded, model.modalities[name].spec)})[name]

    def decode_any(name: str, encoded: tf.Tensor) -> tf.Tensor:
        own = functools.partial(decode, name)
        return cells.decoded_with_gaps(own, encoded) if model.modalities[name].optional else own(encoded)

    signature = [tf.TensorSpec((None,), tf.string)]
    return {
        name: tf.function(functools.partial(decode_any, name), input_signature=signature, autograph=False)
        for name, modality in model.modalities.items()
        if modality.spec.is_image
    }


def _reading_bytes(plain: Endpoint, decoders: cells.Decoders) -> Endpoint:
    """Returns the endpoint with encoded images as inputs, so that a client can send image files unchanged."""
    read = [name for name in plain.inputs if name in decoders]
    encoded = {names.encoded(name): tf.TensorSpec((None,), tf.string, name=names.encoded(name)) for name in read}
    others = {name: spec for name, spec in plain.inputs.items() if name not in read}

    def decode(inputs):
        values = {name: decoders[name](inputs[names.encoded(name)]) for name in read}
        return plain.function({**values, **{name: inputs[name] for name in others}})

    return Endpoint.of(decode, {**encoded, **others}, plain.outputs)


def _specs(model: MultimodalVAE, given: Iterable[str]) -> Specs:
    shapes = {name: (None, *model.modalities[name].event_shape) for name in given}
    return {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}


def _subsets(model: MultimodalVAE, settings: Settings) -> list[tuple[str, ...]]:
    """Returns the subsets of modalities with signatures, in the model's order; `ValueError` for unknown ones."""
    if settings.observed is None:
        return [] if cells.fills(model) and len(model.modalities) > ALL_SUBSETS else subsets(model)
    observed = list(settings.observed)
    if any(isinstance(subset, str) for subset in observed):
        raise ValueError(
            f"observed must be a list of lists of modalities, such as [['x'], ['x', 'w']]; got {observed!r}."
        )
    observed = [tuple(subset) for subset in observed]
    for subset in observed:
        checks.check_names(model.modalities, dict.fromkeys(subset))
        if not model.has_posterior(subset):
            raise ValueError(f"This {type(model).__name__} cannot start from {', '.join(map(repr, subset))} alone.")
    return [tuple(name for name in model.modalities if name in subset) for subset in observed]
