"""What holds for every model of any modalities: drawn by Hypothesis, the same examples in every run."""

import string

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf
from hypothesis import given, settings
from record import WRITES
from small_models import set_seeds

import tf_jmvae as tj
from tf_jmvae.training.config import Config

# Building a model takes tenths of a second, so examples are few and each is asked for everything.
FEW = settings(
    max_examples=40 if WRITES else 6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.generate] if not WRITES else list(hypothesis.Phase),
    suppress_health_check=list(hypothesis.HealthCheck),
)
NAMES = ["x", "w", "c", "audio"]
MOST = 4 if WRITES else 3  # modalities: their subsets are twice as many with each
LIKELIHOODS = ["bernoulli", "categorical", "gaussian", "laplace", "counts", "negative_binomial", "beta", "ordinal"]
MODELS = ["jmvae", "jmvae-kl", "hierarchical-jmvae", "cvae", "cmma"]


@st.composite
def _modalities(draw, least=1):
    names = NAMES[: draw(st.integers(least, MOST))]
    modalities = {}
    for name in names:
        likelihood = draw(st.sampled_from(LIKELIHOODS))
        shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
        if likelihood in ("categorical", "ordinal"):
            shape[-1] = draw(st.integers(2, 5))
        modalities[name] = (tuple(shape), likelihood, draw(st.sampled_from([0.5, 1.0])))
    return modalities


_CASES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(MODELS),
        "described": _modalities(least=2),
        "latent_dim": st.integers(1, 5),
        "size": st.integers(1, 6),
        "subsets": st.sampled_from(["all", "single", "shared"]),
        "num_layers": st.integers(1, 3),
        "target": st.integers(0, 1),
        "seed": st.integers(0, 1000),
    }
)


def _made(case):
    """The model of a case, and a batch."""
    set_seeds(case["seed"])
    modalities = {
        name: tj.Modality(shape, likelihood, weight=weight, encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))
        for name, (shape, likelihood, weight) in case["described"].items()
    }
    cls, options = {
        "jmvae": (tj.JMVAE, {}),
        "jmvae-kl": (tj.JMVAEKL, {"alpha": 0.3, "subsets": case["subsets"]}),
        "hierarchical-jmvae": (tj.HierarchicalJMVAE, {"num_layers": case["num_layers"]}),
        "cvae": (tj.CVAE, {"target": list(modalities)[case["target"]]}),
        "cmma": (tj.CMMA, {"target": list(modalities)[case["target"]]}),
    }[case["kind"]]
    model = cls(modalities, case["latent_dim"], **options)
    return model, _batch(case["described"], case["size"], np.random.default_rng(case["seed"]))


def _batch(described, size, random):
    batch = {}
    for name, (shape, likelihood, _) in described.items():
        if likelihood == "bernoulli":
            batch[name] = random.integers(0, 2, (size, *shape)).astype(np.float32)
        elif likelihood in ("categorical", "ordinal"):
            batch[name] = np.eye(shape[-1], dtype=np.float32)[random.integers(0, shape[-1], (size, *shape[:-1]))]
        elif likelihood == "beta":
            batch[name] = random.uniform(0.01, 0.99, (size, *shape)).astype(np.float32)
        elif likelihood in ("counts", "negative_binomial"):
            batch[name] = random.poisson(2.0, (size, *shape)).astype(np.float32)
        else:
            batch[name] = random.normal(size=(size, *shape)).astype(np.float32)
    return batch


def _subsets(model):
    """What may be observed: for models of one direction, what is given, with and without the targets."""
    if model.conditions:
        return [model.conditions, [*model.conditions, *model.targets]]
    names = list(model.modalities)
    subsets = [[name for bit, name in enumerate(names) if number >> bit & 1] for number in range(1, 2 ** len(names))]
    single = getattr(model, "subsets", None) == "single"
    return [names_ for names_ in subsets if not single or len(names_) in (1, len(names))]


@FEW
@given(_CASES)
def test_every_model_of_any_modalities(case):
    model, batch = _made(case)
    size = len(next(iter(batch.values())))
    terms = model.objective({name: tf.constant(value) for name, value in batch.items()}, tf.constant([1, 2]))

    # Terms are finite, of shape [B]; KL divergences in closed form are not negative; the ELBO is a sum.
    assert {f"log_p_{name}" for name in model.targets} <= set(terms)
    for name, term in terms.items():
        assert term.value.shape == (size,), name
        assert np.isfinite(term.value).all(), name
        assert np.sign(term.coefficient) == (1 if name.startswith("log_p_") else -1)
        if name.startswith("kl_"):
            assert (term.value.numpy() > -1e-3).all(), name
    in_elbo = [term for name, term in terms.items() if name.startswith(("kl_prior", "log_p_"))]
    total = sum(term.coefficient * term.value.numpy() for term in in_elbo)
    np.testing.assert_allclose(model.elbo(batch, seed=tf.constant([1, 2])), total, rtol=1e-4, atol=1e-4)

    # Every subset generates every target, in its shape and in the support of its likelihood.
    for observed in _subsets(model):
        seen = {name: batch[name] for name in observed}
        made = model.generate(seen, targets=model.targets, num_samples=2, seed=3)
        assert list(made) == model.targets
        for name, values in made.items():
            modality = model.modalities[name]
            assert values.shape == (size, 2, *modality.event_shape), (observed, name)
            assert np.isfinite(values).all()
            if modality.likelihood in ("categorical", "ordinal"):
                np.testing.assert_allclose(values.numpy().sum(-1), 1, rtol=1e-5)
            elif modality.likelihood in ("bernoulli", "beta"):
                assert 0 <= values.numpy().min() <= values.numpy().max() <= 1
            elif modality.likelihood in ("counts", "negative_binomial"):
                assert values.numpy().min() >= 0

    # Rows do not know of each other: a permuted batch has the permuted posterior.
    order = np.random.default_rng(0).permutation(size)
    for observed in (_subsets(model)[0], _subsets(model)[-1]):
        posteriors = [
            model.posterior({name: batch[name][rows] for name in observed}, seed=1) for rows in (np.arange(size), order)
        ]
        for part in ("mean", "stddev"):
            straight, permuted = (getattr(posterior, part)().numpy() for posterior in posteriors)
            np.testing.assert_allclose(straight[order], permuted, rtol=1e-4, atol=1e-5)

    # A copy made from the configuration, with the same weights, gives the same bound.
    copy = type(model).from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy.elbo(batch, seed=5), model.elbo(batch, seed=5), rtol=1e-5, atol=1e-5)


@FEW
@given(_CASES, st.integers(0, 2**30))
def test_rows_of_any_modalities_that_lack_any_of_them(case, gaps_seed):
    random = np.random.default_rng(gaps_seed)
    model, batch = _made({**case, "kind": "jmvae-kl"})
    names, size = list(model.modalities), case["size"]
    held = random.random((size, len(names))) < 0.5
    held[np.arange(size), random.integers(0, len(names), size)] = True  # each row holds something
    for number, name in enumerate(names):
        modality = model.modalities[name]
        modality.optional = True
        batch[name][~held[:, number]] = np.nan
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    row_seeds = tf.random.split(tf.constant([case["seed"], 1]), size)
    with tf.GradientTape() as tape:
        terms = model.objective(tensors, row_seeds, training=True)
        loss = model._loss(terms, None)
    assert np.isfinite(loss)
    gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
    assert all(np.isfinite(gradient).all() for gradient in gradients)

    # A row counts as it does alone, whatever the others hold; what it has not is 0 and does not count.
    for row in range(size):
        alone = model.objective(
            {name: value[row : row + 1] for name, value in tensors.items()}, row_seeds[row : row + 1]
        )
        for name, term in terms.items():
            np.testing.assert_allclose(alone[name].value[0], term.value[row], rtol=1e-3, atol=1e-3, err_msg=name)
            if term.rows is not None and not term.rows[row]:
                assert float(term.value[row]) == 0
    for number, name in enumerate(names):
        np.testing.assert_array_equal(terms[f"log_p_{name}"].rows, held[:, number])

    # What is missing is generated in the support, from what is there.
    for name, values in model.generate(batch, seed=1).items() if not held.all() else ():
        modality = model.modalities[name]
        assert np.isnan(batch[name]).any()
        assert values.shape == (size, *modality.event_shape)
        assert np.isfinite(values).all()


@settings(FEW, max_examples=10 if WRITES else 2)
@given(_CASES)
def test_a_saved_model_is_the_same(tmp_path_factory, case):
    model, batch = _made(case)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(loaded.elbo(batch, seed=5), model.elbo(batch, seed=5), rtol=1e-5, atol=1e-5)


_widths = st.lists(st.integers(1, 2048), min_size=1, max_size=3)
_positive = st.floats(1e-30, 1e30)


@st.composite
def _configs(draw):
    """Configurations as a preset's file has them."""
    described = draw(_modalities(least=2))
    kind = draw(st.sampled_from(MODELS))
    options = {
        "jmvae-kl": {"alpha": draw(st.floats(0, 1e6)), "subsets": draw(st.sampled_from(["all", "single", "shared"]))},
        "hierarchical-jmvae": {"num_layers": draw(st.integers(1, 9))},
    }
    target = {"target": draw(st.sampled_from(list(described)))}
    return {
        "preset": draw(st.text(string.printable, min_size=1)),
        "source": draw(st.text()),
        "seed": draw(st.integers(0, 2**31 - 1)),
        "data": {"dataset": "mnist", "batch_size": draw(st.integers(1, 10**6)), "mirror": draw(st.booleans())},
        "model": {
            "kind": kind,
            "latent_dim": draw(st.integers(1, 10**4)),
            "modalities": {
                name: {
                    "event_shape": list(shape),
                    "likelihood": likelihood,
                    "weight": weight,
                    "encoder": draw(_widths),
                    "decoder": draw(_widths),
                    **({"variance": draw(_positive)} if likelihood == "gaussian" else {}),
                }
                for name, (shape, likelihood, weight) in described.items()
            },
            **options.get(kind, target if kind in ("cvae", "cmma") else {}),
        },
        "training": {
            "epochs": draw(st.integers(1, 10**6)),
            "learning_rate": draw(_positive),
            "kl_warm_up": draw(st.integers(0, 10**6)),
            "clip_norm": draw(st.none() | _positive),
        },
    }


@settings(FEW, max_examples=200)
@given(_configs())
def test_a_configuration_comes_back_from_json(content):
    config = Config.model_validate(content)
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert Config.model_validate(config.model_dump(mode="json")) == config


@settings(FEW, max_examples=100)
@given(_configs(), st.sampled_from(["nan", "inf", "negative", "text", "unknown", "missing"]), st.data())
def test_a_wrong_number_anywhere_is_refused(content, wrong, data):
    section = content[data.draw(st.sampled_from(["data", "training", "model"]))]
    numbers = [key for key, value in section.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    key = data.draw(st.sampled_from(sorted(numbers)))
    required = {"epochs", "latent_dim"}
    if wrong == "unknown":
        section[f"{key}_"] = section[key]
    elif wrong == "missing" and key in required:
        del section[key]
    else:
        section[key] = {"nan": np.nan, "inf": np.inf, "negative": -1, "text": "many", "missing": -1}[wrong]
    with pytest.raises(pydantic.ValidationError, match=key):
        Config.model_validate(content)
