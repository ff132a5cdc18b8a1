"""What models are asked is compiled once for each question, and answers as the same code does op by op."""

import concurrent.futures
import gc
import pickle
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from conformance.test_models import MODELS
from small_models import set_seeds, small_batch, small_modalities
from tensorflow.python.eager import context
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

import tf_jmvae as tj
from tf_jmvae.distributions import diagonal_gaussian, kl_divergence
from tf_jmvae.models import compiled
from tf_jmvae.models.compiled import taken_apart

SIZE = 6


def _make(kind="jmvae_kl", **more):
    cls, names, options = MODELS[kind]
    set_seeds(3)
    return cls(small_modalities(names), 3, **{**options, **more}), small_batch(names, size=SIZE)


def _least(model, batch):
    return {name: batch[name] for name in model.conditions or list(model.modalities)[:1]}


def _questions(model, batch):
    """Every kind of call, by words."""
    observed, targets = _least(model, batch), list(model.targets)
    by_row = tf.constant(np.random.default_rng(1).integers(0, 2**31, (SIZE, 2), np.int32))
    options = {"targets": targets, "output": "sample", "num_steps": 3}
    yield "generate", lambda m: m.generate(observed, targets=targets, seed=1)
    yield "generate by row", lambda m: m.generate(observed, seed=by_row, **options)
    yield "generate several", lambda m: m.generate(observed, num_samples=4, seed=1, **options)
    yield "reconstruct", lambda m: m.reconstruct(batch, latent="mean")
    yield "elbo", lambda m: {"elbo": m.elbo(batch, seed=1)}
    for words, given in (("all", batch), ("some", observed)):
        yield f"posterior of {words}", lambda m, given=given: _facts(m.posterior(given, iterated_sampling=3, seed=1))
    if not model.conditions:
        yield "sample", lambda m: m.sample(5, seed=1)
        yield "sample by row", lambda m: m.sample(SIZE, output="sample", seed=by_row)


def _facts(q):
    z = q.sample(seed=(1, 2))
    return {"mean": q.mean(), "stddev": q.stddev(), "log_prob": q.log_prob(z), "batch": tf.constant(q.batch_shape)}


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_compiled_equals_what_runs_op_by_op(kind):
    model, batch = _make(kind)
    for words, ask in _questions(model, batch):
        found = ask(model)
        model.run_eagerly = True
        expected = ask(model)
        model.run_eagerly = False
        assert list(found) == list(expected), words
        for name, value in expected.items():
            assert found[name].shape == value.shape
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=f"{words}: {name}")


def test_rows_with_gaps_equal_what_runs_op_by_op():
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    known = {"x": ((4,), "gaussian", True), "w": ((3,), "categorical", True), "y": ((4,), "gaussian", "entries")}
    modalities = {n: tj.Modality(s, of, optional=optional, **networks) for n, (s, of, optional) in known.items()}
    random = np.random.default_rng(0)
    batch = {name: random.normal(size=(SIZE, 4)).astype(np.float32) for name in "xy"} | small_batch("w", size=SIZE)
    batch["x"][::2], batch["w"][1::2], batch["y"][3, 1:] = np.nan, np.nan, np.nan
    for names, flow in (("xwy", None), ("xw", tj.Flow(1, units=8))):
        set_seeds(0)
        model, asked = tj.JMVAEKL({name: modalities[name] for name in names}, 3, flow=flow), []
        batch = {name: batch[name] for name in names}
        for eagerly in (False, True):
            model.run_eagerly = eagerly
            generated = model.generate(batch, seed=1)
            assert list(generated) == list(names)
            asked.append([generated, model.elbo(batch, seed=1), _facts(model.posterior(batch, seed=1))])
        for found, expected in zip(*map(tf.nest.flatten, asked), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class Traces:
    """How often TensorFlow traces what calls the decoders."""

    def __init__(self, monkeypatch, kind):
        self.number, likelihoods = 0, kind.likelihoods

        def counted(model, *args, **options):
            self.number += not tf.executing_eagerly()
            return likelihoods(model, *args, **options)

        monkeypatch.setattr(kind, "likelihoods", counted)


def test_each_question_is_traced_once_whatever_rows_seeds_and_steps(monkeypatch, caplog):
    traces = Traces(monkeypatch, tj.MultimodalVAE)
    model, _ = _make("jmvae")
    for call in range(40):
        batch = small_batch(size=1 + call % 7, seed=call)
        model.generate({"w": batch["w"]}, seed=call)
        model.generate({"w": batch["w"]})
        model.elbo(batch, seed=tf.constant([call, 1]))
        model.sample(1 + call % 5, seed=call)
    assert traces.number == 3
    for num_steps in (2, 5, tf.constant(3)):
        model.generate({"w": batch["w"]}, iterated_sampling=num_steps)
    assert traces.number == 5  # a chain, and what comes after it
    model.generate({"w": batch["w"]}, seed=tf.zeros((len(batch["w"]), 2), tf.int32))
    model.generate({"x": batch["x"]})
    model.generate({"w": batch["w"]}, latent="mean")
    assert traces.number == 8
    assert "retracing" not in caplog.text


def test_estimators_and_evaluate_trace_once_for_each_model(monkeypatch, caplog):
    traces = Traces(monkeypatch, tj.MultimodalVAE)
    model, _ = _make()
    model.compile("adam")
    options = {"target": "x", "given": ["w"], "verbose": 0}
    for call in range(6):
        batch = small_batch(size=3 + call, seed=call)
        tj.evaluation.joint_log_likelihood(model, batch, num_samples=10, seed=call, verbose=0)
        tj.evaluation.conditional_log_likelihood(model, batch, estimator="importance", seed=call, **options)
        tj.evaluation.conditional_log_likelihood(model, batch, seed=call, **options)
        model.evaluate(batch, verbose=0)
        if call == 0:
            first = traces.number
    assert traces.number == first
    # Of Keras's own functions TensorFlow warns where a process has evaluated many models.
    assert not [text for text in caplog.messages if "retracing" in text and "TensorFlowTrainer" not in text]


def _num_functions():
    gc.collect()
    names = context.context().list_function_names()
    return sum("Dataset" not in str(name) for name in names)  # those of datasets, which are small, TensorFlow keeps


def test_a_thousand_questions_leave_a_bounded_number_of_functions(monkeypatch):
    monkeypatch.setattr(compiled, "_MOST", 3)
    model, batch = _make()
    sizes = []
    for call in range(1000):
        model.generate({"w": batch["w"]}, num_samples=1 + call // 100, seed=call)
        model.posterior({"x": batch["x"]}, seed=call)
        if call in (299, 999):
            sizes.append(_num_functions())
    assert sizes[1] <= sizes[0]
    assert len(model._compiled_calls._values) == 3


def test_a_model_that_is_dropped_leaves_nothing():
    def ask():
        model, batch = _make()
        model.generate({"w": batch["w"]})
        model.posterior(batch)
        model.predict(batch, verbose=0)
        tj.evaluation.joint_log_likelihood(model, batch, num_samples=5, verbose=0)
        for optimizer in ("adam", keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())):
            model.compile(optimizer)
            model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
        return weakref.ref(model)

    def num_graphs():
        gc.collect()
        return sum(isinstance(found, FuncGraph) and "multi_step" in found.name for found in gc.get_objects())

    ask()
    before, graphs_before = _num_functions(), num_graphs()
    references = [ask() for _ in range(3)]
    assert _num_functions() <= before
    assert num_graphs() <= graphs_before
    assert not any(reference() for reference in references)


def test_weights_that_are_loaded_or_trained_are_seen(tmp_path):
    (model, batch), (other, _) = _make(), _make(alpha=2.0)
    for variable in other.variables:
        if variable.dtype == "float32":
            variable.assign(variable + 0.1)
    before = model.generate({"w": batch["w"]}, seed=1)["x"].numpy()
    other.save_weights(tmp_path / "a.weights.h5")
    model.load_weights(tmp_path / "a.weights.h5")
    loaded = model.generate({"w": batch["w"]}, seed=1)["x"].numpy()
    np.testing.assert_array_equal(loaded, other.generate({"w": batch["w"]}, seed=1)["x"])
    assert np.abs(loaded - before).max() > 1e-3
    model.compile("adam")
    model.fit(batch, verbose=0)
    assert np.abs(model.generate({"w": batch["w"]}, seed=1)["x"] - loaded).max() > 1e-5


def test_what_is_set_on_a_model_is_seen(monkeypatch):
    model, batch = _make("jmvae")
    data = small_batch(size=60)
    drawn = []
    for components in (1, 3):
        model.fit_prior(data, components)
        drawn.append(model.sample(50, prior="fitted", seed=1)["x"].numpy())
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-4
    first = model.posterior({"w": batch["w"]}, seed=1).mean().numpy()
    model.iterated_sampling = 20
    assert np.abs(model.posterior({"w": batch["w"]}, seed=1).mean() - first).max() > 1e-4
    bound = model.elbo(batch, seed=1).numpy()
    other, _ = _make("jmvae")
    other.decoders["x"].set_weights([weight + 0.1 for weight in other.decoders["x"].get_weights()])
    model.decoders = other.decoders
    assert np.abs(model.elbo(batch, seed=1) - bound).max() > 1e-3
    network = model.networks()["decoders/w"]
    bound = model.elbo(batch, seed=1).numpy()
    network.layers[-1].activation = tf.sin
    model.compile("adam")
    assert np.abs(model.elbo(batch, seed=1) - bound).max() > 1e-5


def test_a_fit_forgets_nothing(monkeypatch):
    traces = Traces(monkeypatch, tj.MultimodalVAE)
    model, batch = _make()
    model.compile("adam")

    def work():
        model.fit(batch, verbose=0)
        model.evaluate(batch, verbose=0)
        model.predict(batch, batch_size=4, verbose=0)
        model.generate({"w": batch["w"]})
        return traces.number

    assert work() == work()


def test_gradients_reach_inputs_and_weights():
    model, batch = _make()
    w = tf.constant(batch["w"])
    model.generate({"w": w}, seed=1)
    asked = []
    for eagerly in (False, True):
        model.run_eagerly = eagerly
        with tf.GradientTape() as tape:
            tape.watch(w)
            x = model.generate({"w": w}, seed=1)["x"]
            z = model.posterior({"w": w}).mean()
            loss = tf.reduce_sum(x) + tf.reduce_sum(z**2)
        asked.append(tape.gradient(loss, [w, model.decoders["x"].trainable_variables[0].value]))
    for found, expected in zip(*asked, strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_distribution_is_of_use_after_the_call_and_in_other_graphs():
    model, batch = _make("jmvae_kl_flow")
    q = model.posterior({"w": batch["w"]})
    z = tf.function(lambda: q.sample(3, seed=(1, 2)))()
    assert z.shape == (3, SIZE, 3)
    assert q.log_prob(z).shape == (3, SIZE)
    joint = model.posterior(batch)
    assert isinstance(joint, tfd.Independent)
    assert isinstance(joint.distribution, tfd.Normal)
    assert kl_divergence(joint, joint).numpy() == pytest.approx(np.zeros(SIZE))


def test_errors_are_those_of_the_arguments():
    model, batch = _make()
    bad = batch["x"].copy()
    bad[1, 2, 3] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match=r"'x' holds nan at index \(1, 2, 3, 0\)"):
            model.posterior({"x": bad})
        with pytest.raises(ValueError, match="output must be one of"):
            model.generate({"w": batch["w"]}, output="mode")
        with pytest.raises(TypeError, match="iterated_sampling must be"):
            model.posterior({"w": batch["w"]}, iterated_sampling="many")
    one_way, batch = _make("cmma")
    for _ in range(3):
        with pytest.raises(ValueError, match="A CMMA has q"):
            one_way.posterior({"x": batch["x"], "w": batch["w"]})


class Shifted(tj.VAE):
    """A model of one's own whose posterior nobody can take apart: it holds a tensor in a function."""

    def posterior(self, observed, **_):
        q = super().posterior(observed)
        shift = 2.0 * tf.stop_gradient(q.mean())
        moved = tfb.Inline(
            lambda z: z + shift, lambda z: z - shift, forward_min_event_ndims=0, is_constant_jacobian=True
        )
        return tfd.TransformedDistribution(q, moved)


def test_a_distribution_that_cannot_be_taken_apart_runs_op_by_op():
    set_seeds(0)
    model, batch = Shifted(small_modalities("x"), 3), small_batch("x")
    plain = tj.VAE.posterior(model, batch)
    for _ in range(2):
        q = model.posterior(batch)
        np.testing.assert_allclose(q.sample(seed=(1, 2)), plain.sample(seed=(1, 2)) + 2 * plain.mean(), rtol=1e-5)
    assert model.generate(batch, targets=["x"], output="sample")["x"].shape == (12, 4, 4, 1)


def test_taken_apart_and_made_again():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=tf.constant([0.25, 0.75])),
        diagonal_gaussian(tf.constant([[1.0], [2.0]]), tf.ones((2, 1))),
    )
    tensors, remake = taken_apart({"p": mixture, "all": [tf.constant(1.0), (None, "name", 3)]})
    assert len(tensors) == 4
    made = remake(iter([value + (value.shape.rank > 1) for value in tensors]))
    assert made["all"][1] == (None, "name", 3)
    assert made["p"].mean().numpy() == pytest.approx([2.75])


@keras.saving.register_keras_serializable("test_compiled")
class Counting(keras.layers.Layer):
    """A layer that needs values, as NumPy reads them."""

    def call(self, values):
        return tf.constant(np.asarray(values).reshape(len(values), -1))


def test_run_eagerly_serves_layers_that_cannot_be_traced():
    model = tj.VAE({"x": tj.Modality((3,), "gaussian", encoder=Counting(), decoder=tj.networks.mlp([4]))}, 2)
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="symbolic"):
        model.posterior({"x": x})
    tf.config.run_functions_eagerly(True)
    try:
        assert model.posterior({"x": x}).mean().shape == (2, 2)
    finally:
        tf.config.run_functions_eagerly(False)
    model.run_eagerly = True
    assert model.posterior({"x": x}).mean().shape == (2, 2)


def test_threads_ask_at_the_same_time():
    model, batch = _make()
    calls = [
        lambda s=s: model.generate({"w": batch["w"]}, num_samples=1 + s % 3, seed=s)["x"].numpy() for s in range(24)
    ]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda call: call(), calls))
    for call, found in zip(calls, together, strict=True):
        np.testing.assert_array_equal(call(), found)


def test_a_model_that_was_asked_can_be_pickled_cloned_and_saved(tmp_path):
    model, batch = _make()
    expected = model.generate({"w": batch["w"]}, seed=1)["x"]
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.generate({"w": batch["w"]}, seed=1)["x"], expected)
    clone = keras.models.clone_model(model)
    assert clone.generate({"w": batch["w"]}, seed=1)["x"].shape == expected.shape
    checkpoint = tf.train.Checkpoint(model=model)
    checkpoint.restore(checkpoint.save(str(tmp_path / "c"))).assert_consumed()


def test_one_row_is_predicted_as_among_others(capsys):
    model, batch = _make()
    whole = model.predict(batch, batch_size=4, verbose=0)
    for row in range(SIZE):
        alone = model.predict({name: value[row : row + 1] for name, value in batch.items()})
        for name, value in whole.items():
            assert isinstance(alone[name], np.ndarray)
            np.testing.assert_allclose(alone[name], value[row : row + 1], rtol=1e-5)
    assert "1/1" in capsys.readouterr().out


def test_iterated_sampling_follows_a_change_after_compile():
    model, batch = _make("jmvae")
    model.compile()
    observed = {"w": batch["w"]}

    def ask():
        return model.posterior(observed, iterated_sampling=4, seed=1).mean().numpy()

    before = ask()
    model.networks()["decoders/x"].layers[-1].activation = lambda value: 50 * value + 7
    model.compile()
    after = ask()
    model.run_eagerly = True
    np.testing.assert_allclose(after, ask(), rtol=1e-4, atol=1e-5)
    assert np.abs(after - before).max() > 1e-3


def test_a_prediction_forgets_nothing_that_is_compiled():
    model, batch = _make()
    model.compile()
    model.generate({"w": batch["w"]}, seed=1)
    kept = dict(model._compiled_calls._values)
    model.predict({"x": batch["x"]}, verbose=0)
    assert kept.items() <= model._compiled_calls._values.items()


@pytest.mark.parametrize("batch_size", [None, 4])
@pytest.mark.parametrize("ask", ["generate", "posterior", "elbo"])
def test_another_number_of_seeds_than_of_rows_is_refused(ask, batch_size):
    model, batch = _make()
    seeds = np.ones((SIZE + 1, 2), np.int32)
    given = batch if ask == "elbo" else {"w": batch["w"]}
    with pytest.raises(ValueError, match=f"a seed for each of the {SIZE} rows, or one for all; got {SIZE + 1}"):
        getattr(model, ask)(given, seed=seeds, batch_size=batch_size, verbose=0)
