"""Every model goes through the same checks: Keras's training, evaluation, prediction, saving, sampling."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from exported import optimizers
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj

MODELS = {
    "vae": (tj.VAE, "x", {}),
    "jmvae": (tj.JMVAE, "xw", {"trunk": tj.networks.mlp([8])}),
    "jmvae_kl": (tj.JMVAEKL, "xw", {"alpha": 0.5}),
    "jmvae_kl_of_three": (tj.JMVAEKL, "xwv", {"subsets": "single"}),
    "jmvae_kl_shared": (tj.JMVAEKL, "xwv", {"subsets": "shared", "subset_learning": "follow"}),
    "jmvae_kl_flow": (tj.JMVAEKL, "xw", {"flow": tj.Flow(2, units=8)}),
    "hierarchical": (tj.HierarchicalJMVAE, "xwc", {"num_layers": 2, "layer_encoder": tj.networks.mlp([8])}),
    "cvae": (tj.CVAE, "xw", {"target": "x"}),
    "cmma": (tj.CMMA, "xwc", {"target": ["x", "c"], "trunk": tj.networks.mlp([8])}),
    "jmvae_kl_gan": (tj.JMVAEKLGAN, "vw", {"image": "v", "discriminator": tj.networks.mlp([8])}),
}
SIZE = 16  # examples: two batches


def test_every_public_model_is_among_them():
    classes = {value for value in vars(tj).values() if isinstance(value, type) and issubclass(value, tj.MultimodalVAE)}
    assert {cls for cls, _, _ in MODELS.values()} == classes - {tj.MultimodalVAE}


@pytest.fixture(scope="module", autouse=True)
def _graphs_as_users_have_them():
    with optimizers(True):
        yield


@pytest.fixture(scope="module", params=MODELS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def names(kind):
    return MODELS[kind][1]


@pytest.fixture(scope="module")
def make(kind):
    """A function that makes the model, the same one at every call."""
    cls, names, options = MODELS[kind]

    def made():
        set_seeds(3)
        return cls(small_modalities(names), 3, **options)

    return made


@pytest.fixture(scope="module")
def batch(names):
    return small_batch(names, size=SIZE)


@pytest.fixture(scope="module")
def model(make):
    """An untrained model, for tests that only ask it; one for all of them, as tracing it takes long."""
    return make()


@pytest.fixture(scope="module")
def fitted(make, batch):
    """A trained model and the history of its training, in a graph as is usual."""
    model = make()
    return model, _fit(model, batch)


def _least(model, batch):
    """The part of the batch that the model needs at least: what it takes as given, or any one modality."""
    return {name: batch[name] for name in model.conditions or list(model.modalities)[:1]}


def _fit(model, batch, batch_size=8, **compile_options):
    model.compile(tj.optimizers.FusedAdam(1e-2), **compile_options)
    return model.fit(batch, batch_size=batch_size, epochs=3, shuffle=False, verbose=0).history


def _as_numpy(samples):
    return {name: value.numpy() for name, value in samples.items()}


def _assert_equal(left, right, rtol=0.0):
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=rtol, atol=rtol)


# The layers of each kind, beside those of their decoders, with the shapes of what they give.
LAYERS = {
    "vae": {"encoder": (3,)},
    "jmvae": {"encoder": (3,)},
    "jmvae_kl": {"encoder": (3,), "subset_encoder_x": (3,), "subset_encoder_w": (3,)},
    "jmvae_kl_of_three": {"encoder": (3,), **{f"subset_encoder_{name}": (3,) for name in "xwv"}},
    "jmvae_kl_shared": {"encoder": (3,), "subset_encoders": (3,)},
    "jmvae_kl_flow": {"encoder": (3,), "subset_encoder_x": (3,), "subset_encoder_w": (3,)},
    "hierarchical": {
        **{"towers": (24,), "layer_network_2": (8,), "layer_head_1": (3,), "layer_head_2": (3,)},
        "layer_prior_1": (3,),
    },
    "cvae": {"encoder": (3,)},
    "cmma": {"encoder": (3,), "prior_encoder": (3,)},
    "jmvae_kl_gan": {"encoder": (3,), "subset_encoder_v": (3,), "subset_encoder_w": (3,), "discriminator": ()},
}


def test_the_summary_and_get_layer_name_modalities_and_subsets(model, kind, names):
    expected = {f"decoder_{name}": model.modalities[name].event_shape for name in model.targets} | LAYERS[kind]
    assert {layer.name for layer in model.layers} == expected.keys()
    sizes = {name: sum(int(np.prod(v.shape)) for v in model.get_layer(name).weights) for name in expected}
    for nested in (False, True):
        lines = []
        model.summary(print_fn=lines.append, expand_nested=nested)
        cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines[0].splitlines() if "│" in line]
        shown = {row[0].split(" (")[0]: row[1:] for row in cells}
        for name, shape in expected.items():
            assert shown[name] == [str((None, *shape)).replace(",)", ")"), f"{sizes[name]:,}"], name
        inner = {f"└ encoder_{name}" for name in names} | {f"└ head_{name}" for name in model.targets}
        assert inner <= shown.keys() if nested else not inner & shown.keys()
        assert not any(row[1] == "?" for row in cells)


def test_the_targets_are_the_modalities_that_are_not_given(model, kind, names):
    target = MODELS[kind][2].get("target", list(names))
    assert model.targets == list(target)
    assert model.conditions == [name for name in names if name not in target]
    assert list(model.decoders) == model.targets


def test_fit_raises_the_bound_and_reports_each_term_with_their_sum(fitted, batch):
    model, history = fitted
    terms = [name for name in history if name not in ("loss", "elbo", "objective")]
    assert {name for name in terms if name.startswith("log_p_")} == {f"log_p_{name}" for name in model.targets}
    assert any(name.startswith("kl_prior") for name in terms)
    assert history["elbo"][-1] > history["elbo"][0]
    weighted = {
        name: term.coefficient * np.array(history[name])
        for name, term in model.objective(batch, tf.constant([1, 2])).items()
    }
    np.testing.assert_allclose(history["objective"], sum(weighted.values()), rtol=1e-4)
    elbo = [value for name, value in weighted.items() if name.startswith(("kl_prior", "log_p_"))]
    np.testing.assert_allclose(history["elbo"], sum(elbo), rtol=1e-4)
    np.testing.assert_allclose(history["loss"], -np.array(history["objective"]), rtol=1e-4)


def test_a_seed_repeats_training_in_a_graph_and_without(make, batch, fitted):
    _assert_equal(_fit(make(), batch, run_eagerly=True), fitted[1], rtol=1e-3)


# There are two train_steps, and compiling takes long: one model of each kind of objective.
DIFFERENT = ["jmvae_kl", "hierarchical", "cmma", "jmvae_kl_gan"]


@pytest.mark.parametrize("kind", DIFFERENT, indirect=True)
def test_several_steps_per_execution_do_not_change_the_result(make, batch, fitted):
    _assert_equal(_fit(make(), batch, steps_per_execution=2), fitted[1], rtol=1e-3)


@pytest.mark.parametrize("kind", DIFFERENT, indirect=True)
def test_xla_computes_the_same_step(make, batch):
    """XLA draws other noise from the same seed, so the decoders' noise is taken out: they ignore z."""
    plain, compiled = make(), make()
    for model in (plain, compiled):
        for layer in (*model.decoders.values(), *getattr(model, "layer_priors", ())):
            network = getattr(layer, "decoder", layer).network  # a ConditionalDecoder holds a Decoder
            first, *rest = network.get_weights()
            reads_z = np.arange(len(first)) < model.latent_dim
            network.set_weights([np.where(reads_z[:, None], 0, first), *rest])
            network.trainable = False
    histories = [_fit(compiled, batch, SIZE, jit_compile=True), _fit(plain, batch, SIZE, run_eagerly=True)]
    _assert_equal(*histories, rtol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_with_float32_distributions(policy, make, batch):
    keras.config.set_dtype_policy(policy)
    model = make()
    history = _fit(model, batch, run_eagerly=True)
    assert history["elbo"][-1] > history["elbo"][0]
    assert {p.dtype for p in model(batch).values()} == {tf.float32}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}


def test_evaluate_repeats_and_equals_the_mean_bound(make, batch):
    model = make()
    model.compile(run_eagerly=True)
    first, second = (model.evaluate(batch, batch_size=SIZE, verbose=0, return_dict=True) for _ in range(2))
    np.testing.assert_allclose(list(first.values()), list(second.values()), rtol=1e-6)
    np.testing.assert_allclose(
        first["elbo"], model.elbo(batch, seed=tf.random.fold_in(tf.zeros(2, tf.int32), 0)).numpy().mean(), rtol=1e-5
    )


def test_predict_gives_the_means_as_numpy_for_any_subset(model, batch):
    for observed in (batch, _least(model, batch)):
        predicted = model.predict(observed, batch_size=5, verbose=0)
        assert list(predicted) == model.targets
        assert {type(value) for value in predicted.values()} == {np.ndarray}
        _assert_equal(predicted, {name: p.mean() for name, p in model(observed).items()}, rtol=1e-5)


def test_call_returns_a_distribution_per_target_with_its_event_shape(model, batch):
    output = model(batch)
    assert list(output) == model.targets
    for name, likelihood in output.items():
        assert isinstance(likelihood, tfp.distributions.Distribution)
        assert likelihood.batch_shape == (SIZE,)
        assert likelihood.event_shape == model.modalities[name].event_shape


def test_saving_keeps_the_model_its_order_of_modalities_and_its_optimizer(fitted, names, batch, tmp_path):
    model, _ = fitted
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert list(loaded.modalities) == list(names)
    assert (loaded.conditions, loaded.targets) == (model.conditions, model.targets)
    assert loaded.get_config() == model.get_config()
    _assert_equal(loaded.predict(batch, verbose=0), model.predict(batch, verbose=0))
    for one in (model, loaded):
        one.run_eagerly = True
    continued = [one.fit(batch, batch_size=8, shuffle=False, verbose=0).history for one in (model, loaded)]
    _assert_equal(*continued, rtol=1e-6)


def test_sampling_repeats_with_a_seed_and_differs_without(model, batch):
    observed, targets = _least(model, batch), list(model.targets)
    calls = [
        lambda **seed: model.generate(observed, targets=targets, num_steps=3, output="sample", num_samples=4, **seed),
        lambda **seed: model.generate(
            observed, targets=targets, iterated_sampling=tj.IteratedSampling(3, "noise"), **seed
        ),
        lambda **seed: model.reconstruct(batch, **seed),
    ]
    if not model.conditions:
        calls += [lambda **seed: model.sample(6, **seed), lambda **seed: model.sample(6, output="sample", **seed)]
    for call in calls:
        first = _as_numpy(call(seed=5))
        _assert_equal(first, _as_numpy(call(seed=5)))
        if call in (calls[0], calls[-1]):  # in a graph, which takes long to make
            _assert_equal(first, _as_numpy(tf.function(lambda call=call: call(seed=5))()), rtol=1e-4)
        for other in (_as_numpy(call(seed=6)), _as_numpy(call())):
            assert any(not np.array_equal(first[name], other[name]) for name in targets)


def test_shapes_of_what_is_generated(model, names, batch):
    observed = _least(model, batch)
    one = model.generate(observed, targets=list(model.targets), seed=1)
    many = model.generate(observed, targets=list(model.targets), num_samples=4, seed=1)
    assert list(one) == list(many) == model.targets
    for name in model.targets:
        event_shape = model.modalities[name].event_shape
        assert one[name].shape == (SIZE, *event_shape)
        assert many[name].shape == (SIZE, 4, *event_shape)
    if len(names) > 1:
        assert set(model.generate(observed, seed=1)) == set(names) - set(observed)
    else:
        with pytest.raises(ValueError, match="nothing to generate"):
            model.generate(observed)


def test_models_of_all_modalities_sample_from_the_prior_and_others_say_that_they_cannot(model, names):
    if model.conditions:
        with pytest.raises(ValueError, match="has no joint distribution to sample"):
            model.sample(6, seed=1)
    else:
        prior = model.sample(6, seed=1)
        assert list(prior) == list(names)
        for name in names:
            assert prior[name].shape == (6, *model.modalities[name].event_shape)


def test_a_sample_of_the_likelihood_lies_in_its_support(model, batch):
    if model.conditions:
        samples = model.generate(_least(model, batch), output="sample", seed=1)
    else:
        samples = model.sample(50, output="sample", seed=1)
    assert list(samples) == model.targets
    for name, values in samples.items():
        assert model.modalities[name].head.in_support(values.numpy()).all()


def test_examples_of_weight_zero_change_nothing(make, batch):
    """Two batches that differ in their second half only, which has no weight, make the same step."""
    first, second = make(), make()
    other_half = {name: np.concatenate([value[: SIZE // 2], value[: SIZE // 2]]) for name, value in batch.items()}
    for model, examples in ((first, batch), (second, other_half)):
        model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
        weights = 1.0 * (np.arange(SIZE) < SIZE // 2)
        model.fit(examples, sample_weight=weights, batch_size=SIZE, shuffle=False, verbose=0)
    for left, right in zip(first.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), rtol=1e-5, atol=1e-6)


def test_clipping_the_gradient_through_the_optimizer(make, batch):
    model = make()
    before = [v.numpy() for v in model.trainable_variables]
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=1e-3), run_eagerly=True)
    model.fit(batch, batch_size=SIZE, epochs=1, verbose=0)
    step = np.sqrt(sum(np.sum((v.numpy() - b) ** 2) for v, b in zip(model.trainable_variables, before, strict=True)))
    optimizers = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
    np.testing.assert_allclose(step, 1e-3 * np.sqrt(len(optimizers)), rtol=1e-3)  # each clips what is its own


@pytest.mark.parametrize("kind", ["jmvae", "hierarchical", "cvae"], indirect=True)
def test_a_chain_encodes_what_is_observed_once(make, batch, monkeypatch):
    """A chain of five goes five times through the tower of what it completes, and twice through the others."""
    model = make()
    target = model.targets[0]
    towers = getattr(model, "towers", None) or model.encoder.towers
    calls = dict.fromkeys(batch, 0)
    for name, tower in towers.towers.items():

        def counted(values, name=name, call=tower.call, **options):
            calls[name] += 1
            return call(values, **options)

        monkeypatch.setattr(tower, "call", counted)
    tf.config.run_functions_eagerly(True)
    try:
        observed = {name: value for name, value in batch.items() if name != target}
        model.posterior(observed, iterated_sampling=tj.IteratedSampling(5, "zeros"), seed=1)
    finally:
        tf.config.run_functions_eagerly(False)
    assert calls.pop(target) == 5
    assert set(calls.values()) == {2}  # for the chain, and for the posterior at its end
