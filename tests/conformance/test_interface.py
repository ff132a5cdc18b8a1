"""One interface: every kind of model gives one answer to every verb, wherever it runs, and that of the Keras model."""

import functools
import itertools

import exported
import numpy as np
import pytest
import tensorflow as tf
from serving_stub import ServingStub, pixels

import tf_jmvae as tj
from tf_jmvae.random.seeds import split as split_seeds
from tf_jmvae.registry import MODELS

ROWS = 3


def test_every_registered_kind_is_among_them():
    assert {cls for cls, *_ in exported.KINDS.values()} == {MODELS.get(name) for name in MODELS.names()}


@pytest.fixture(scope="module", params=exported.KINDS)
def case(request, exports, tmp_path_factory):
    """The model, what it is asked, and where it is: in memory, in a file, exported, and served."""
    with exported.optimizers(request.param in exported.OPTIMIZED):
        case = Case(request.param, exports(request.param), tmp_path_factory.mktemp("interface"))
        with ServingStub({}) as case.stub:
            case.stub.load("served", 1, case.version, case.opened("folder")._loaded)
            yield case


class Case:
    def __init__(self, kind, version, folder):
        self.kind, self.version, self.folder, self._opened = kind, version, folder, {}
        self.options = exported.KINDS[kind][-1]
        self.model = exported.make(kind, iterated_sampling=self.options.get("num_steps", 1))
        self.levels = {
            name: np.random.default_rng(2).integers(0, 256, (ROWS, *modality.event_shape)).astype(np.uint8)
            for name, modality in self.model.modalities.items()
            if modality.spec.is_image
        }
        scaled = {name: levels / np.float32(255) for name, levels in self.levels.items() if name == "x"}
        raw = {name: levels for name, levels in self.levels.items() if name == "r"}
        standardised = {name: value.numpy() for name, value in self.model.preprocess(raw).items()} if raw else {}
        self.values = exported.batch(self.model.modalities, ROWS) | scaled | standardised
        self.png = {name: [_encoded(image) for image in levels] for name, levels in self.levels.items()}
        self.model.save(folder / "model.keras")

    def opened(self, way):
        """The model, opened once in each of the ways."""
        handles = {
            "keras": self.folder / "model.keras",
            "folder": self.version.parent,
            "grpc": f"grpc://{self.stub.grpc}/v1/models/served",
            "rest": f"{self.stub.rest}/v1/models/served/versions/1",
        }
        if way not in self._opened:
            self._opened[way] = tj.open_model(handles[way])
        return self._opened[way]

    @functools.cached_property
    def answers(self):
        """What the Keras model says to each question."""
        return [answer(self.model) for _, _, answer in self.questions()]

    def subsets(self):
        """Everything that the model starts from, of what was exported."""
        names = list(self.values)
        every = [subset for size in range(1, len(names) + 1) for subset in itertools.combinations(names, size)]
        exported_ones = [*map(tuple, self.options.get("observed", every)), tuple(names)]
        return [subset for subset in every if subset in exported_ones and self.model.has_posterior(subset)]

    def questions(self):
        """`(words, a function of an opened model, a function of the Keras model)` for every verb."""
        model, spec = self.model, self.model.spec
        z = np.random.default_rng(4).normal(size=(ROWS, int(model.prior(_given(self)).event_shape[-1])))
        z = z.astype(np.float32)
        for subset in self.subsets():
            observed = {name: self.values[name] for name in subset}
            yield from self._from(subset, observed, z)
        yield "decode", lambda m: m.decode(z, _given(self)), lambda m: _means(m.likelihoods(z, conditions=_given(self)))
        yield (
            "log_likelihood",
            lambda m: {"": m.log_likelihood(self.values, seed=6)},
            lambda m: {"": exported.log_likelihood(m, self.values, _row_seeds(6, ROWS))},
        )
        if not spec.conditions:
            yield "sample", lambda m: m.sample(4, seed=8), lambda m: m.sample(4, seed=_row_seeds(8, 4))
            prior = tj.distributions.diagonal_gaussian(tf.zeros(z.shape), tf.ones(z.shape))
            yield (
                "latents of the prior",
                lambda m: {"": m.latents({}, z)},
                lambda m: {"": m.draw_latents(prior, tf.constant(z))},
            )
        if spec.first("attributes") and "r" in spec.modalities:
            yield "edit", self._edited, self._edited_by_hand
        yield "spec", _description, lambda m: _description(tj.open_model(m))

    def _from(self, subset, observed, z):
        model, words = self.model, " and ".join(subset)
        zeros, seeds = tf.zeros((ROWS, 2), tf.int32), _row_seeds(5, ROWS)
        chain_seeds = split_seeds(seeds, 3)[0]
        yield f"encode {words}", lambda m: m.encode(observed), lambda m: _gaussian(m.posterior(observed, seed=zeros))
        yield (
            f"latents of {words}",
            lambda m: {"": m.latents(observed, z, seed=5)},
            lambda m: {"": m.draw_latents(m.posterior(observed, seed=chain_seeds), tf.constant(z))},
        )
        yield (
            f"decode the latents of {words}",
            lambda m: m.decode(m.latents(observed), _given(self)),
            lambda m: m.generate(observed, targets=model.targets, latent="mean", seed=zeros),
        )
        others = [name for name in model.targets if name not in subset]
        for targets in (others, model.targets) if others not in ([], model.targets) else (model.targets,):
            yield (
                f"generate the mean {targets} from {words}",
                lambda m, targets=targets: m.generate(observed, targets=targets, latent="mean"),
                lambda m, targets=targets: m.generate(observed, targets=targets, latent="mean", seed=zeros),
            )
            yield (
                f"generate {targets} from {words}",
                lambda m, targets=targets: m.generate(observed, targets=targets, seed=5),
                lambda m, targets=targets: m.generate(observed, targets=targets, seed=seeds),
            )
        yield (
            f"generate {model.targets} from {words}, 2 samples",
            lambda m: m.generate(observed, targets=model.targets, num_samples=2, seed=5),
            lambda m: _samples(m, observed, model.targets, 2, 5),
        )
        if any(name in model.targets for name in subset):
            yield (
                f"reconstruct {words}",
                lambda m: m.reconstruct(observed),
                lambda m: m.reconstruct(observed, latent="mean", seed=zeros),
            )

    def _edited(self, model):
        image, seen = model.edit(self.levels["r"][0], {"Male": 1, "Bald": -2}, images="float")
        return {"image": image, "attributes": np.array(list(seen.values()), np.float32)}

    def _edited_by_hand(self, model):
        image, seed = {"r": self.values["r"][:1]}, tf.zeros((1, 2), tf.int32)
        seen = model.generate(image, targets=["a"], latent="mean", seed=seed)["a"].numpy()
        changed = seen.copy()
        changed[:, [0, 3]] = -2, 1
        means = [model.generate({"a": a}, targets=["r"], latent="mean", seed=seed)["r"] for a in (changed, seen)]
        return {"image": (image["r"] + means[0] - means[1])[0], "attributes": seen[0]}


def _encoded(image):
    return tf.io.encode_png(image).numpy()


def _row_seeds(seed, rows):
    return tf.constant(np.random.default_rng(seed).integers(0, 2**31, (rows, 2), np.int32))


def _given(case):
    return {name: case.values[name] for name in case.model.conditions} or None


def _gaussian(q):
    return {"mean": q.mean(), "standard_deviation": q.stddev()}


def _means(likelihoods):
    return {name: p.mean() for name, p in likelihoods.items()}


def _samples(model, observed, targets, count, seed):
    """Each sample is a row of its own, with a seed of its own."""
    repeated = {name: np.repeat(value, count, axis=0) for name, value in observed.items()}
    made = model.generate(repeated, targets=targets, seed=_row_seeds(seed, ROWS * count))
    return {name: tf.reshape(value, (ROWS, count, *value.shape[1:])) for name, value in made.items()}


def _description(opened):
    """What a model says of itself, as numbers that can be compared."""
    spec = opened.spec
    known = spec.to_json()
    text = repr([known[key] for key in ("kind", "modalities", "latent_dim", "num_steps")])
    return {"text": np.frombuffer(text.encode(), np.uint8), "z": np.array(opened.latent_size)}


def _assert_close(found, expected, words):
    assert found.keys() == expected.keys(), words
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=f"{words}: {name}")


# What a kind of model adds is in its graph; that a server's answers are those of the graph, two kinds show.
SERVED = ("jmvae_kl", "hierarchical")


def test_every_verb_gives_what_the_keras_model_gives(case, caplog):
    for way in ("keras", "folder", *(("grpc", "rest") if case.kind in SERVED else ())):
        model = case.opened(way)
        for (words, ask, _), expected in zip(case.questions(), case.answers, strict=True):
            _assert_close(ask(model), expected, f"{way}: {words}")
    assert "retracing" not in caplog.text  # a warning by which TensorFlow would trouble users


def test_pictures_are_one_in_every_form_that_they_are_given_and_shown_in(case):
    """As values, as pixels and as PNG, the model's inputs and outputs are the same."""
    shown = [name for name in case.levels if name in case.model.targets]
    for way in ("keras", "grpc"):
        model = case.opened(way)
        expected = model.reconstruct(case.values)
        levels = {name: case.model.pixels(name, expected[name]).numpy().astype(int) for name in shown}
        for form in (case.levels, case.png):
            _assert_close(model.reconstruct(case.values | form), expected, way)
        in_pixels, in_png = (model.reconstruct(case.values | case.png, images=images) for images in ("uint8", "png"))
        for name in shown:
            assert in_pixels[name].dtype == np.uint8
            assert np.abs(in_pixels[name] - levels[name]).max() <= 1
            assert np.abs(np.stack([pixels(data) for data in in_png[name]]) - levels[name]).max() <= 1
