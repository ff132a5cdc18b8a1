"""Coherence of models whose decoders are set so that what they generate is known."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae.evaluation import conditional_coherence, joint_coherence, samples

CLASSES = 4
QUIET = {"verbose": 0}
LABELS = np.random.default_rng(0).integers(0, CLASSES, 60)
W = np.eye(CLASSES, dtype=np.float32)[LABELS]
DATA = {"w": W, "x": 3 * W}


def _modalities(names="wx"):
    linear = {"encoder": tj.networks.mlp([]), "decoder": tj.networks.mlp([])}
    known = {
        "w": tj.Modality((CLASSES,), "categorical", **linear),
        "x": tj.Modality((CLASSES,), tj.heads.Gaussian(variance=1.0), **linear),
        "v": tj.Modality((CLASSES,), "categorical", **linear),
    }
    return {name: known[name] for name in names}


def _perfect(names="wx"):
    """A model whose z is 20 times the one-hot label, which every decoder passes on."""
    model = tj.JMVAEKL(_modalities(names), CLASSES)
    for name, decoder in model.decoders.items():
        decoder.set_weights([np.eye(CLASSES) * (1 if name == "x" else 20), np.zeros(CLASSES)])
    for subset, encoder in model.subset_encoders.items():
        count = len(subset.split("_and_"))
        kernel = np.concatenate([np.eye(CLASSES)] * count) * 20
        narrow = np.full(CLASSES, -10.0)
        encoder.set_weights([kernel, np.zeros(CLASSES), np.zeros_like(kernel), narrow])
    return model


def _class_of(x):
    return x.argmax(-1)


def _keras_model(kernel):
    model = keras.Sequential([keras.layers.Input((CLASSES,)), keras.layers.Dense(kernel.shape[1], use_bias=False)])
    model.set_weights([kernel])
    return model


def _x_from_w(classifier, model=None, data=DATA, **options):
    return conditional_coherence(
        model or _perfect(), data, target="x", given="w", classifier=classifier, **QUIET, **options
    )


# Conditional coherence.


@pytest.mark.parametrize("latent", ["sample", "mean"])
@pytest.mark.parametrize(
    "classifier",
    [_class_of, lambda x: x, lambda x: x.tolist(), lambda x: keras.ops.softmax(x), _keras_model(np.eye(CLASSES))],
    ids=["classes", "scores", "list", "tensor", "keras"],
)
def test_a_model_that_generates_what_it_was_asked_for_is_wholly_coherent(classifier, latent):
    estimate = _x_from_w(classifier, latent=latent)
    np.testing.assert_array_equal(estimate.values, np.ones(60))
    assert (estimate.mean, estimate.standard_error) == (1, 0)


@pytest.mark.parametrize(
    ("classifier", "expected"),
    [
        (lambda x: (_class_of(x) + 1) % CLASSES, np.zeros(60)),
        (lambda x: np.where(_class_of(x) < 2, _class_of(x), -1), LABELS < 2),
        (lambda x: np.zeros(len(x), int), LABELS == 0),
        (_keras_model(np.roll(np.eye(CLASSES), 1, axis=1)), np.zeros(60)),
        (_keras_model(np.eye(CLASSES)[[0, 1, 0, 1]]), LABELS < 2),
    ],
    ids=["never", "half", "constant", "keras-never", "keras-half"],
)
def test_the_share_is_that_of_the_examples_that_the_classifier_finds_right(classifier, expected):
    estimate = _x_from_w(classifier)
    np.testing.assert_array_equal(estimate.values, np.asarray(expected, float))
    assert estimate.mean == pytest.approx(np.mean(expected))


def test_a_label_is_named_without_a_classifier():
    estimate = conditional_coherence(_perfect(), DATA, target="w", given="x", **QUIET)
    assert estimate.mean == 1
    assert estimate.quantity == "w from x is of its class"
    wrong = conditional_coherence(
        _perfect(), {**DATA, "x": np.roll(DATA["x"], 1, axis=1)}, target="w", given="x", **QUIET
    )
    assert wrong.mean == 0


def test_a_classifier_of_a_label_overrides_its_largest_probability():
    classifier = {"classifier": lambda w: (w.argmax(-1) + 1) % CLASSES}
    assert conditional_coherence(_perfect(), DATA, target="w", given="x", **classifier, **QUIET).mean == 0


def test_labels_may_be_given_apart_from_the_data():
    data = {"w": W}
    assert _x_from_w(_class_of, data=data, labels=LABELS).mean == 1
    assert _x_from_w(_class_of, data=data, labels=(LABELS + 1) % CLASSES).mean == 0
    assert _x_from_w(_class_of, data=data, labels=LABELS.tolist()).mean == 1
    named = conditional_coherence(_perfect(), {"x": DATA["x"]}, target="w", given="x", labels=LABELS, **QUIET)
    assert named.mean == 1


def test_several_samples_of_an_example_count_by_their_share():
    model = _perfect()
    encoder = model.subset_encoders["w"]
    kernel, bias, zeros, _ = encoder.get_weights()
    encoder.set_weights([0 * kernel, bias, zeros, np.full(CLASSES, 1.0, np.float32)])  # z has nothing of w
    estimate = _x_from_w(_class_of, model, num_samples=200)
    assert estimate.num_samples == 200
    assert estimate.num_examples == 60
    np.testing.assert_allclose(estimate.values, 1 / CLASSES, atol=5 * np.sqrt(3 / 16 / 200))
    assert estimate.mean == pytest.approx(1 / CLASSES, abs=5 * np.sqrt(3 / 16 / 12_000))
    assert _x_from_w(_class_of, model, num_samples=200).mean == estimate.mean
    assert _x_from_w(_class_of, model, num_samples=200, seed=1).mean != estimate.mean


@pytest.mark.parametrize("rows", [7, 64])
def test_no_more_targets_are_decoded_at_once_than_allowed_and_all_count(monkeypatch, rows):
    monkeypatch.setattr(samples, "max_rows", lambda *arguments, **options: rows)
    sizes = []

    def classifier(x):
        sizes.append(len(x))
        return np.where(_class_of(x) < 2, _class_of(x), -1)

    estimate = _x_from_w(classifier, num_samples=10)
    assert max(sizes) <= rows
    assert sum(sizes) == 60 * 10
    np.testing.assert_array_equal(estimate.values, (LABELS < 2).astype(float))


def test_samples_of_all_chunks_have_noise_of_their_own(monkeypatch):
    monkeypatch.setattr(samples, "max_rows", lambda *arguments, **options: 4)
    seen = []
    _x_from_w(lambda x: seen.append(x) or _class_of(x), num_samples=10)
    assert len(np.unique(np.concatenate(seen), axis=0)) == 60 * 10


def test_more_examples_than_a_batch_keep_their_order():
    labels = np.random.default_rng(1).integers(0, CLASSES, 1203)
    data = {"w": np.eye(CLASSES, dtype=np.float32)[labels]}
    estimate = _x_from_w(lambda x: np.where(_class_of(x) == 3, 3, -1), data=data)
    np.testing.assert_array_equal(estimate.values, (labels == 3).astype(float))


def test_the_settings_of_iterated_sampling_are_recorded():
    model = tj.JMVAE(_modalities(), CLASSES)
    iterated = _x_from_w(_class_of, model, iterated_sampling=3)
    assert iterated.settings == {"latent": "sample", "num_steps": 3, "initial": "zeros"}
    assert _x_from_w(_class_of, latent="mean", iterated_sampling=3).settings == {"latent": "mean"}
    assert json.loads(json.dumps(iterated.as_dict(), allow_nan=False))["num_examples"] == 60


def test_batches_are_generated_by_the_steps_that_are_asked_for_from_seeds_of_their_own(monkeypatch):
    monkeypatch.setattr("tf_jmvae.evaluation.coherence._BATCH", 25)
    model, calls = tj.JMVAE(_modalities(), CLASSES), []
    monkeypatch.setattr(model, "generate", lambda *_, **options: calls.append(options) or {"x": tf.zeros((25, 1, 4))})
    data = {name: values[:50] for name, values in DATA.items()}
    _x_from_w(_class_of, model, data, labels=LABELS[:50], iterated_sampling=tj.IteratedSampling(3, "noise"))
    assert [call["iterated_sampling"] for call in calls] == [tj.IteratedSampling(3, "noise")] * 2
    assert len({tuple(call["seed"].numpy()) for call in calls}) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Modality 'x' is not categorical, so its class needs a classifier"),
        ({"target": "v"}, "Unknown modality 'v'"),
        ({"given": "v", "classifier": _class_of}, r"Unknown modality 'v'\. This model has 'w', 'x'"),
        ({"given": [], "classifier": _class_of}, "No modality was given"),
        ({"target": ["w"]}, r"target must be the name of one modality, such as 'x'; got \['w'\]"),
        ({"classifier": _class_of, "num_samples": 0}, "num_samples must be a whole number of 1 or more; got 0"),
        ({"classifier": _class_of, "iterated_sampling": 0}, "num_steps must be a whole number of 1 or more; got 0"),
        ({"classifier": _class_of, "data": {"w": W[:0]}}, "The data contain no examples"),
        (
            {"classifier": lambda x: np.ones((len(x), 1))},
            r"scores \[n, C\] of C = 2 classes or more, for 60 values; got shape \[60, 1\]\. Of one column take",
        ),
        ({"classifier": _keras_model(np.ones((CLASSES, 1)))}, r"got shape \[60, 1\]"),
        ({"data": {"x": DATA["x"]}, "classifier": _class_of}, "'w' is missing"),
        ({"given": "x", "classifier": _class_of, "data": {"x": DATA["x"]}}, "the data have 0 categorical modalities"),
        (
            {"classifier": _class_of, "labels": LABELS[:5]},
            r"labels must be class numbers of shape \[60\]; got shape \[5\]",
        ),
        ({"classifier": _class_of, "labels": W}, r"labels must be class numbers of shape \[60\]; got shape \[60, 4\]"),
        (
            {"classifier": lambda x: x[:3].argmax(-1)},
            r"class numbers \[n\], or scores \[n, C\] of C = 2 classes or more, for 60 values; got .*\[3\]",
        ),
        ({"classifier": _class_of, "latent": "median"}, "latent must be one of 'sample', 'mean'"),
    ],
)
def test_what_cannot_be_judged_is_refused(options, message):
    options = {"data": DATA, "target": "x", "given": "w", **options}
    with pytest.raises(ValueError, match=message):
        conditional_coherence(_perfect(), options.pop("data"), **options, **QUIET)


def test_two_labels_in_the_data_need_a_choice():
    data = {**DATA, "v": W}
    model = _perfect("wxv")
    with pytest.raises(ValueError, match="the data have 2 categorical modalities"):
        _x_from_w(_class_of, model, data)
    assert _x_from_w(_class_of, model, data, labels=LABELS).mean == 1


def test_one_way_models_refuse_another_direction():
    model = tj.CMMA(_modalities(), CLASSES, target="x")
    with pytest.raises(ValueError, match="takes 'w' as given"):
        conditional_coherence(model, DATA, target="w", given="x", **QUIET)


# Joint coherence.


def test_modalities_that_always_agree_are_wholly_coherent():
    estimate = joint_coherence(_perfect(), classifiers={"x": _class_of}, num_samples=700, **QUIET)
    assert estimate.mean == 1
    assert estimate.values.shape == (700,)
    assert estimate.num_examples == 700
    assert estimate.quantity == "w and x from the prior are of one class"
    assert joint_coherence(_perfect("wv"), num_samples=50, **QUIET).mean == 1


def test_modalities_that_never_agree_are_not_coherent():
    classifiers = {"x": lambda x: (_class_of(x) + 1) % CLASSES}
    assert joint_coherence(_perfect(), classifiers=classifiers, num_samples=50, **QUIET).mean == 0


def test_all_modalities_must_agree_at_once():
    model = _perfect("wxv")
    half = {"x": lambda x: np.where(_class_of(x) < 2, _class_of(x), -1)}
    estimate = joint_coherence(model, classifiers=half, num_samples=2000, **QUIET)
    assert estimate.mean == pytest.approx(0.5, abs=0.06)
    assert estimate.standard_error == pytest.approx(0.5 / np.sqrt(2000), rel=0.02)
    assert joint_coherence(model, num_samples=100, **QUIET).mean == 1  # of the two labels


def test_joint_coherence_draws_every_batch_anew(monkeypatch):
    monkeypatch.setattr("tf_jmvae.evaluation.coherence._BATCH", 10)
    seen = []
    joint_coherence(_perfect(), classifiers={"x": lambda x: seen.append(x) or _class_of(x)}, num_samples=30, **QUIET)
    assert len(seen) == 3
    assert len(np.unique(np.concatenate(seen).round(4), axis=0)) == 30


def test_joint_coherence_repeats_with_its_seed():
    half = {"x": lambda x: np.where(_class_of(x) < 2, _class_of(x), -1)}
    first, again, other = (
        joint_coherence(_perfect(), classifiers=half, num_samples=100, seed=seed, **QUIET) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.values, again.values)
    assert (first.values != other.values).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"only \['w'\] can be classified"),
        ({"classifiers": {"v": _class_of}}, "Unknown modality 'v'"),
        ({"classifiers": {"x": _class_of}, "num_samples": 0}, "num_samples must be a whole number of 1 or more"),
        ({"classifiers": {"x": lambda x: x[:2].argmax(-1)}, "num_samples": 9}, "for 9 values; got shape"),
    ],
)
def test_joint_coherence_refuses_what_it_cannot_compare(options, message):
    with pytest.raises(ValueError, match=message):
        joint_coherence(_perfect(), **options, **QUIET)


def test_joint_coherence_needs_a_joint_distribution():
    model = tj.CVAE(_modalities(), CLASSES, target="x")
    with pytest.raises(ValueError, match="no joint distribution"):
        joint_coherence(model, classifiers={"x": _class_of}, num_samples=5, **QUIET)
