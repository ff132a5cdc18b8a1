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
    """

    function: Callable[[Tensors], Tensors]
    inputs: Mapping[str, tf.TensorSpec]

    @classmethod
    def of(cls, function: Callable[[Tensors], Tensors], inputs: Mapping[str, tf.TensorSpec]) -> "Endpoint":
        """The endpoint of a plain function, which is traced when it is first called or exported."""
        return cls(tf.function(function, input_signature=[dict(inputs)], autograph=False), dict(inputs))


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
    everything = tuple(model.modalities)
    yield "encode", _endpoint(model, everything, _encode(model, settings))
    for given in _subsets(model, settings):
        yield from _with_bytes(model, names.encode(given), given, _encode(model, settings))
        for target in model.targets:
            if target not in given:
                generate = _generate(model, settings, [target])
                yield from _with_bytes(model, names.from_given("generate", target, given), given, generate)
                sample = _generate(model, settings, [target], latent="sample")
                name = names.from_given("sample", target, given)
                yield from _with_bytes(model, name, given, sample, {"seed": _SEED})
    yield "reconstruct", _endpoint(model, everything, _generate(model, settings, model.targets))
    yield "log_likelihood", _endpoint(model, everything, _log_likelihood(model, settings.num_samples), {"seed": _SEED})
    latent_dim = model.prior(_zeros(model, model.given)).event_shape[-1]
    z = tf.TensorSpec((None, latent_dim), tf.float32, name="z")
    yield "decode", _endpoint(model, model.given, _decode(model), {"z": z})
    if not model.given:
        yield "sample", _endpoint(model, (), lambda inputs: model.sample(_rows(inputs), **inputs), {"seed": _SEED})


def _encode(model: MultimodalVAE, settings: Settings) -> Callable[[Tensors], Tensors]:
    def encode(observed):
        q = model.posterior(observed, num_steps=settings.num_steps, seed=_no_seeds(observed))
        return {"mean": q.mean(), "standard_deviation": q.stddev()}

    return encode


def _generate(
    model: MultimodalVAE, settings: Settings, targets: Iterable[str], latent: str = "mean"
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
    images = {name for name in model.targets if image_tensors.is_image(model.modalities[name])}
    for name, endpoint in plain.items():
        if images & _outputs(model, name):
            yield name + names.AS_UINT8, Endpoint.of(_as_uint8(model, images, endpoint.function), endpoint.inputs)
            yield name + names.AS_PNG, Endpoint.of(_as_png(model, images, endpoint.function), endpoint.inputs)


def _as_uint8(model: MultimodalVAE, images: set[str], function: Callable[[Tensors], Tensors]):
    def converted(inputs):
        outputs = function(inputs)
        return {
            name: image_tensors.to_uint8(model, name, value) if name in images else value
            for name, value in outputs.items()
        }

    return converted


def _as_png(model: MultimodalVAE, images: set[str], function: Callable[[Tensors], Tensors]):
    as_uint8 = _as_uint8(model, images, function)

    def converted(inputs):
        return dict(
            (names.encoded(name), image_tensors.to_png(value)) if name in images else (name, value)
            for name, value in as_uint8(inputs).items()
        )

    return converted


def _outputs(model: MultimodalVAE, name: str) -> set[str]:
    """The modalities that a signature gives."""
    if name in ("reconstruct", "decode", "sample"):
        return set(model.targets)
    verb, _, rest = name.partition("_")
    return {target for target in model.targets if verb in ("generate", "sample") and rest.startswith(f"{target}_from_")}


def _with_bytes(
    model: MultimodalVAE,
    name: str,
    given: Iterable[str],
    function: Callable[[Tensors], Tensors],
    more: Mapping[str, tf.TensorSpec] | None = None,
) -> Iterator[tuple[str, Endpoint]]:
    """A signature, and where images are given the same one for encoded images."""
    plain = _endpoint(model, given, function, more)
    yield name, plain
    images = [name for name in given if image_tensors.is_image(model.modalities[name])]
    if not images:
        return
    inputs = {
        names.encoded(name) if name in images else name: tf.TensorSpec((None,), tf.string, name=names.encoded(name))
        if name in images
        else _spec(model, name)
        for name in given
    }

    def from_bytes(tensors):
        decoded = {name: image_tensors.from_bytes(model, name, tensors[names.encoded(name)]) for name in images}
        rest = {name: value for name, value in tensors.items() if name in model.modalities or name == "seed"}
        return plain.function({**decoded, **rest})

    yield name + names.BYTES, Endpoint.of(from_bytes, {**inputs, **(more or {})})


def _endpoint(
    model: MultimodalVAE,
    given: Iterable[str],
    function: Callable[[Tensors], Tensors],
    more: Mapping[str, tf.TensorSpec] | None = None,
) -> Endpoint:
    return Endpoint.of(function, {**{name: _spec(model, name) for name in given}, **(more or {})})


def _spec(model: MultimodalVAE, name: str) -> tf.TensorSpec:
    return tf.TensorSpec((None, *model.modalities[name].event_shape), tf.float32, name=name)


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


def _zeros(model: MultimodalVAE, given: Iterable[str]) -> Tensors:
    return {name: tf.zeros((1, *model.modalities[name].event_shape)) for name in given}


def _rows(tensors: Tensors) -> tf.Tensor:
    return tf.shape(next(iter(tensors.values())))[0]


def _no_seeds(tensors: Tensors) -> tf.Tensor:
    """The same seed for every row: what is deterministic but for iterated sampling is deterministic."""
    return tf.zeros((_rows(tensors), 2), tf.int32)
