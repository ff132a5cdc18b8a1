"""Estimates of rows that lack something: of what they hold, against closed forms."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from exact_models import THREE
from linear_gaussian import LinearGaussian
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae import evaluation

PATTERNS = [held for size in (1, 2, 3) for held in itertools.combinations("xwc", size)]


@pytest.fixture(scope="module")
def exact():
    made = LinearGaussian(THREE)
    made.make_every_posterior_diagonal()
    return made


@pytest.fixture(scope="module")
def model(exact):
    modalities = exact.modalities()
    for modality in modalities.values():
        modality.optional = True
    model = tj.JMVAEKL(modalities, 2)
    exact.set_decoders(model)
    exact.set_encoder(model.encoder, exact.sizes)
    for names, encoder in model.subset_encoders.items():
        exact.set_encoder(encoder, names.split("_and_"))
    return model


@pytest.fixture(scope="module")
def complete(exact):
    return exact.sample(2 * len(PATTERNS))


@pytest.fixture(scope="module")
def incomplete(complete):
    found = {name: value.copy() for name, value in complete.items()}
    for row in range(len(found["x"])):
        for name in set(found) - set(PATTERNS[row % len(PATTERNS)]):
            found[name][row] = np.nan
    return found


def _log_prob(exact, complete, names, row):
    return float(exact.log_prob({name: value[row : row + 1] for name, value in complete.items()}, names))


def _held(names):
    """Rows, and what they hold of `names`, of those that hold any."""
    for row in range(2 * len(PATTERNS)):
        if own := [name for name in PATTERNS[row % len(PATTERNS)] if name in names]:
            yield row, own


@pytest.mark.parametrize("as_dataset", [False, True])
def test_the_joint_log_likelihood_is_of_what_each_row_holds(model, exact, complete, incomplete, as_dataset):
    data = tf.data.Dataset.from_tensor_slices(incomplete).batch(4) if as_dataset else incomplete
    estimate = evaluation.joint_log_likelihood(model, data, num_samples=20, verbose=0)
    expected = [_log_prob(exact, complete, own, row) for row, own in _held("xwc")]
    np.testing.assert_allclose(estimate.values, expected, atol=1e-3)
    assert "rows_left_out" not in estimate.settings


@pytest.mark.parametrize("proposal", ["joint", "own"])
def test_the_marginal_log_likelihood_is_of_the_rows_that_hold_it(model, exact, complete, incomplete, proposal):
    options = {"modality": ["x", "c"], "proposal": proposal, "num_samples": 20_000 if proposal == "joint" else 20}
    estimate = evaluation.marginal_log_likelihood(model, incomplete, verbose=0, **options)
    expected = [_log_prob(exact, complete, own, row) for row, own in _held("xc")]
    np.testing.assert_allclose(estimate.values, expected, atol=0.15 if proposal == "joint" else 1e-3)
    assert estimate.settings["rows_left_out"] == 2  # those with w alone


def test_the_conditional_log_likelihood_is_of_the_rows_that_hold_the_target_given_what_they_hold(
    model, exact, complete, incomplete
):
    options = {"target": "x", "given": ["w", "c"], "estimator": "importance", "num_samples": 2000}
    estimate = evaluation.conditional_log_likelihood(model, incomplete, verbose=0, **options)
    rows = [(row, [n for n in own if n != "x"]) for row, own in _held("xwc") if "x" in own and len(own) > 1]
    expected = [
        _log_prob(exact, complete, ["x", *given], row) - _log_prob(exact, complete, given, row) for row, given in rows
    ]
    np.testing.assert_allclose(estimate.values, expected, atol=0.15)
    assert estimate.settings["rows_left_out"] == 14 - len(rows)


def test_differences_are_of_the_same_rows(model, incomplete):
    one, other = (
        evaluation.marginal_log_likelihood(model, incomplete, modality=m, num_samples=5, verbose=0) for m in "xw"
    )
    assert one.difference(one).mean == 0
    with pytest.raises(ValueError, match="same examples"):
        one.difference(other)


def test_nothing_to_score_is_an_error(model, incomplete):
    nothing = {**incomplete, "w": np.full_like(incomplete["w"], np.nan)}
    with pytest.raises(ValueError, match="no examples that can be scored"):
        evaluation.marginal_log_likelihood(model, nothing, modality="w", proposal="own", num_samples=5, verbose=0)


def test_a_model_that_needs_every_modality_says_so(incomplete):
    modalities = LinearGaussian(THREE).modalities()
    for modality in modalities.values():
        modality.optional = True
    with pytest.raises(ValueError, match=r"lacks modality .*A JMVAE reads every modality"):
        evaluation.joint_log_likelihood(tj.JMVAE(modalities, 2), incomplete, num_samples=5, verbose=0)


def test_coherence_counts_rows_that_have_a_class_and_something_to_generate_from():
    set_seeds(1)
    modalities = small_modalities()
    for modality in modalities.values():
        modality.optional = True
    model, data = tj.JMVAEKL(modalities, 2), small_batch(size=12)
    whole = evaluation.conditional_coherence(model, data, target="w", given="x", latent="mean", verbose=0)
    data["w"][[1, 2]] = np.nan
    data["x"][[5]] = np.nan
    part = evaluation.conditional_coherence(model, data, target="w", given="x", latent="mean", verbose=0)
    np.testing.assert_array_equal(part.values, np.delete(whole.values, [1, 2, 5]))
    assert part.settings["rows_left_out"] == 3


def test_attributes_that_are_missing_do_not_count():
    set_seeds(1)
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    modalities = {
        "x": small_modalities("x")["x"],
        "a": tj.Modality((3,), "gaussian", entry_names=("p", "q", "r"), optional="entries", **networks),
    }
    model, random = tj.JMVAEKL(modalities, 2), np.random.default_rng(0)
    data = {**small_batch("x", size=6), "a": random.choice([-1.0, 1.0], (6, 3)).astype(np.float32)}
    signs = np.sign(model.generate({"x": data["x"]}, latent="mean")["a"]) == data["a"]
    data["a"][0, 1], data["a"][2] = np.nan, np.nan
    found = evaluation.attribute_accuracy(model, data, verbose=0)
    expected = [signs[row].mean() if row else signs[0, [0, 2]].mean() for row in (0, 1, 3, 4, 5)]
    np.testing.assert_allclose(found.values, expected)
