"""The signatures of an exported model: one for each thing that can be asked, batch-first and without state.

A signature is a function of one dict of named tensors, `[B, ...]`. What is random takes a seed for each row,
so that a row's result does not depend on the batch that a server puts it in.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import tensorflow as tf

from tf_jmvae import checks, seeds
from tf_jmvae.evaluation.samples import Proposal, importance_weights
from tf_jmvae.models import MultimodalVAE
from tf_jmvae.serving import image_tensors, names

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
      targets: the modalities among the outputs.
    """

    function: Callable[[Tensors], Tensors]
    inputs: Mapping[str, tf.TensorSpec]
    targets: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, function: Callable[[Tensors], Tensors], inputs: Mapping[str, tf.TensorSpec], targets: Iterable[str] = ()
    ) -> "Endpoint":
        """The endpoint of a plain function, which is traced when it is first called or exported."""
        traced = tf.function(function, input_signature=[dict(inputs)], autograph=False)
        return cls(traced, dict(inputs), tuple(targets))


@dataclass(frozen=True)
class Settings:
    """What is fixed at export, because a scalar input would keep a server from joining requests.

    Attributes:
      num_steps: of iterated sampling.
      num_samples: behind a log-likelihood.
      given: subsets of modalities to have signatures; None for all of them, or, of more than four modalities, for
        single ones and for all but one.
    """

    num_steps: int = 1
    num_samples: int = 100
    given: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self):
        checks.positive_integer("num_steps", self.num_steps)
        checks.positive_integer("num_samples", self.num_samples)


def endpoints(model: MultimodalVAE, settings: Settings) -> dict[str, Endpoint]:
    """Every signature of a model by its name; see docs/serving.md.

    Raises:
      ValueError: `settings.given` names what the model does not have.
    """
    made = dict(_plain(model, settings))
    made |= dict(_in_formats(model, made))
    return {**made, "serving_default": made["encode"]}


def _plain(model: MultimodalVAE, settings: Settings) -> Iterator[tuple[str, Endpoint]]:
    """Signatures whose images are in the model's own values, and those which read encoded images."""
    everything, seeded = tuple(model.modalities), {"seed": _SEED}

    def made(name, given, function, more=None, targets=()):
        plain = Endpoint.of(function, {**_specs(model, given), **(more or {})}, targets)
        yield name, plain
        if any(image_tensors.is_image(model.modalities[key]) for key in given):
            yield name + names.BYTES, _reading_bytes(model, plain)

    for given in _subsets(model, settings):
        yield from made(names.encode(given), given, _encode(model, settings))
        for target in model.targets:
            if target not in given:
                for verb, latent, more in (("generate", "mean", None), ("sample", "sample", seeded)):
                    function = _generate(model, settings, [target], latent)
                    yield from made(names.from_given(verb, target, given), given, function, more, [target])
    yield from made("encode", everything, _encode(model, settings))
    yield from made("reconstruct", everything, _generate(model, settings, model.targets, "mean"), None, model.targets)
    yield from made("log_likelihood", everything, _log_likelihood(model, settings.num_samples), seeded)
    yield from made("decode", model.given, _decode(model), {"z": _latent(model)}, model.targets)
    if not model.given:
        sample = Endpoint.of(lambda inputs: model.sample(_rows(inputs), **inputs), seeded, model.targets)
        yield "sample", sample


def _encode(model: MultimodalVAE, settings: Settings) -> Callable[[Tensors], Tensors]:
    def encode(observed):
        q = model.posterior(observed, num_steps=settings.num_steps, seed=_no_seeds(observed))
        return {"mean": q.mean(), "standard_deviation": q.stddev()}

    return encode


def _generate(
    model: MultimodalVAE, settings: Settings, targets: Iterable[str], latent: str
) -> Callable[[Tensors], Tensors]:
    def generate(inputs):
        observed = {name: value for name, value in inputs.items() if name != "seed"}
        seed = inputs.get("seed", _no_seeds(observed))
        return model.generate(observed, targets=targets, latent=latent, num_steps=settings.num_steps, seed=seed)

    return generate


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
        images = {target for target in endpoint.targets if image_tensors.is_image(model.modalities[target])}
        if images:
            pixels = Endpoint.of(_as_uint8(model, images, endpoint), endpoint.inputs)
            yield name + names.AS_UINT8, pixels
            yield name + names.AS_PNG, Endpoint.of(_as_png(images, pixels), endpoint.inputs)


def _as_uint8(model: MultimodalVAE, images: set[str], plain: Endpoint) -> Callable[[Tensors], Tensors]:
    def convert(inputs):
        return {
            name: image_tensors.to_uint8(model, name, value) if name in images else value
            for name, value in plain.function(inputs).items()
        }

    return convert


def _as_png(images: set[str], pixels: Endpoint) -> Callable[[Tensors], Tensors]:
    def convert(inputs):
        outputs = pixels.function(inputs)
        encoded = {names.encoded(name): image_tensors.to_png(outputs[name]) for name in images}
        return {**{name: value for name, value in outputs.items() if name not in images}, **encoded}

    return convert


def _reading_bytes(model: MultimodalVAE, plain: Endpoint) -> Endpoint:
    """The same with encoded images, each of which a client may send as it is."""
    images = [
        name for name in plain.inputs if name in model.modalities and image_tensors.is_image(model.modalities[name])
    ]
    encoded = {names.encoded(name): tf.TensorSpec((None,), tf.string, name=names.encoded(name)) for name in images}
    others = {name: spec for name, spec in plain.inputs.items() if name not in images}

    def decode(inputs):
        decoded = {name: image_tensors.from_bytes(model, name, inputs[names.encoded(name)]) for name in images}
        return plain.function({**decoded, **{name: inputs[name] for name in others}})

    return Endpoint.of(decode, {**encoded, **others}, plain.targets)


def _specs(model: MultimodalVAE, given: Iterable[str]) -> dict[str, tf.TensorSpec]:
    shapes = {name: (None, *model.modalities[name].event_shape) for name in given}
    return {name: tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()}


def _latent(model: MultimodalVAE) -> tf.TensorSpec:
    given = {name: tf.zeros((1, *model.modalities[name].event_shape)) for name in model.given}
    return tf.TensorSpec((None, model.prior(given).event_shape[-1]), tf.float32, name="z")


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
