"""Encoders of subsets on towers that all share: each an encoder of its own, and each tower read once."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distributions import kl_divergence
from tf_jmvae.random import sampling

SEED = tf.constant([3, 4])
NAMES = "xwv"
by_flow = pytest.mark.parametrize("flow", [None, tj.Flow(2, units=8)], ids=["gaussian", "flow"])


def _model(optional=False, **options):
    set_seeds(4)
    modalities = small_modalities(NAMES)
    for modality in modalities.values():
        modality.optional = optional
    model = tj.JMVAEKL(modalities, 3, alpha=0.7, subsets="shared", **options)
    for variable in model.trainable_variables:  # no two subsets, and no bias, are alike
        variable.assign_add(keras.random.normal(variable.shape, stddev=0.2))
    return model


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _by_hand(model, batch, names):
    """Mean and variance of q(z | S), or of the base of its flow, and h(S), written out with the weights of S alone."""
    shared = model.shared_encoders
    index = shared._subsets.index(names)
    towers = shared.towers.towers
    hidden = sum(
        towers[name](batch[name]).numpy().reshape(len(batch[name]), -1) @ shared.projections[name].kernel.numpy()
        for name in names
    )
    hidden = np.maximum(hidden + shared.hidden_bias.numpy()[index], 0)
    raw = hidden @ shared.kernel.numpy()[index] + shared.bias.numpy()[index]
    mean, raw_variance = np.split(raw, 2, axis=-1)
    return mean, np.log1p(np.exp(raw_variance)), hidden


def _subsets():
    return [("x",), ("w",), ("v",), ("x", "w"), ("x", "v"), ("w", "v")]


def test_each_subset_has_the_encoder_of_the_equation():
    model, batch = _model(), small_batch(NAMES, size=4)
    for names in _subsets():
        q = model.posterior({name: batch[name] for name in names})
        mean, variance, _ = _by_hand(model, batch, names)
        np.testing.assert_allclose(q.mean(), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(q.variance(), variance, rtol=1e-4)


def test_the_flow_of_each_subset_reads_its_own_hidden_layer():
    model, batch = _model(flow=tj.Flow(2, units=8)), small_batch(NAMES, size=4)
    noise = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for names in _subsets():
        q = model.posterior({name: batch[name] for name in names})
        mean, variance, hidden = _by_hand(model, batch, names)
        u = mean + np.sqrt(variance) * noise
        z = model.shared_encoders.flow.bijector(tf.constant(hidden, tf.float32)).forward(tf.constant(u, tf.float32))
        np.testing.assert_allclose(tj.distributions.from_noise(q, tf.constant(noise)), z, rtol=1e-3, atol=1e-4)


def test_the_terms_are_those_of_eq_10_and_the_bound_that_of_jmvae():
    model, batch = _model(), _tensors(small_batch(NAMES))
    terms = model.objective(batch, SEED)
    joint = tj.JMVAE(small_modalities(NAMES), 3)
    for name, layer in {"encoder": model.encoder, **model.decoders}.items():
        (joint.encoder if name == "encoder" else joint.decoders[name]).set_weights(layer.get_weights())
    for name, term in joint.objective(batch, SEED).items():
        np.testing.assert_allclose(terms[name].value, term.value, rtol=1e-6, atol=1e-6)
    q = model.posterior(batch)
    for names in _subsets():
        q_t = model.posterior({name: batch[name] for name in names})
        term = terms[f"kl_{'_and_'.join(names)}"]
        np.testing.assert_allclose(term.value, kl_divergence(q, q_t), rtol=1e-4, atol=1e-5)
        assert (term.coefficient, term.in_elbo) == (-0.7, False)


@by_flow
@pytest.mark.parametrize("subset_learning", ["pull", "follow"])
def test_a_row_that_lacks_modalities_has_the_terms_of_what_it_holds(subset_learning, flow):
    model = _model(optional=True, subset_learning=subset_learning, flow=flow)
    whole, held = small_batch(NAMES, size=4), [("x",), ("x", "v"), ("x", "w", "v"), ("w",)]
    batch = {name: value.copy() for name, value in whole.items()}
    for row, names in enumerate(held):
        for name in set(batch) - set(names):
            batch[name][row] = np.nan
    terms = model.objective(_tensors(batch), SEED)
    noise = sampling.draw(tj.distributions.diagonal_gaussian(tf.zeros((4, 3)), tf.ones((4, 3))), SEED)
    for row, names in enumerate(held):
        observed = {name: tf.constant(whole[name][row : row + 1]) for name in names}
        q = model.posterior(observed)
        z = tf.identity(tj.distributions.from_noise(q, noise[row : row + 1]))
        expected = {f"kl_{'_and_'.join(t)}": 0.0 for t in _subsets()} | {"kl_prior": kl_divergence(q, model.prior(), z)}
        for t in _subsets():
            if set(t) < set(names):
                q_t = model.posterior({name: observed[name] for name in t})
                expected[f"kl_{'_and_'.join(t)}"] = kl_divergence(q, q_t, z)
        for name, value in expected.items():
            assert float(terms[name].value[row]) == pytest.approx(float(np.squeeze(value)), rel=2e-3, abs=2e-4)


@by_flow
def test_encoders_that_follow_leave_the_joint_encoder_its_own_gradient(flow):
    batch = _tensors(small_batch(NAMES))

    def gradients(alpha):
        model = _model(subset_learning="follow", flow=flow)
        model.alpha = alpha
        with tf.GradientTape(persistent=True) as tape:
            loss = model._loss(model.objective(batch, SEED, training=True), None)
        return tape.gradient(loss, model.encoder.trainable_variables), tape.gradient(
            loss, model.shared_encoders.trainable_variables
        )

    (joint, shared), (alone, _) = gradients(0.7), gradients(0.0)
    for one, other in zip(joint, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(np.abs(gradient).max() > 0 for gradient in shared)


def test_a_row_of_some_modalities_trains_their_towers_also_where_encoders_follow():
    batch = small_batch(NAMES)
    batch["w"][:], batch["v"][:] = np.nan, np.nan
    model = _model(optional=True, subset_learning="follow")
    with tf.GradientTape() as tape:
        loss = model._loss(model.objective(_tensors(batch), SEED, training=True), None)
    gradients = tape.gradient(loss, model.shared_encoders.towers.towers["x"].trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_parameters_of_towers_do_not_grow_with_the_subsets():
    def sizes(k):
        modalities = {f"m{i}": tj.Modality((40,), "bernoulli", encoder=tj.networks.mlp([64])) for i in range(k)}
        model = tj.JMVAEKL(modalities, 4, subsets="shared")
        towers = model.shared_encoders.towers.count_params()
        return towers / k, (model.shared_encoders.count_params() - towers) / (2**k - 2)

    assert sizes(2)[0] == sizes(5)[0]
    assert sizes(5)[1] < sizes(2)[1]  # the heads alone, and a fraction of the projections


def test_all_subsets_have_one_flow():
    def size(k, flow):
        modalities = {f"m{i}": tj.Modality((4,), "bernoulli", encoder=tj.networks.mlp([8])) for i in range(k)}
        return tj.JMVAEKL(modalities, 4, subsets="shared", flow=flow).count_params()

    flow = tj.Flow(3, units=8)
    assert size(5, flow) - size(5, None) == size(2, flow) - size(2, None)


def test_a_model_is_saved_with_what_its_subsets_learned(tmp_path):
    model, batch = _model(flow=tj.Flow(2, units=8)), small_batch(NAMES)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for names in _subsets():
        observed = {name: batch[name] for name in names}
        np.testing.assert_allclose(loaded.posterior(observed).mean(), model.posterior(observed).mean(), rtol=1e-5)
