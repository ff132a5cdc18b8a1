"""Data by whatever way they come: each batch is looked at once, as it passes, and refused as arrays are."""

import json
import re
import types
import warnings
import weakref

import forked
import keras
import memory_jobs
import numpy as np
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities
from tensorflow.python.data.ops import iterator_ops

import tf_jmvae as tj

SIZE = 12  # three batches of four
LATER = r"Modality 'x' holds {} at index \(9, 1, 2, 0\).* batch of rows 8 to 11"


class _Batches(keras.utils.PyDataset):
    def __init__(self, data, step=4):
        super().__init__()
        self.data, self.step = data, step

    def __len__(self):
        return -(-len(self.data["x"]) // self.step)

    def __getitem__(self, index):
        return {name: value[index * self.step : (index + 1) * self.step] for name, value in self.data.items()}


def _generator(data):
    batches = _Batches(data)
    return ((batches[number],) for number in range(len(batches)))


PIPELINES = {
    "tf.data": lambda data: tf.data.Dataset.from_tensor_slices(data).batch(4),
    "PyDataset": _Batches,
    "generator": _generator,
}
LOOPS = {
    "fit": lambda model, data: model.fit(data, verbose=0, shuffle=False),
    "validation": lambda model, data: model.fit(small_batch(), validation_data=data, verbose=0, shuffle=False),
    "evaluate": lambda model, data: model.evaluate(data, verbose=0),
    "predict": lambda model, data: model.predict(data, verbose=0),
}
by_loop = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
by_pipeline = pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)


def _model(names="xw", run_eagerly=True, **options):
    """Without a graph, which takes longer to make than so few steps: the data are looked at before a step."""
    set_seeds(1)
    model = tj.JMVAE(small_modalities(names), 2)
    model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=run_eagerly, **options)
    return model


MODEL = _model()  # for what is refused before anything is traced


@pytest.fixture(scope="module")
def still():
    """A model that is trained without moving, so that all tests may have one."""
    model = _model()
    model.compile(keras.optimizers.SGD(0.0))
    return model


@by_loop
@by_pipeline
def test_a_wrong_value_in_a_later_batch_is_named_with_its_row(loop, pipeline, still):
    data = small_batch(size=SIZE)
    data["x"][9, 1, 2, 0] = 255.0
    with pytest.raises(ValueError, match=LATER.format(255.0)):
        loop(still, pipeline(data))


@pytest.mark.parametrize("loop", ["fit", "evaluate", "predict"])
def test_a_refused_pipeline_is_let_go(loop, still, monkeypatch):
    """TensorFlow's threads of many, destroyed at the end of a process, let it hang."""
    data = small_batch(size=SIZE)
    data["x"][9, 1, 2, 0] = 255.0
    made, make = [], iterator_ops.OwnedIterator.__init__
    monkeypatch.setattr(
        iterator_ops.OwnedIterator,
        "__init__",
        lambda self, *args, **options: (made.append(weakref.ref(self)), make(self, *args, **options))[1],
    )
    with pytest.raises(ValueError, match=LATER.format(255.0)):
        LOOPS[loop](still, PIPELINES["tf.data"](data))
    assert made
    assert not [iterator for iterator in made if iterator() is not None]


@pytest.mark.parametrize("options", [{"steps_per_execution": 2}, {"run_eagerly": True}, {"jit_compile": True}], ids=str)
def test_it_is_named_however_steps_are_run_and_not_called_a_divergence(options):
    data = small_batch(size=SIZE)
    data["x"][9, 1, 2, 0] = np.nan
    watch = tj.callbacks.StopAtDivergence()
    with pytest.raises(ValueError, match=LATER.format("nan")):
        _model(**{"run_eagerly": False} | options).fit(PIPELINES["tf.data"](data), verbose=0, callbacks=[watch])
    assert watch.problem is None


@pytest.mark.parametrize("verb", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_a_single_batch_is_checked(verb):
    data = small_batch()
    data["x"][9, 1, 2, 0] = 255.0
    with pytest.raises(ValueError, match=r"Modality 'x' holds 255\.0 at index \(9, 1, 2, 0\)"):
        getattr(MODEL, verb)(data)


def test_a_batch_is_read_once_and_all_are_trained_on():
    data, read = _Batches(small_batch(size=SIZE)), []

    def stream():
        for number in range(3):
            read.append(number)
            yield data[number]

    source = stream()  # a queue: what was read does not come back
    spec = {name: tf.TensorSpec((None, *value.shape[1:])) for name, value in data.data.items()}
    batches = tf.data.Dataset.from_generator(lambda: source, output_signature=spec)
    model, steps = _model(), []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    with warnings.catch_warnings(action="ignore"):  # Keras's, of data of unknown length
        model.fit(batches, verbose=0, callbacks=[count])
    assert read == steps == [0, 1, 2]
    assert int(model.optimizer.iterations) == 3


def test_validation_data_are_opened_once_an_epoch():
    opened, data = [], small_batch()

    def stream():
        opened.append(1)
        yield data

    spec = {name: tf.TensorSpec((None, *value.shape[1:])) for name, value in data.items()}
    batches = tf.data.Dataset.from_generator(stream, output_signature=spec)
    with warnings.catch_warnings(action="ignore"):
        _model().fit(small_batch(), validation_data=batches, epochs=2, verbose=0)
    assert len(opened) == 2


@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_an_empty_batch_changes_nothing(steps_per_execution):
    data = small_batch(size=SIZE)
    keep = tf.constant([False] * 4 + [True] * 8)
    whole = tf.data.Dataset.from_tensor_slices({**data, "keep": keep}).batch(4)
    filtered = whole.map(lambda batch: {name: tf.boolean_mask(batch[name], batch["keep"]) for name in data})
    without = filtered.skip(1)
    models = []
    for batches in (filtered, without):
        model = _model(run_eagerly=steps_per_execution == 1, steps_per_execution=steps_per_execution)
        with warnings.catch_warnings(action="ignore"):
            model.fit(batches, verbose=0)
            assert np.isfinite(model.evaluate(batches, verbose=0)).all()
        models.append(model)
    assert int(models[0].optimizer.iterations) == 2
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict", "train_on_batch"])
def test_arrays_without_rows_are_refused(verb):
    with pytest.raises(ValueError, match="The data contain no examples"):
        getattr(MODEL, verb)(small_batch(size=0))


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_pipelines_without_rows_are_refused():
    data = PIPELINES["tf.data"](small_batch(size=SIZE))
    nothing, model = data.take(0), _model()
    for verb in ("fit", "evaluate", "predict"):
        with pytest.raises(ValueError, match=r"^The data contain no examples"):
            getattr(model, verb)(nothing, verbose=0)
    with pytest.raises(ValueError, match=r"^The validation data contain no examples"):
        model.fit(data, validation_data=nothing, verbose=0)
    assert model.fit(data, initial_epoch=1, epochs=1, verbose=0).history == {}
    assert "val_loss" in model.fit(data, epochs=2, validation_data=data, validation_freq=2, verbose=0).history


def test_the_check_leaves_training_as_it_was():
    data = small_batch(size=SIZE)
    by_arrays, by_batches = _model(), _model()
    expected = by_arrays.fit(data, batch_size=4, shuffle=False, epochs=2, verbose=0).history
    for batches in (PIPELINES["tf.data"](data), _Batches(data)):
        model = _model()
        np.testing.assert_allclose(
            model.fit(batches, shuffle=False, epochs=2, verbose=0).history["loss"], expected["loss"], rtol=1e-5
        )
    by_batches.fit(PIPELINES["tf.data"](data), epochs=2, verbose=0)
    assert int(by_batches.optimizer.iterations) == int(by_arrays.optimizer.iterations) == 6


ENDS = {"fit": "steps_per_epoch", "evaluate": "steps", "predict": "steps", "validation": "validation_steps"}


@pytest.mark.parametrize("verb", ENDS)
@pytest.mark.parametrize("kind", ["tf.data", "PyDataset"])
def test_what_never_ends_is_read_in_so_many_steps_or_refused(verb, kind, still):
    class Endless(_Batches):
        num_batches = None

        def __getitem__(self, index):
            return self.data

    data = small_batch(size=4)
    endless = tf.data.Dataset.from_tensors(data).repeat() if kind == "tf.data" else Endless(data)
    with pytest.raises(ValueError, match=rf"never ends: pass dataset\.take\(n\).*, or {ENDS[verb]}=n"):
        LOOPS[verb](still, endless)
    with warnings.catch_warnings(action="ignore"):  # Keras's, of an order that it leaves as it is
        if verb == "validation":
            still.fit(data, validation_data=endless, validation_steps=2, verbose=0)
        else:
            getattr(still, verb)(endless, **{ENDS[verb]: 2}, verbose=0)


# Mappings and lists.

MAPPINGS = {
    "a file of NumPy": lambda data, folder: np.load(folder / "data.npz"),
    "read-only": lambda data, folder: types.MappingProxyType(data),
    "lists": lambda data, folder: {name: value.tolist() for name, value in data.items()},
}
VERBS = {
    **LOOPS,
    "call": lambda model, data: {name: p.mean() for name, p in model(data).items()},
    "elbo": lambda model, data: model.elbo(data, seed=1),
    "reconstruct": lambda model, data: model.reconstruct(data, seed=1),
    "train_on_batch": lambda model, data: model.train_on_batch(data),
    "log_likelihood": lambda model, data: tj.evaluation.joint_log_likelihood(model, data, num_samples=2, verbose=0),
    "coherence": lambda model, data: tj.evaluation.conditional_coherence(
        model, data, target="w", given=["x"], verbose=0
    ),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
@pytest.mark.parametrize("kind", MAPPINGS.values(), ids=MAPPINGS)
def test_every_verb_answers_every_mapping_as_it_answers_arrays(verb, kind, still, tmp_path):
    data = small_batch()
    np.savez(tmp_path / "data.npz", **data)
    answers, other = [], kind(data, tmp_path)
    for given in (data, other):
        still.noise_state.assign([0, 0])
        answer = verb(still, given)
        answers.append(answer.values if isinstance(answer, tj.evaluation.Estimate) else answer)
        answers[-1] = getattr(answer, "history", answers[-1])
    tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6), *answers)
    _close(other)


def _close(mapping):
    """What is a file."""
    getattr(mapping, "close", lambda: None)()


@pytest.mark.parametrize("way", ["PyDataset", "generator", "generator of tuples"])
def test_batches_may_be_any_mapping_and_lists(way, still, tmp_path):
    data = small_batch()
    np.savez(tmp_path / "data.npz", **data)
    weight, size = np.linspace(0.0, 2.0, 12), 12
    expected = still.evaluate(data, sample_weight=weight, batch_size=size, verbose=0)
    unweighted = still.evaluate(data, batch_size=size, verbose=0)
    for kind in MAPPINGS.values():
        batch = kind(data, tmp_path)

        class One(_Batches):
            def __getitem__(self, index, batch=batch):
                return (batch, {}, weight.tolist())

        given = {
            "PyDataset": One(data, size),
            "generator": (each for each in [batch]),
            "generator of tuples": (each for each in [(batch, (), weight.tolist())]),
        }[way]
        wanted = unweighted if way == "generator" else expected
        with warnings.catch_warnings(action="ignore"):  # Keras's, of data of unknown length
            assert still.evaluate(given, verbose=0) == pytest.approx(wanted, rel=1e-5)
        _close(batch)


# Masks.


def _masked(data):
    value = np.ma.MaskedArray(data["x"])
    value[3, 0, 0, 0] = np.ma.masked
    return {**data, "x": value}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_mask_is_refused_everywhere(verb):
    with pytest.raises(ValueError, match=r"Modality 'x': 1 of its 192 entries are masked.*value\.filled"):
        verb(MODEL, _masked(small_batch()))


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_mask_in_a_list_of_rows_is_refused_everywhere(verb):
    masked = _masked(small_batch())
    with pytest.raises(ValueError, match=r"Modality 'x': 1 of its 192 entries are masked"):
        verb(MODEL, {**masked, "x": list(masked["x"])})


def test_a_mask_is_refused_by_weights_labels_and_served_models_and_a_gap_in_pipelines(tmp_path):
    data, model = small_batch(), _model()
    masked, ones = _masked(data), np.ma.MaskedArray(np.ones(12), mask=np.arange(12) == 5)
    served = tj.hub.load(model.export(tmp_path / "model", observed=[["x"]]))
    score = tj.evaluation.conditional_coherence
    for what, use in {
        "sample_weight": lambda: model.fit(data, sample_weight=ones, verbose=0),
        "labels": lambda: score(model, data, target="w", given=["x"], labels=ones.astype(int), verbose=0),
        "Modality 'x': 1 of its 192": lambda: served.generate({"x": masked["x"]}, seed=1),
    }.items():
        with pytest.raises(ValueError, match=f"{what}.* masked"):
            use()
    with pytest.raises(ValueError, match=r"Modality 'x' holds nan at index .*optional=True"):
        model.fit(tj.data.from_arrays(masked, batch_size=4), verbose=0)


def test_an_array_that_masks_nothing_is_an_array():
    data = small_batch()
    plain = {name: np.ma.MaskedArray(value) for name, value in data.items()}
    model = _model()
    assert model.evaluate(plain, verbose=0) == model.evaluate(data, verbose=0)


# Weights of examples.

GOOD_WEIGHT = np.ones(12)
WEIGHTS = {
    "nan": (np.where(np.arange(12) == 5, np.nan, 1.0), r"sample_weight holds nan at index 5 \(1 such in all\)"),
    "infinite": (np.where(np.arange(12) == 5, np.inf, 1.0), "sample_weight holds inf at index 5"),
    "negative": (-GOOD_WEIGHT, r"sample_weight holds -1\.0 at index 0 \(12 such in all\)"),
    "columns": (np.ones((12, 2)), r"one number for each of the 12 examples, of shape \[12\]; got .*\[12, 2\]"),
    "number": (2.0, r"one number for each of the 12 examples, of shape \[12\]; got float"),
    "short": (np.ones(5), r"one number for each of the 12 examples.*\[5\]"),
    "ragged": ([[1.0], [1.0, 2.0]], "one number for each of the 12 examples.*got list"),
    "text": (["heavy"] * 12, "one number for each of the 12 examples.*got list"),
    "complex": (
        np.ones(12, complex),
        r"one number for each of the 12 examples.*got ndarray of shape \[12\] and type complex128",
    ),
    "too large for float32": (np.full(12, 1e300), "sample_weight holds inf at index 0"),
}
WITH_WEIGHTS = {
    "fit": lambda model, data, weight: model.fit(data, sample_weight=weight, verbose=0),
    "evaluate": lambda model, data, weight: model.evaluate(data, sample_weight=weight, verbose=0),
    "by position": lambda model, data, weight: model.evaluate(data, None, 4, 0, weight),
    "train_on_batch": lambda model, data, weight: model.train_on_batch(data, sample_weight=weight),
    "validation": lambda model, data, weight: model.fit(data, validation_data=(data, None, weight), verbose=0),
}


@pytest.mark.parametrize("use", WITH_WEIGHTS.values(), ids=WITH_WEIGHTS)
@pytest.mark.parametrize(("weight", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_none_are_refused(use, weight, message):
    with pytest.raises(ValueError, match=message):
        use(MODEL, small_batch(), weight)


@pytest.mark.parametrize("name", ["nan", "negative", "columns"])
def test_weights_in_a_pipeline_are_checked(name):
    weight, _ = WEIGHTS[name]
    data = small_batch()
    batches = tf.data.Dataset.from_tensor_slices((data, np.zeros((12, 0), "float32"), weight)).batch(4)
    message = "one number for each of the 4 examples" if name == "columns" else "sample_weight holds .* at index [05]"
    with pytest.raises(ValueError, match=message):
        _model().fit(batches, verbose=0)


def test_a_list_or_a_column_of_weights_weighs_as_an_array():
    data, weight = small_batch(), np.linspace(0.0, 2.0, 12)
    model = _model()
    expected = model.evaluate(data, sample_weight=weight, verbose=0)
    assert expected != model.evaluate(data, verbose=0)
    for other in (weight.tolist(), weight[:, None], tf.constant(weight)):
        assert model.evaluate(data, sample_weight=other, verbose=0) == pytest.approx(expected)


# Unscaled values.


@pytest.mark.parametrize("way", ["arrays", *PIPELINES])
def test_unscaled_values_under_a_gaussian_are_warned_of_once(way):
    data = small_batch("xv", size=SIZE)
    data["v"] = 1e5 + data["v"]
    with warnings.catch_warnings(record=True, action="always") as caught:
        _model("xv").fit(data if way == "arrays" else PIPELINES[way](data), verbose=0, shuffle=False)
    (message,) = [str(warning.message) for warning in caught if "has the scale" in str(warning.message)]
    assert re.match(r"Modality 'v' has the scale 1e\+05.*'gaussian' expects about 1", message)


def test_unscaled_values_are_warned_of_at_the_first_single_batch():
    data, model = small_batch("xv"), _model("xv")
    data["v"] = 1e5 + data["v"]
    with warnings.catch_warnings(record=True, action="always") as caught:
        for _ in range(3):
            model.train_on_batch(data)
    assert len([warning for warning in caught if "has the scale" in str(warning.message)]) == 1


def test_scaled_values_and_counts_are_not_warned_of():
    data = small_batch("xcv", size=SIZE)
    data["c"] = data["c"] + 500.0
    with warnings.catch_warnings(action="error", category=UserWarning):
        _model("xcv").fit(data, verbose=0)


# Memory, of a process of its own.


def test_arrays_are_checked_without_a_copy_as_floats_and_memory_maps_stay_on_the_disk(tmp_path):
    code, printed = forked.run(memory_jobs.of_data, tmp_path, log=tmp_path / "log")
    assert code == 0, printed[-3000:]
    copied = json.loads((tmp_path / "seen").read_text())
    peak = copied.pop("peak")
    assert copied.keys() == {"fit", "validation", "predict"}
    assert max(copied.values()) < 0.5
    assert 1.0 < peak < 4.0  # Keras itself takes two copies


def _memory_mapped(data, folder, dtypes):
    mapped = {}
    for name, values in data.items():
        mapped[name] = np.memmap(folder / name, dtypes.get(name, values.dtype), "w+", shape=values.shape)
        mapped[name][:] = values
    return mapped


OPTIONS = {
    "shuffled": {},
    "split and weighted": {"validation_split": 0.25, "sample_weight": np.linspace(0.0, 2.0, 12)},
    "validation": {"validation_data": True, "validation_batch_size": 7, "shuffle": "batch"},
    "steps": {"batch_size": None, "steps_per_epoch": 2, "shuffle": False},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_memory_mapped_arrays_are_trained_on_as_others_are(options, tmp_path):
    data, results = small_batch(), []
    mapped = _memory_mapped(data, tmp_path, {"x": ">f8"})
    for given in (data, mapped, {**data, "x": mapped["x"]}):
        own = {"validation_data": given} if "validation_data" in options else {}
        model = _model()
        history = model.fit(given, **{"batch_size": 5, "epochs": 2, "verbose": 0, **options, **own}).history
        evaluated = model.evaluate(given, batch_size=5, verbose=0, return_dict=True)
        results.append([history, model.get_weights(), evaluated, model.predict(given, batch_size=5, verbose=0)])
    for found in results[1:]:
        tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5), results[0], found)


def test_a_memory_mapped_array_cannot_be_split_into_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"validation_split must leave rows to train on.*; got 0\.99 of 12\."):
        MODEL.fit(_memory_mapped(small_batch(), tmp_path, {}), validation_split=0.99, verbose=0)


@pytest.mark.parametrize("nothing", [None, {}, (), []], ids=repr)
def test_weights_count_whatever_stands_for_no_targets(nothing):
    """A row is (modalities, no targets, weight): what weighs nothing must teach nothing."""
    batch, weights = small_batch(), np.repeat([1.0, 0.0], 6).astype(np.float32)
    spoilt = {name: np.concatenate([values[:6], values[5::-1]]) for name, values in batch.items()}
    dataset = [
        tf.data.Dataset.from_tensors((data, *(() if nothing is None else (nothing,)), weights))
        if nothing is not None
        else tf.data.Dataset.from_tensors((data, np.zeros((12, 0), np.float32), weights))
        for data in (batch, spoilt)
    ]
    losses = []
    for data in dataset:
        set_seeds(3)
        model = tj.JMVAE(small_modalities(), 2)
        model.compile("sgd", run_eagerly=True)
        losses.append(model.fit(data, verbose=0).history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("seed", [[1, 2], (1, 2), [[1, 2]] * 3, np.array([1, 2])], ids=str)
def test_seeds_may_be_lists(seed):
    model, observed = tj.JMVAEKL(small_modalities(), 2), {"w": small_batch(size=3)["w"]}
    found = model.generate(observed, seed=seed)["x"]
    np.testing.assert_array_equal(found, model.generate(observed, seed=tf.constant(seed))["x"])


@pytest.mark.parametrize("seed", [[1], [1, 2, 3], [[1, 2, 3]], [1.5, 2.0], [[[1, 2]]], ["a", "b"]], ids=str)
def test_lists_that_are_no_seeds_are_refused(seed):
    with pytest.raises(TypeError, match=r"seed must be whole numbers of shape \[2\] or \[batch, 2\]; got"):
        tj.JMVAEKL(small_modalities(), 2).generate({"w": small_batch()["w"]}, seed=seed)


def test_a_marginal_from_one_modality_alone_says_how_to_have_it():
    model, batch = tj.JMVAEKL(small_modalities(), 2), {"x": small_batch()["x"]}
    for data in (batch, tf.data.Dataset.from_tensors(batch)):
        with pytest.raises(ValueError, match=r"the data lack 'w'\. Pass every modality, or proposal='own'"):
            tj.evaluation.marginal_log_likelihood(model, data, modality="x", num_samples=2, verbose=0)
    found = tj.evaluation.marginal_log_likelihood(model, batch, modality="x", proposal="own", num_samples=2, verbose=0)
    assert np.isfinite(found.mean)
