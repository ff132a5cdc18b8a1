"""Eq. (12), the bound of rows that lack modalities, each part against an oracle."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from exact_models import THREE
from linear_gaussian import LinearGaussian, mean_bound
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distributions import conditional_product, kl_divergence
from tf_jmvae.models.components import parts

SEED = tf.constant([3, 4])
NAMES = ("x", "w", "v")
PATTERNS = [held for size in (1, 2, 3) for held in itertools.combinations(NAMES, size)]
by_subsets = pytest.mark.parametrize("subsets", ["all", "single", "shared"])
by_own_towers = pytest.mark.parametrize("subsets", ["all", "single"])


def _modalities(names="xwv", optional=True):
    made = small_modalities(names)
    for modality in made.values():
        modality.optional = optional
    return made


def _model(subsets="all", names="xwv", **options):
    set_seeds(4)
    return tj.JMVAEKL(_modalities(names), 3, alpha=0.7, subsets=subsets, **options)


def _without(batch, held, rows=slice(None)):
    """The batch with only `held` modalities in those rows."""
    found = {name: value.copy() for name, value in batch.items()}
    for name in batch:
        if name not in held:
            found[name][rows] = np.nan
    return found


def _mixed(size=14, names="xwv"):
    """A batch with every pattern of what a row holds, and which one each row has."""
    batch, patterns = small_batch(names, size), [p for p in PATTERNS if set(p) <= set(names)]
    held = [patterns[row % len(patterns)] for row in range(size)]
    for row, pattern in enumerate(held):
        batch = _without(batch, pattern, row)
    return batch, held


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _loss_and_gradients(model, batch, seed=SEED):
    with tf.GradientTape() as tape:
        loss = model._loss(model.objective(_tensors(batch), seed, training=True), None)
    gradients = tape.gradient(loss, model.trainable_variables)
    return loss, [
        tf.zeros_like(v) if g is None else g for g, v in zip(gradients, model.trainable_variables, strict=True)
    ]


# The bound of the linear-Gaussian model.


def _exact_model(subsets):
    exact = LinearGaussian(THREE)
    exact.make_every_posterior_diagonal()
    modalities = exact.modalities()
    for modality in modalities.values():
        modality.optional = True
    model = tj.JMVAEKL(modalities, 2, subsets=subsets)
    exact.set_decoders(model)
    exact.set_encoder(model.encoder, exact.sizes)
    for names, encoder in model.subset_encoders.items():
        exact.set_encoder(encoder, names.split("_and_"))
    return exact, model


@by_own_towers
def test_the_bound_touches_the_log_likelihood_of_what_each_row_holds_and_lies_below_it_with_other_encoders(subsets):
    exact, model = _exact_model(subsets)
    patterns = [held for size in (1, 2, 3) for held in itertools.combinations(exact.sizes, size)]
    complete = exact.sample(len(patterns))
    batch = complete
    for row, held in enumerate(patterns):
        batch = _without(batch, held, row)
    truth = np.array([exact.log_prob(complete, held)[row] for row, held in enumerate(patterns)])
    bound, error = mean_bound(model, _tensors(batch))
    np.testing.assert_array_less(np.abs(bound - truth), 5 * error + 1e-4)
    for encoder in (model.encoder, *model.subset_encoders.values()):
        kernel, bias, *variance = encoder.get_weights()
        encoder.set_weights([kernel, bias + 0.6, *variance])
    bound, error = mean_bound(model, _tensors(batch))
    assert (bound + 5 * error < truth).all()


# Rows count as if each pattern had a model of its own.


@pytest.mark.parametrize(
    ("subsets", "flow"), [("all", None), ("single", None), ("shared", None), ("all", 2), ("shared", 2)]
)
def test_complete_rows_give_eq_10_to_the_last_bit(subsets, flow):
    set_seeds(4)
    plain = tj.JMVAEKL(_modalities(optional=False), 3, alpha=0.7, subsets=subsets, flow=flow)
    model, batch = _model(subsets, flow=flow), _tensors(small_batch("xwv"))
    terms, expected = (one.objective(batch, SEED) for one in (model, plain))
    assert list(terms) == list(expected)
    for name in terms:
        np.testing.assert_array_equal(terms[name].value, expected[name].value, name)
    for one, other in zip(_loss_and_gradients(model, batch)[1], _loss_and_gradients(plain, batch)[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)  # summed in another order


def _posterior_by_hand(model, batch, row, held):
    """q(z | O) of a row and q(z | T) of the subsets that have an encoder, from the encoders themselves."""
    one = {name: tf.constant(batch[name][row : row + 1]) for name in held}
    of = {
        e.names: e({name: one[name] for name in e.names})
        for e in model.subset_encoders.values()
        if {*e.names} <= {*held}
    }
    if len(held) == len(model.modalities):
        return model.encoder(one), of
    return of.get(tuple(held)) or conditional_product([of[name,] for name in held]), of


@by_own_towers
def test_each_rows_terms_are_those_of_the_equation_written_out_for_it_alone(subsets):
    model, (batch, held) = _model(subsets), _mixed()
    seeds = tf.random.split(SEED, len(held))
    terms = model.objective(_tensors(batch), seeds)
    for row, own in enumerate(held):
        q, of = _posterior_by_hand(model, batch, row, own)
        z = q.mean() + q.stddev() * _noise(seeds[row])
        expected = {f"log_p_{m}": model.likelihoods(z)[m].log_prob(batch[m][row : row + 1])[0] for m in own}
        expected["kl_prior"] = kl_divergence(q, model.prior())[0]
        expected |= {f"kl_{'_and_'.join(t)}": kl_divergence(q, q_t)[0] for t, q_t in of.items() if len(t) < len(own)}
        for name, term in terms.items():
            assert float(term.value[row]) == pytest.approx(float(expected.get(name, 0.0)), abs=2e-5), (name, own)
            assert term.rows is None or bool(term.rows[row]) == (name in expected), (name, own)


def _noise(seed):
    return tf.random.stateless_normal([1, 3], seed)


# With "single" q(z | two of three) is a product, and in a model of two an encoder of its own.
@pytest.mark.parametrize(
    ("subsets", "held"),
    [(s, p) for s in ("all", "single") for p in PATTERNS if s == "all" or len(p) != 2],
    ids=lambda value: value if isinstance(value, str) else "_".join(value),
)
def test_gradients_are_those_of_the_same_rows_trained_as_a_model_of_what_they_hold(subsets, held):
    """Of one modality a VAE, of two a JMVAEKL of two; with the weights of the encoders and decoders that they share."""
    model, batch = _model(subsets), _without(small_batch("xwv"), held)
    own = {name: batch[name] for name in held}
    modalities = {name: small_modalities("xwv")[name] for name in held}
    options = {} if len(held) == 1 else {"alpha": 0.7, "subsets": subsets}
    other = (tj.JMVAEKL if options else tj.VAE)(modalities, 3, **options)
    encoders = {tuple(e.names): e for e in (model.encoder, *model.subset_encoders.values())}
    pairs = [(other.encoder, encoders[held])]
    pairs += [(e, encoders[e.names]) for e in getattr(other, "subset_encoders", {}).values()]
    pairs += [(other.decoders[name], model.decoders[name]) for name in held]
    for mine, theirs in pairs:
        mine.set_weights(theirs.get_weights())
    loss, gradients = _loss_and_gradients(model, batch)
    other_loss, other_gradients = _loss_and_gradients(other, own)
    assert float(loss) == pytest.approx(float(other_loss), rel=1e-6)
    found = dict(zip((id(v) for v in model.trainable_variables), gradients, strict=True))
    expected = dict(zip((id(v) for v in other.trainable_variables), other_gradients, strict=True))
    shared = 0
    for mine, theirs in pairs:
        for variable, same in zip(mine.trainable_variables, theirs.trainable_variables, strict=True):
            np.testing.assert_allclose(found.pop(id(same)), expected[id(variable)], rtol=1e-4, atol=1e-6)
            shared += 1
    assert shared == len(expected)
    assert all(np.abs(rest).max() == 0 for rest in found.values())  # what the rows do not hold learns nothing


@by_own_towers
def test_a_modality_that_is_always_missing_counts_as_one_that_the_model_has_not(subsets):
    model, batch = _model(subsets), small_batch("xwv")
    pair = tj.JMVAEKL(small_modalities("xw"), 3, alpha=0.7, subsets=subsets)
    encoders = {e.names: e for e in (model.encoder, *model.subset_encoders.values())}
    for encoder in pair.subset_encoders.values():
        encoder.set_weights(encoders[encoder.names].get_weights())
    for name, decoder in pair.decoders.items():
        decoder.set_weights(model.decoders[name].get_weights())
    if subsets == "single":
        pair._own = lambda held, posteriors: conditional_product([posteriors.separate[name,] for name in "xw"])
    else:
        pair.encoder.set_weights(encoders["x", "w"].get_weights())
    found = model.objective(_tensors(_without(batch, "xw")), SEED)
    expected = pair.objective(_tensors({name: batch[name] for name in "xw"}), SEED)
    for name, term in expected.items():
        np.testing.assert_allclose(found[name].value, term.value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert all(np.abs(term.value).max() == 0 for name, term in found.items() if name not in expected)


# Whatever stands in missing places, nothing depends on it.


@by_subsets
def test_the_order_of_rows_does_not_matter(subsets):
    model, (batch, _) = _model(subsets), _mixed()
    seeds, order = tf.random.split(SEED, 14), np.random.default_rng(0).permutation(14)
    terms = model.objective(_tensors(batch), seeds)
    shuffled = model.objective(_tensors({name: v[order] for name, v in batch.items()}), tf.gather(seeds, order))
    for name, term in terms.items():
        np.testing.assert_allclose(shuffled[name].value, tf.gather(term.value, order), rtol=1e-5, atol=1e-6)


@by_subsets
@pytest.mark.parametrize("missing", ["", "w", "wv", "xw"])
def test_a_batch_in_which_nobody_holds_a_modality_works(subsets, missing):
    model = _model(subsets)
    batch = _without(small_batch("xwv"), set(NAMES) - set(missing))
    loss, gradients = _loss_and_gradients(model, batch)
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def _normalizing(name):
    """Networks with batch normalisation of a modality of vectors."""
    networks = {
        "encoder": tj.networks.mlp([8, 8], batch_norm=True),
        "decoder": tj.networks.mlp([8, 8], batch_norm=True),
    }
    return tj.Modality((2,), "gaussian", optional=name != "a", **networks)


def _statistics(model):
    """Means and variances of every batch normalisation, by place."""
    return {place: part.get_weights()[-2:] for place, part in parts(model) if "batch_norm" in part.name}


@pytest.mark.parametrize("compiled", [False, True])
def test_rows_without_a_modality_do_not_enter_the_statistics_of_its_batches(compiled):
    set_seeds(1)
    model = tj.JMVAEKL({name: _normalizing(name) for name in "ab"}, 2)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=compiled)
    start = model.get_weights()

    def trained(rows_with_b, rows):
        model.set_weights(start)
        random = np.random.default_rng(0)
        data = {name: random.normal(size=(8, 2)).astype(np.float32) for name in "ab"}
        data["b"][rows_with_b:] = np.nan
        data = {name: value[:rows] for name, value in data.items()}
        model.train_on_batch(data)
        return _statistics(model)

    some, nobody, alone = trained(5, 8), trained(0, 8), trained(5, 5)
    of_b = [place for place in some if not place.startswith(("subset_encoders/a", "decoders/a"))]
    assert len(of_b) == 4  # two towers of the joint encoder, b's own encoder and decoder
    for place in of_b:
        for one, other in zip(some[place], alone[place], strict=True) if not place.startswith("decoders") else ():
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=place)  # decoders read noise, too
        assert (nobody[place][0] == 0).all()
        assert (nobody[place][1] == 1).all()


def test_a_row_that_holds_nothing_has_the_prior_inside_of_a_graph():
    model = _model()
    batch = _without(small_batch("xwv"), ())
    q = tf.function(model.posterior)(_tensors(batch))
    np.testing.assert_array_equal(q.mean(), np.zeros((12, 3)))
    np.testing.assert_array_equal(q.stddev(), np.ones((12, 3)))


@by_subsets
def test_the_posterior_of_a_row_is_that_of_what_it_holds(subsets):
    model, (batch, held) = _model(subsets), _mixed()
    q = model.posterior(batch)
    for row, own in enumerate(held):
        alone = model.posterior({name: batch[name][row : row + 1] for name in own})
        np.testing.assert_allclose(q.mean()[row], alone.mean()[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(q.stddev()[row], alone.stddev()[0], rtol=1e-5, atol=1e-6)


# Metrics.


def test_a_terms_metric_is_the_mean_over_the_rows_that_have_it():
    model, (batch, held) = _model(), _mixed()
    model.compile(run_eagerly=True)
    logs = model.evaluate(batch, batch_size=14, verbose=0, return_dict=True)
    seed = tf.random.fold_in(tf.constant([0, 0]), 0)
    terms = model.objective(_tensors(batch), seed)
    with_w = np.array(["w" in own for own in held])
    assert logs["log_p_w"] == pytest.approx(float(np.mean(terms["log_p_w"].value.numpy()[with_w])), rel=1e-5)
    beyond_w = np.array(["w" in own and len(own) > 1 for own in held])
    assert logs["kl_w"] == pytest.approx(float(np.mean(terms["kl_w"].value.numpy()[beyond_w])), rel=1e-5)
    assert logs["elbo"] == pytest.approx(float(np.mean(model.elbo(batch, seed))), rel=1e-5)
    assert logs["loss"] == pytest.approx(-logs["objective"], rel=1e-5)


def test_metrics_count_rows_over_batches_and_weights():
    model, (batch, held) = _model(), _mixed(28)
    model.compile(run_eagerly=True)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 28).astype(np.float32)
    logs = model.evaluate(batch, sample_weight=weights, batch_size=28, verbose=0, return_dict=True)
    terms = model.objective(_tensors(batch), tf.random.fold_in(tf.constant([0, 0]), 0))
    counted = weights * np.array(["w" in own for own in held])
    expected = np.sum(counted * terms["log_p_w"].value.numpy()) / counted.sum()
    assert logs["log_p_w"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_term_that_no_row_has_is_not_a_metric(run_eagerly):
    modalities = small_modalities("xwv")
    modalities["v"].optional = True
    model, data = tj.JMVAEKL(modalities, 2), small_batch("xwv")
    model.compile("adam", run_eagerly=run_eagerly)
    without = {**data, "v": np.full_like(data["v"], np.nan)}
    history = model.fit(data, validation_data=without, verbose=0).history
    assert {"log_p_v", "val_log_p_x"} <= {*history}
    assert "val_log_p_v" not in history
    assert "log_p_v" not in model.evaluate(without, verbose=0, return_dict=True)
    assert "log_p_v" in model.evaluate(data, verbose=0, return_dict=True)
