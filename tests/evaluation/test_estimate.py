"""What an estimate says of itself, and what the estimators refuse."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.evaluation import (
    Estimate,
    attribute_accuracy,
    conditional_coherence,
    conditional_log_likelihood,
    joint_log_likelihood,
    marginal_log_likelihood,
    table,
)

QUIET = {"verbose": 0}
VALUES = np.array([-3.0, -1.0, -2.0, -6.0])


def _estimate(**options):
    settings = {"quantity": "log p(x | w)", "estimator": "conditional bound", "values": VALUES, "num_samples": 10}
    return Estimate(**{**settings, "seed": 7, **options})


# Estimates.


def test_the_mean_and_its_standard_error_are_those_of_the_values():
    estimate = _estimate()
    assert estimate.mean == -3.0
    assert estimate.standard_error == pytest.approx(math.sqrt(14 / 3) / 2)
    assert estimate.num_examples == 4


def test_the_mean_of_many_float32_values_is_taken_in_float64():
    values = np.full(1_000_000, -0.1, np.float32)
    assert _estimate(values=values).mean == pytest.approx(float(np.float32(-0.1)), rel=1e-12)


def test_one_example_has_no_standard_error():
    assert math.isnan(_estimate(values=VALUES[:1]).standard_error)


@pytest.mark.parametrize("options", [{}, {"effective_sample_size": 3.25, "settings": {"num_steps": 4}}])
def test_an_estimate_is_json_without_its_single_values(options):
    estimate = _estimate(**options)
    recorded = json.loads(json.dumps(estimate.as_dict(), allow_nan=False))
    assert recorded == {
        "quantity": "log p(x | w)",
        "estimator": "conditional bound",
        "mean": estimate.mean,
        "standard_error": estimate.standard_error,
        "effective_sample_size": options.get("effective_sample_size"),
        "num_samples": 10,
        "num_examples": 4,
        "seed": 7,
        "settings": options.get("settings", {}),
        "examples": {},
    }


# Differences of estimates of the same examples.

SAME = {"examples": {"x": "0a", "w": "0b"}}


def test_a_difference_has_the_error_of_a_paired_t_test():
    """Scores of which half the variance is the examples' own, as of two models: scipy knows the error."""
    shared, own, others = np.random.default_rng(0).normal(size=(3, 500))
    first, second = (_estimate(values=shared + part, **SAME) for part in (own, others - 0.5))
    apart = first.difference(second)
    test = stats.ttest_rel(first.values, second.values)
    assert apart.mean == pytest.approx(first.mean - second.mean)
    assert apart.mean / apart.standard_error == pytest.approx(test.statistic)
    assert apart.standard_error == pytest.approx(math.sqrt(2 / 500), rel=0.1)  # without what they share
    assert math.hypot(first.standard_error, second.standard_error) == pytest.approx(math.sqrt(4 / 500), rel=0.1)
    assert (apart.quantity, apart.num_examples, apart.examples) == ("log p(x | w)", 500, SAME["examples"])
    assert _estimate(**SAME).difference(_estimate(quantity="log p(x)", **SAME)).quantity == "log p(x | w) - log p(x)"


def test_a_difference_in_every_example_alike_has_no_error():
    apart = _estimate(**SAME).difference(_estimate(values=VALUES - 0.25, **SAME))
    assert (apart.mean, apart.standard_error) == (0.25, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": VALUES[:3], **SAME}, r"same examples in the same order; got 4 here and 3 there\. Estimate both on"),
        ({"examples": {"x": "0c", "w": "0b"}}, r"same order; got others of x\."),
        ({"examples": {"y": "0a"}}, r"no modality in common"),
        ({}, r"no modality in common"),
    ],
    ids=["fewer", "others", "nothing in common", "unknown"],
)
def test_estimates_of_other_examples_have_no_difference(options, message):
    with pytest.raises(ValueError, match=message):
        _estimate(**SAME).difference(_estimate(**options))
    with pytest.raises(ValueError, match=r"same examples"):
        _estimate(**options).difference(_estimate(**SAME))


def test_an_estimate_comes_back_from_json_with_its_values_and_can_be_paired():
    values = np.random.default_rng(0).normal(-400, 90, 50).astype(np.float32)
    estimate = _estimate(values=values, effective_sample_size=2.5, settings={"num_steps": 4}, **SAME)
    back = Estimate.from_dict(json.loads(json.dumps(estimate.as_dict(values=True), allow_nan=False)))
    np.testing.assert_array_equal(back.values, values)
    assert back.as_dict() == estimate.as_dict()
    assert back.difference(estimate).standard_error == 0


@pytest.mark.parametrize("kind", ["joint", "bound", "importance", "marginal", "coherence", "attributes"])
def test_every_estimator_names_its_examples_however_they_are_batched(kind):
    """Equal examples of two models can be paired, others and those in another order cannot."""
    names = "xv" if kind == "attributes" else "xw"
    model, other = (tj.JMVAEKL(small_modalities(names), dim) for dim in (3, 2))
    batch = small_batch(names)
    if kind == "attributes":
        batch["v"] = np.sign(batch["v"])
    estimate = {
        "joint": _joint(num_samples=2),
        "bound": _conditional(num_samples=2),
        "importance": _conditional(estimator="importance", num_samples=2),
        "marginal": _marginal(num_samples=2),
        "coherence": lambda model, batch, **_: conditional_coherence(model, batch, target="w", given="x", **QUIET),
        "attributes": lambda model, batch, **_: attribute_accuracy(model, batch, target="v", **QUIET),
    }[kind]
    first, second = estimate(model, batch), estimate(other, batch, max_rows=3)
    np.testing.assert_array_equal(first.difference(second).values, first.values.astype(float) - second.values)
    turned = estimate(model, {name: values[::-1] for name, values in batch.items()})
    with pytest.raises(ValueError, match=r"same examples in the same order; got others of .*x"):
        first.difference(turned)


@pytest.mark.parametrize("estimator", ["bound", "monte_carlo", "importance"])
def test_what_an_estimator_returns_is_json(estimator):
    model = tj.JMVAE(small_modalities(), 3)
    options = {"target": "x", "given": "w", "estimator": estimator, "num_samples": np.int64(4)}
    options["iterated_sampling"] = tj.IteratedSampling(num_chains=2)
    estimate = conditional_log_likelihood(model, small_batch(), **options, **QUIET)
    recorded = json.loads(json.dumps(estimate.as_dict(), allow_nan=False))
    assert recorded["num_samples"] == 4
    assert recorded["num_examples"] == 12
    if estimator == "importance":
        settings = {"normalizer": "encoder", "normalizer_samples": 4, "num_steps": 1, "initial": "zeros"}
    else:
        settings = {"num_steps": 1, "initial": "zeros", "num_chains": 2}
    assert recorded["settings"] == settings
    assert (recorded["effective_sample_size"] is None) == (estimator == "bound")


def test_what_is_not_a_number_is_null_in_json():
    recorded = _estimate(values=VALUES[:1], effective_sample_size=math.inf).as_dict()
    assert recorded["mean"] == -3
    assert recorded["standard_error"] is None
    assert recorded["effective_sample_size"] is None
    json.dumps(recorded, allow_nan=False)


def test_estimates_can_be_compared_and_put_into_a_set():
    first, second = _estimate(), _estimate()
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2


@pytest.mark.parametrize("kind", ["joint", "conditional", "marginal", "coherence"])
@pytest.mark.parametrize(
    ("seed", "recorded"),
    [(np.int64(5), 5), (tf.constant([5, 0]), 5), (tf.constant([7, 3]), 7 + 3 * 2**31), (None, None)],
    ids=["numpy", "tensor", "long tensor", "none"],
)
def test_the_recorded_seed_is_a_whole_number_that_repeats_the_values(kind, seed, recorded):
    model, batch = tj.JMVAEKL(small_modalities(), 3), small_batch()
    estimate = {
        "joint": _joint(),
        "conditional": _conditional(),
        "marginal": _marginal(),
        "coherence": lambda model, batch, seed: conditional_coherence(
            model, batch, target="w", given="x", num_samples=5, seed=seed, **QUIET
        ),
    }[kind]
    first = estimate(model, batch, seed=seed)
    assert type(first.seed) is int
    assert recorded is None or first.seed == recorded
    assert json.loads(json.dumps(first.as_dict(), allow_nan=False))["seed"] == first.seed
    np.testing.assert_array_equal(estimate(model, batch, seed=first.seed).values, first.values)


def test_a_number_of_steps_may_be_numpy_s():
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    first, second = (_conditional(iterated_sampling=steps)(model, batch) for steps in (np.int64(3), 3))
    np.testing.assert_array_equal(first.values, second.values)
    assert json.loads(json.dumps(first.as_dict()))["settings"]["num_steps"] == 3


def test_an_estimate_prints_its_names_and_numbers():
    text = str(_estimate(effective_sample_size=3.25, settings={"num_steps": 4, "initial": "zeros"}))
    header, line, row = text.splitlines()
    names = "quantity  estimator  mean  std. error  ESS  samples  examples  seed  settings"
    assert header.split() == names.split()
    assert set(line) == {"-"}
    assert row.startswith("log p(x | w)  conditional bound  -3.0000")
    assert row.split()[6:] == ["-3.0000", "1.0801", "3.2", "10", "4", "7", "num_steps=4,", "initial=zeros"]


def test_a_table_has_a_line_for_each_estimate_in_columns():
    other = _estimate(quantity="log p(x, w)", estimator="joint importance", effective_sample_size=123.4)
    header, _, first, second = table([_estimate(), other]).splitlines()
    for column, values in {"mean": ("-3.0000", "-3.0000"), "ESS": ("", "123.4"), "seed": ("7", "7")}.items():
        end = header.index(column) + len(column)
        for row, value in zip((first, second), values, strict=True):
            assert row[:end].endswith(value or " ")
    assert second.startswith("log p(x, w)")


def test_the_progress_bar_can_be_silenced(capsys):
    model, batch = tj.JMVAEKL(small_modalities(), 3), small_batch()
    joint_log_likelihood(model, batch, num_samples=2, verbose=0)
    assert capsys.readouterr().out == ""
    joint_log_likelihood(model, batch, num_samples=2)
    assert "1/1" in capsys.readouterr().out


# What is refused.


def _conditional(**options):
    return lambda model, batch, **more: conditional_log_likelihood(
        model, batch, **{"target": "x", "given": "w", **options}, **more, **QUIET
    )


def _joint(**options):
    return lambda model, batch, **more: joint_log_likelihood(model, batch, **options, **more, **QUIET)


def _marginal(**options):
    return lambda model, batch, **more: marginal_log_likelihood(
        model, batch, **{"modality": "x", **options}, **more, **QUIET
    )


@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        (_conditional(given="xw", estimator="importance"), r"'xw'"),
        (_conditional(given=["x", "w"], estimator="importance"), r"'x' cannot be on both sides; .*estimator='bound'"),
        (_conditional(target="v"), r"Unknown modality 'v'\. This model has 'x', 'w'"),
        (_conditional(given=["w", "v"]), r"Unknown modality 'v'"),
        (_conditional(given=[]), r"No modality was given"),
        (_conditional(target=[]), r"No modality was given"),
        (_conditional(estimator="elbo"), r"estimator must be one of 'bound', 'monte_carlo', 'importance'; got 'elbo'"),
        (_conditional(estimator="importance", normalizer="none"), r"normalizer must be one of 'encoder', 'prior'"),
        (_conditional(estimator="importance", normalizer_samples=0), r"normalizer_samples must be a whole number of 1"),
        (_conditional(num_samples=0), r"num_samples must be a whole number of 1 or more; got 0"),
        (_conditional(num_samples=2.5), r"num_samples must be a whole number"),
        (_conditional(iterated_sampling=0), r"num_steps must be a whole number of 1 or more; got 0"),
        (_conditional(iterated_sampling=1.5), r"num_steps must be a whole number"),
        (
            _conditional(iterated_sampling=tj.IteratedSampling(num_chains=3)),
            r"num_chains must divide the 10 samples; got 3",
        ),
        (_conditional(max_rows=0), r"max_rows must be a whole number of 1 or more"),
        (_conditional(seed=-1), r"seed must lie between 0"),
        (_joint(seed=tf.constant([1, -1])), r"The entries of a seed tensor must be 0 or more; got \[1, -1\]"),
        (_joint(num_samples=0), r"num_samples must be a whole number"),
        (_marginal(modality="v"), r"Unknown modality 'v'"),
        (_marginal(proposal="prior"), r"proposal must be one of 'joint', 'own'; got 'prior'"),
        (_marginal(proposal="own", iterated_sampling=0), r"num_steps must be a whole number"),
    ],
)
def test_what_makes_no_sense_is_refused(estimate, message):
    with pytest.raises(ValueError, match=message):
        estimate(tj.JMVAE(small_modalities(), 3), small_batch())


@pytest.mark.parametrize("cls", [tj.CVAE, tj.CMMA])
@pytest.mark.parametrize(
    ("estimate", "message"),
    [
        (_joint(), r"models x given w, and no log p\(x, w\)\. Use conditional_log_likelihood"),
        (_marginal(), r"models x given w, and no log p\(x\)"),
        (_marginal(modality="w"), r"models x given w, and no log p\(w\)"),
        (_conditional(target="w", given="x"), r"takes 'w' as given; it generates 'x' only"),
        (_conditional(given="x"), r"goes from 'w' to 'x' only, but 'w' was not given"),
    ],
)
def test_one_way_models_refuse_what_they_do_not_model(cls, estimate, message):
    with pytest.raises(ValueError, match=message):
        estimate(cls(small_modalities(), 3, target="x"), small_batch())


def _without_x(batch):
    return {"w": batch["w"]}


def _with_nan(batch):
    return {**batch, "x": np.where(np.arange(12)[:, None, None, None] == 5, np.nan, batch["x"])}


def _empty(batch):
    return {name: value[:0] for name, value in batch.items()}


@pytest.mark.parametrize("estimate", [_conditional(), _joint(), _marginal()], ids=["conditional", "joint", "marginal"])
@pytest.mark.parametrize("dataset", [False, True], ids=["arrays", "dataset"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_x, r"Modality 'x' is missing"),
        (_with_nan, r"Modality 'x' holds nan at index"),
        (_empty, r"The data contain no examples"),
        (lambda batch: {**batch, "x": batch["x"] + 0.5}, r"Modality 'x' holds 1\.5 at index"),
        (lambda batch: {**batch, "v": batch["x"]}, r"Unknown modality 'v'"),
    ],
    ids=["missing", "nan", "empty", "support", "unknown"],
)
def test_bad_data_are_refused(estimate, dataset, change, message):
    data = change(small_batch())
    data = tf.data.Dataset.from_tensor_slices(data).batch(4) if dataset else data
    with pytest.raises(ValueError, match=message):
        estimate(tj.JMVAEKL(small_modalities(), 3), data)


@pytest.mark.parametrize("estimate", [_conditional(), _joint(), _marginal()], ids=["conditional", "joint", "marginal"])
def test_modalities_of_different_lengths_are_refused(estimate):
    batch = small_batch()
    with pytest.raises(ValueError, match="the same number of examples"):
        estimate(tj.JMVAEKL(small_modalities(), 3), {**batch, "x": batch["x"][:5]})
