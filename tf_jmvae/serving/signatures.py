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
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tf_jmvae._utils import checks
from tf_jmvae.distributions import diagonal_gaussian
from tf_jmvae.evaluation.samples import Proposal, importance_weights
from tf_jmvae.images import tensors as images
from tf_jmvae.models import IteratedSampling, MultimodalVAE
from tf_jmvae.models.iterated_sampling import iteration_of
from tf_jmvae.random import seeds
from tf_jmvae.serving import names
from tf_jmvae.serving.request import IMAGE_AXES

__all__ = ["Endpoint", "Settings", "endpoints"]

tfd = tfp.distributions

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
      observed: subsets of modalities to have signatures; None for all of them, or, of more than four modalities, for
        single ones and for all but one.
    """

    iterated_sampling: IteratedSampling | int | None = None
    num_samples: int = 100
    observed: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self):
        object.__setattr__(self, "num_samples", checks.positive_integer("num_samples", self.num_samples))


def endpoints(model: MultimodalVAE, settings: Settings) -> dict[str, Endpoint]:
    """Every signature of a model by its name; see docs/serving.md.

    Raises:
      ValueError: `settings.observed` names what the model does not have.
    """
    settings = replace(settings, iterated_sampling=iteration_of(model, settings.iterated_sampling))
    made = dict(_plain(model, settings))
    whole = names.of_given("encode", model.modalities)
    for form in ("", names.BYTES):  # one function, which is traced once
        if whole + form in made:
            made[whole + form] = made["encode" + form]
    made |= dict(_in_formats(model, made))
    return {**made, "serving_default": made["encode"]}


def _plain(model: MultimodalVAE, settings: Settings) -> Iterator[tuple[str, Endpoint]]:
    """Signatures whose images are in the model's own values, and those which read encoded images."""
    everything, targets = tuple(model.modalities), _specs(model, model.targets)
    size = _latent_size(model)
    of, seed = _Functions(model, settings, size), {"seed": _SEED}
    z, noise, mean, stddev = (
        {name: tf.TensorSpec((None, size), tf.float32, name=name)}
        for name in ("z", "noise", "mean", "standard_deviation")
    )

    def made(name, given, function, outputs, more=None):
        plain = Endpoint.of(function, {**_specs(model, given), **(more or {})}, outputs)
        yield name, plain
        if any(model.modalities[key].spec.is_image for key in given):
            yield name + names.BYTES, _reading_bytes(model, plain)

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
                    name, function = names.of_given(f"{verb}_{target}", given), of.generating(target, latent=latent)
                    yield from made(name, given, function, {target: targets[target]}, more)
    yield from made("encode", everything, of.encode, mean | stddev)
    yield from latents("latents", everything)
    yield from made("reconstruct", everything, of.generating(*model.targets), targets)
    likelihood = {"log_likelihood": tf.TensorSpec((None,), tf.float32, name="log_likelihood")}
    yield from made("log_likelihood", everything, of.log_likelihood, likelihood, seed)
    yield from made("decode", model.conditions, of.decode, targets, z)
    if not model.conditions:
        yield "sample", Endpoint.of(of.sample, seed, targets)
        yield "latents_from_prior", Endpoint.of(of.latents_from_prior, noise, z)
    for image, attributes in _editable(model):
        shape = (None, *model.modalities[attributes].event_shape)
        inputs = (names.changed(attributes), names.kept(attributes))
        more = {name: tf.TensorSpec(shape, tf.float32, name=name) for name in inputs}
        outputs = {name: targets[name] for name in (image, attributes)}
        yield from made(names.edit(image, attributes), [image], of.editing(image, attributes), outputs, more)
    rows = tf.TensorSpec((None,), tf.int32, name="rows")
    text = tf.TensorSpec((None,), tf.string, name=names.encoded("description"))
    yield "describe", Endpoint.of(of.describe, {"rows": rows}, {text.name: text})


@dataclass(frozen=True)
class _Functions:
    """What signatures compute: functions of a dict of named tensors, to one."""

    model: MultimodalVAE
    settings: Settings
    latent_size: int

    def encode(self, inputs: Tensors) -> Tensors:
        q = self._posterior(inputs)
        return {"mean": q.mean(), "standard_deviation": q.stddev()}

    def latents(self, inputs: Tensors) -> Tensors:
        """Z as generation draws it, from noise of the caller's own."""
        return {"z": self.model.draw_latents(self._posterior(inputs), inputs["noise"])}

    def latents_from_prior(self, inputs: Tensors) -> Tensors:
        noise = inputs["noise"]
        return {"z": self.model.draw_latents(diagonal_gaussian(tf.zeros_like(noise), tf.ones_like(noise)), noise)}

    def latent_noise(self, inputs: Tensors) -> Tensors:
        """The noise that the model's own `generate` draws from the same seeds."""
        shape = (_rows(inputs), self.latent_size)
        return {"noise": self.model.latent_noise(diagonal_gaussian(tf.zeros(shape), tf.ones(shape)), inputs["seed"])}

    def generate(self, inputs: Tensors, targets: Iterable[str], latent: str = "mean") -> Tensors:
        return self.model.generate(**self._observed(inputs), targets=targets, latent=latent)

    def generating(self, *targets: str, latent: str = "mean") -> Callable[[Tensors], Tensors]:
        return lambda inputs: self.generate(inputs, targets, latent)

    def editing(self, image: str, attributes: str) -> Callable[[Tensors], Tensors]:
        """The image with attributes changed, and those that the model saw in it: see `tf_jmvae.editing`."""

        def edit(inputs):
            w = self.generate({image: inputs[image]}, [attributes])[attributes]
            changed = tf.where(inputs[names.kept(attributes)] > 0, w, inputs[names.changed(attributes)])
            mean, old = (self.generate({attributes: value}, [image])[image] for value in (changed, w))
            return {image: inputs[image] + (mean - old), attributes: w}

        return edit

    def sample(self, inputs: Tensors) -> Tensors:
        return self.model.sample(_rows(inputs), **inputs)

    def decode(self, inputs: Tensors) -> Tensors:
        conditions = {name: value for name, value in inputs.items() if name != "z"}
        return {
            name: p.mean() for name, p in self.model.likelihoods(inputs["z"], conditions=conditions or None).items()
        }

    def log_likelihood(self, inputs: Tensors) -> Tensors:
        """The log of the mean importance weight, a few samples at a time."""
        draw = importance_weights(self.model, self.model.targets, Proposal(list(self.model.modalities)))
        num_samples = self.settings.num_samples
        chunk = math.gcd(num_samples, _CHUNK)
        batch = {name: value for name, value in inputs.items() if name != "seed"}
        posterior = draw.distribution(batch, 1, inputs["seed"])

        def more(index, total):
            terms = draw.log_terms(batch, posterior, chunk, seeds.fold_in(inputs["seed"], index))
            return index + 1, tf.reduce_logsumexp(tf.concat([total[:, None], terms], axis=1), axis=1)

        nothing = tf.fill((_rows(inputs),), tf.constant(-math.inf))
        total = tf.while_loop(lambda index, _: index < num_samples // chunk, more, (0, nothing))[1]
        return {"log_likelihood": total - math.log(num_samples)}

    def describe(self, inputs: Tensors) -> Tensors:
        """What the model is, in JSON, for each row: a client need not know more than its address."""
        spec = replace(self.model.spec, num_steps=int(self.settings.iterated_sampling.num_steps))
        return {names.encoded("description"): tf.repeat(json.dumps(spec.to_json()), _rows(inputs))}

    def _observed(self, inputs: Tensors) -> dict[str, Any]:
        observed = {name: value for name, value in inputs.items() if name in self.model.modalities}
        # The same seed for every row: what is deterministic but for iterated sampling is deterministic.
        seed = inputs.get("seed", tf.zeros((_rows(observed), 2), tf.int32))
        return {"observed": observed, "iterated_sampling": self.settings.iterated_sampling, "seed": seed}

    def _posterior(self, inputs: Tensors) -> tfd.Distribution:
        return self.model.posterior(**self._observed(inputs))


def _editable(model: MultimodalVAE) -> list[tuple[str, str]]:
    """Images and attributes that follow from each other."""
    kinds = {name: model.modalities[name].spec.kind for name in model.targets if model.has_posterior([name])}
    images_, attributes = ([name for name in kinds if kinds[name] == kind] for kind in ("image", "attributes"))
    return list(itertools.product(images_, attributes))


def _in_formats(model: MultimodalVAE, plain: Mapping[str, Endpoint]) -> Iterator[tuple[str, Endpoint]]:
    """Those signatures which give an image, again with pixels as uint8, and with PNG."""
    for name, endpoint in plain.items():
        made = {
            key: spec for key, spec in endpoint.outputs.items() if spec.shape.rank == IMAGE_AXES
        }  # z may share a name
        shown = [key for key in made if key in model.modalities and model.modalities[key].spec.is_image]
        if shown:
            whole = {key: tf.TensorSpec(endpoint.outputs[key].shape, tf.uint8, name=key) for key in shown}
            encoded = {key: tf.TensorSpec((None,), tf.string, name=names.encoded(key)) for key in shown}
            pixels = _converted(endpoint, whole, model.pixels)
            yield name + names.AS_UINT8, pixels
            yield name + names.AS_PNG, _converted(pixels, encoded, lambda _, value: images.to_png(value))


def _converted(
    endpoint: Endpoint, specs: Mapping[str, tf.TensorSpec], convert: Callable[[str, tf.Tensor], tf.Tensor]
) -> Endpoint:
    """The same with those outputs converted of which there are specs, and called as these are."""
    specs = {**endpoint.outputs, **specs}

    def converted(inputs):
        outputs = endpoint.function(inputs)
        changed = {key: convert(key, value) for key, value in outputs.items() if specs[key] != endpoint.outputs[key]}
        return {specs[key].name: changed.get(key, value) for key, value in outputs.items()}

    return Endpoint.of(converted, endpoint.inputs, {spec.name: spec for spec in specs.values()})


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


def _latent_size(model: MultimodalVAE) -> int:
    conditions = {key: tf.zeros((1, *model.modalities[key].event_shape)) for key in model.conditions}
    return int(model.prior(conditions).event_shape[-1])


def _subsets(model: MultimodalVAE, settings: Settings) -> list[tuple[str, ...]]:
    """The subsets of modalities that have signatures, in the model's order."""
    count = len(model.modalities)
    if settings.observed is None:
        sizes = range(1, count + 1) if count <= _ALL_SUBSETS else (1, count - 1, count)
        subsets = [subset for size in sizes for subset in itertools.combinations(model.modalities, size)]
        return [subset for subset in subsets if model.has_posterior(subset)]
    for subset in settings.observed:
        checks.check_names(model.modalities, dict.fromkeys(subset))
        if not model.has_posterior(subset):
            raise ValueError(f"This {type(model).__name__} cannot start from {', '.join(map(repr, subset))} alone.")
    return [tuple(name for name in model.modalities if name in subset) for subset in settings.observed]


def _rows(tensors: Tensors) -> tf.Tensor:
    return tf.shape(next(iter(tensors.values())))[0]
