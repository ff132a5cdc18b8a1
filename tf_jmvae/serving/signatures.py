"""The signatures of an exported model: one for each thing that can be asked, batch-first and without state.

A signature is a function of one dict of named tensors, `[B, ...]`. What is random takes a seed for each row,
so that a row's result does not depend on the batch that a server puts it in.
"""

import functools
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import tensorflow as tf

from tf_jmvae import checks, seeds
from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.evaluation.samples import Proposal, importance_weights
from tf_jmvae.images import tensors as images
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.serving import names

__all__ = ["Endpoint", "Settings", "endpoints"]

Tensors = dict[str, tf.Tensor]

_ALL_SUBSETS = 4  # modalities, up to which every subset has its signatures by default
_CHUNK = 25  # samples of the log-likelihood to decode at once
_SEED = tf.TensorSpec((None, 2), tf.int32, name="seed")


@dataclass(frozen=True)
class Endpoint:
    """A signature.

    Attributes:
      function: a `tf.function` of a dict of tensors, to one. Endpoints that give the same in another form call
        it, so that the graph holds everything once.
      inputs: their specs by name.
      outputs: likewise.
    """

    function: Callable[[Tensors], Tensors]
    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]

    @classmethod
    def of(
        cls,
        function: Callable[[Tensors], Tensors],
        inputs: Mapping[str, tf.TensorSpec],
        outputs: Mapping[str, tf.TensorSpec],
    ) -> "Endpoint":
        """The endpoint of a plain function, which is traced when it is first called or exported."""
        # TensorFlow counts traces by code and warns of many; these are of different functions.
        apart = functools.partial(function)
        traced = tf.function(apart, input_signature=[dict(inputs)], autograph=False)
        return cls(traced, dict(inputs), dict(outputs))


@dataclass(frozen=True)
class Settings:
    """What is fixed at export, because a scalar input would keep a server from joining requests.

    Attributes:
      iterated_sampling: how missing modalities are completed; by default as the model has it.
      num_samples: behind a log-likelihood.
      given: subsets of modalities to have signatures; None for all of them, or, of more than four modalities, for
        single ones and for all but one.
    """

    iterated_sampling: IteratedSampling | int | None = None
    num_samples: int = 100
    given: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "num_samples", checks.positive_integer("num_samples", self.num_samples))


def endpoints(model: MultimodalVAE, settings: Settings) -> dict[str, Endpoint]:
    """Every signature of a model by its name; see docs/serving.md.

    Raises:
      ValueError: `settings.given` names what the model does not have.
    """
    settings = replace(settings, iterated_sampling=model.iteration(settings.iterated_sampling))
    made = dict(_plain(model, settings))
    made |= dict(_in_formats(model, made))
    return {**made, "serving_default": made["encode"], "describe": _describe(model, settings)}


def _plain(model: MultimodalVAE, settings: Settings) -> Iterator[tuple[str, Endpoint]]:
    """Signatures whose images are in the model's own values, and those which read encoded images."""
    everything, targets = tuple(model.modalities), _specs(model, model.targets)
    z, noise = _latent(model, "z"), _latent(model, "noise")
    seed = {"seed": tf.TensorSpec((None, 2), tf.int32, name="seed")}
    gaussian = {name: tf.TensorSpec(z.shape, tf.float32, name=name) for name in ("mean", "standard_deviation")}

    def made(name, given, function, outputs, more=None):
        plain = Endpoint.of(function, {**_specs(model, given), **(more or {})}, outputs)
        yield name, plain
        if any(model.modalities[key].spec.is_image for key in given):
            yield name + names.BYTES, _reading_bytes(model, plain)

    def latents(name, given):
        seeded = seed if model.iterates(given, settings.iterated_sampling) else {}
        yield from made(name, given, _latents(model, settings), {"z": z}, {"noise": noise, **seeded})

    yield "latent_noise", Endpoint.of(_latent_noise(model, z.shape[-1]), seed, {"noise": noise})
    for given in _subsets(model, settings):
        yield from made(names.of_given("encode", given), given, _encode(model, settings), gaussian)
        if len(given) < len(everything):
            yield from latents(names.of_given("latents", given), given)
        for target in model.targets:
            if target not in given:
                for verb, latent, more in (("generate", "mean", None), ("sample", "sample", seed)):
                    function = _generate(model, settings, [target], latent)
                    output = {target: targets[target]}
                    yield from made(names.from_given(verb, target, given), given, function, output, more)
    yield from made("encode", everything, _encode(model, settings), gaussian)
    yield from latents("latents", everything)
    yield from made("reconstruct", everything, _generate(model, settings, model.targets, "mean"), targets)
    likelihood = {"log_likelihood": tf.TensorSpec((None,), tf.float32, name="log_likelihood")}
    yield from made("log_likelihood", everything, _log_likelihood(model, settings.num_samples), likelihood, seed)
    yield from made("decode", model.given, _decode(model), targets, {"z": z})
    if not model.given:
        yield "sample", Endpoint.of(lambda inputs: model.sample(_rows(inputs), **inputs), seed, targets)
        yield "latents_from_prior", Endpoint.of(_latents_from_prior(model), {"noise": noise}, {"z": z})
    for image, attributes in _editable(model):
        values = tf.TensorSpec((None, *model.modalities[attributes].event_shape))
        more = {name: tf.TensorSpec(values.shape, tf.float32, name=name)
                for name in (names.changed(attributes), names.kept(attributes))}  # fmt: skip
        outputs = {name: targets[name] for name in (image, attributes)}
        function = _edit(model, settings, image, attributes)
        yield from made(names.edit(image, attributes), [image], function, outputs, more)


def _encode(model: MultimodalVAE, settings: Settings) -> Callable[[Tensors], Tensors]:
    def encode(observed):
        iteration = settings.iterated_sampling
        q = model.posterior(observed, iterated_sampling=iteration, seed=_no_seeds(observed))
        return {"mean": q.mean(), "standard_deviation": q.stddev()}

    return encode


def _latents(model: MultimodalVAE, settings: Settings) -> Callable[[Tensors], Tensors]:
    """Z as generation draws it, from noise of the caller's own."""

    def latents(inputs):
        observed = {name: value for name, value in inputs.items() if name in model.modalities}
        seed = inputs.get("seed", _no_seeds(observed))
        q = model.posterior(observed, iterated_sampling=settings.iterated_sampling, seed=seed)
        return {"z": model.draw_latents(q, inputs["noise"])}

    return latents


def _latent_noise(model: MultimodalVAE, size: int) -> Callable[[Tensors], Tensors]:
    """The noise that the model's own `generate` draws from the same seeds."""

    def latent_noise(inputs):
        shape = (_rows(inputs), size)
        return {"noise": model.latent_noise(diagonal_gaussian(tf.zeros(shape), tf.ones(shape)), inputs["seed"])}

    return latent_noise


def _latents_from_prior(model: MultimodalVAE) -> Callable[[Tensors], Tensors]:
    def latents(inputs):
        noise = inputs["noise"]
        return {"z": model.draw_latents(diagonal_gaussian(tf.zeros_like(noise), tf.ones_like(noise)), noise)}

    return latents


def _generate(
    model: MultimodalVAE, settings: Settings, targets: Iterable[str], latent: str
) -> Callable[[Tensors], Tensors]:
    def generate(inputs):
        observed = {name: value for name, value in inputs.items() if name != "seed"}
        options = {"iterated_sampling": settings.iterated_sampling, "seed": inputs.get("seed", _no_seeds(observed))}
        return model.generate(observed, targets=targets, latent=latent, **options)

    return generate


def _edit(model: MultimodalVAE, settings: Settings, image: str, attributes: str) -> Callable[[Tensors], Tensors]:
    """The image with attributes changed, and those that the model saw in it: see `tf_jmvae.editing`."""
    attributes_of = _generate(model, settings, [attributes], "mean")
    mean_image_of = _generate(model, settings, [image], "mean")

    def edit(inputs):
        w = attributes_of({image: inputs[image]})[attributes]
        changed = tf.where(inputs[names.kept(attributes)] > 0, w, inputs[names.changed(attributes)])
        difference = mean_image_of({attributes: changed})[image] - mean_image_of({attributes: w})[image]
        return {image: inputs[image] + difference, attributes: w}

    return edit


def _editable(model: MultimodalVAE) -> list[tuple[str, str]]:
    """Images and attributes that follow from each other."""
    kinds = {name: model.modalities[name].spec.kind for name in model.targets if model.has_posterior([name])}
    images_, attributes = ([name for name in kinds if kinds[name] == kind] for kind in ("image", "attributes"))
    return list(itertools.product(images_, attributes))


def _describe(model: MultimodalVAE, settings: Settings) -> Endpoint:
    """What the model is, in JSON, for each row: a client need not know more than its address."""
    spec = replace(model.spec, num_steps=int(settings.iterated_sampling.num_steps))
    text = json.dumps(spec.to_json())

    def describe(inputs):
        return {names.encoded("description"): tf.repeat(text, tf.shape(inputs["rows"])[0])}

    output = tf.TensorSpec((None,), tf.string, name=names.encoded("description"))
    return Endpoint.of(describe, {"rows": tf.TensorSpec((None,), tf.int32, name="rows")}, {output.name: output})


def _decode(model: MultimodalVAE) -> Callable[[Tensors], Tensors]:
    def decode(inputs):
        given = {name: value for name, value in inputs.items() if name != "z"}
        return {name: p.mean() for name, p in model.likelihoods(inputs["z"], given=given or None).items()}

    return decode


def _log_likelihood(model: MultimodalVAE, num_samples: int) -> Callable[[Tensors], Tensors]:
    """The log of the mean importance weight, a few samples at a time."""
    draw = importance_weights(model, model.targets, Proposal(list(model.modalities)))
    chunk = math.gcd(num_samples, _CHUNK)

    def log_likelihood(inputs):
        batch = {name: value for name, value in inputs.items() if name != "seed"}
        posterior = draw.distribution(batch, 1, inputs["seed"])

        def more(index, total):
            terms = draw.log_terms(batch, posterior, chunk, seeds.fold_in(inputs["seed"], index))
            return index + 1, tf.reduce_logsumexp(tf.concat([total[:, None], terms], axis=1), axis=1)

        nothing = tf.fill((_rows(inputs),), tf.constant(-math.inf))
        total = tf.while_loop(lambda index, _: index < num_samples // chunk, more, (0, nothing))[1]
        return {"log_likelihood": total - math.log(num_samples)}

    return log_likelihood


def _in_formats(model: MultimodalVAE, plain: Mapping[str, Endpoint]) -> Iterator[tuple[str, Endpoint]]:
    """Those signatures which give an image, again with pixels as uint8, and with PNG."""
    for name, endpoint in plain.items():
        shown = [key for key in endpoint.outputs if key in model.modalities and model.modalities[key].spec.is_image]
        if shown:
            others = {key: spec for key, spec in endpoint.outputs.items() if key not in shown}
            whole = {key: tf.TensorSpec(endpoint.outputs[key].shape, tf.uint8, name=key) for key in shown}
            encoded = {names.encoded(key): tf.TensorSpec((None,), tf.string, name=names.encoded(key)) for key in shown}
            pixels = Endpoint.of(_as_uint8(model, shown, endpoint), endpoint.inputs, {**others, **whole})
            yield name + names.AS_UINT8, pixels
            yield name + names.AS_PNG, Endpoint.of(_as_png(shown, pixels), endpoint.inputs, {**others, **encoded})


def _as_uint8(model: MultimodalVAE, shown: list[str], plain: Endpoint) -> Callable[[Tensors], Tensors]:
    def convert(inputs):
        outputs = plain.function(inputs)
        return {name: model.pixels(name, value) if name in shown else value for name, value in outputs.items()}

    return convert


def _as_png(shown: list[str], pixels: Endpoint) -> Callable[[Tensors], Tensors]:
    def convert(inputs):
        outputs = pixels.function(inputs)
        encoded = {names.encoded(name): images.to_png(outputs[name]) for name in shown}
        return {**{name: value for name, value in outputs.items() if name not in shown}, **encoded}

    return convert


def _reading_bytes(model: MultimodalVAE, plain: Endpoint) -> Endpoint:
    """The same with encoded images, each of which a client may send as it is."""
    read = [name for name in plain.inputs if name in model.modalities and model.modalities[name].spec.is_image]
    encoded = {names.encoded(name): tf.TensorSpec((None,), tf.string, name=names.encoded(name)) for name in read}
    others = {name: spec for name, spec in plain.inputs.items() if name not in read}

    def decode(inputs):
        raw = {n: images.from_bytes(inputs[names.encoded(n)], model.modalities[n].spec) for n in read}
        return plain.function({**model.preprocess(raw), **{name: inputs[name] for name in others}})

    return Endpoint.of(decode, {**encoded, **others}, plain.outputs)


def _specs(model: MultimodalVAE, given: Iterable[str]) -> dict[str, tf.TensorSpec]:
    shapes = {name: (None, *model.modalities[name].event_shape) for name in given}
    return {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}


def _latent(model: MultimodalVAE, name: str) -> tf.TensorSpec:
    given = {key: tf.zeros((1, *model.modalities[key].event_shape)) for key in model.given}
    return tf.TensorSpec((None, model.prior(given).event_shape[-1]), tf.float32, name=name)


def _subsets(model: MultimodalVAE, settings: Settings) -> list[tuple[str, ...]]:
    """The subsets of modalities that have signatures, in the model's order."""
    count = len(model.modalities)
    if settings.given is None:
        sizes = range(1, count + 1) if count <= _ALL_SUBSETS else (1, count - 1, count)
        subsets = [subset for size in sizes for subset in itertools.combinations(model.modalities, size)]
        return [subset for subset in subsets if model.has_posterior(subset)]
    for subset in settings.given:
        checks.check_names(model.modalities, dict.fromkeys(subset))
        if not model.has_posterior(subset):
            raise ValueError(f"This {type(model).__name__} cannot start from {', '.join(map(repr, subset))} alone.")
    return [tuple(name for name in model.modalities if name in subset) for subset in settings.given]


def _rows(tensors: Tensors) -> tf.Tensor:
    return tf.shape(next(iter(tensors.values())))[0]


def _no_seeds(tensors: Tensors) -> tf.Tensor:
    """The same seed for every row: what is deterministic but for iterated sampling is deterministic."""
    return tf.zeros((_rows(tensors), 2), tf.int32)
