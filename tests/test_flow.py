"""Flows as q(z | S): exact densities, exact inverses, and posteriors that a Gaussian cannot have."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import LinearGaussian
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distributions import kl_divergence
from tf_jmvae.models import missing
from tf_jmvae.models.components import Encoder
from tf_jmvae.models.flow import FlowHead
from tf_jmvae.random import sampling

SEED = tf.constant([3, 4])
NAMES = ("x", "w", "v")


def _scrambled(layer):
    """The layer with random weights, so that its flow bends as a trained one does."""
    for variable in layer.trainable_variables:
        variable.assign(keras.random.normal(variable.shape, stddev=0.7 / math.sqrt(variable.shape[0])))
    return layer


def _posterior(latent_dim, rows=3, num_couplings=4):
    set_seeds(5)
    head = _scrambled(FlowHead(latent_dim, 5, tj.Flow(num_couplings, units=16)))
    return head(tf.constant(np.random.default_rng(0).normal(size=(rows, 5)), tf.float32))


def _model(names="xw", cls=tj.JMVAEKL, **options):
    set_seeds(4)
    return cls(small_modalities(names), 3, **options)


def _with_flow(names="xw", **options):
    """A model whose flows are not at their start, where they are Gaussians."""
    model = _model(names, flow=tj.Flow(2, units=8), **options)
    for encoder in model.subset_encoders.values():
        _scrambled(encoder.head)
    return model


# The distribution.


@pytest.mark.parametrize("latent_dim", [2, 5, 64])
def test_the_inverse_gives_the_noise_back(latent_dim):
    q = _posterior(latent_dim, rows=50, num_couplings=8)
    noise = tf.random.stateless_normal((50, latent_dim), SEED)
    z = tf.identity(q.from_noise(noise))
    u = q.bijector.inverse(z)
    np.testing.assert_allclose((u - q.base.mean()) / q.base.stddev(), noise, atol=1e-4)


def test_the_density_is_that_of_the_base_divided_by_the_jacobian_determinant():
    q = _posterior(3, rows=1)
    noise = tf.random.stateless_normal((1, 3), SEED)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        z = q.from_noise(noise)
    jacobian = tape.batch_jacobian(z, noise)[0].numpy()
    expected = -0.5 * np.sum(noise.numpy() ** 2) - 1.5 * math.log(2 * math.pi) - np.linalg.slogdet(jacobian)[1]
    assert q.log_prob(tf.identity(z)).numpy() == pytest.approx([expected], abs=1e-4)


def test_the_density_integrates_to_one():
    q = _posterior(2)
    step, grid = 0.05, np.arange(-15, 15, 0.05)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 1, 2).astype(np.float32)
    density = np.exp(q.log_prob(tf.repeat(tf.constant(points), 3, axis=1)))
    np.testing.assert_allclose(density.sum(axis=0) * step**2, 1, atol=0.01)


def test_it_is_no_gaussian_once_it_has_learned():
    q = _posterior(2, rows=1)
    z = q.sample(100_000, seed=1).numpy()[:, 0]
    standardized = (z - z.mean(axis=0)) / z.std(axis=0)
    skewness, kurtosis = (standardized**3).mean(axis=0), (standardized**4).mean(axis=0)
    assert max(abs(skewness).max(), abs(kurtosis - 3).max()) > 0.2


def test_samples_have_the_axes_of_tfps_distributions_and_a_seed_repeats_them():
    q = _posterior(2)
    assert (q.batch_shape, q.event_shape, q.dtype) == ((3,), (2,), tf.float32)
    z = q.sample((4, 6), seed=SEED)
    assert z.shape == (4, 6, 3, 2)
    assert q.sample(seed=SEED).shape == (3, 2)
    np.testing.assert_array_equal(z, q.sample((4, 6), seed=SEED))
    assert q.log_prob(q.sample(7, seed=SEED)).shape == (7, 3)
    np.testing.assert_allclose(q.log_prob(z[0])[2], q.log_prob(z[0, 2]), rtol=1e-5)


def test_the_mean_is_z_without_noise_and_the_stddev_that_of_samples():
    q = _posterior(2)
    np.testing.assert_array_equal(q.mean(), q.from_noise(tf.zeros((3, 2))))
    np.testing.assert_allclose(q.stddev(), q.sample(20_000, seed=1).numpy().std(axis=0), rtol=0.3)
    np.testing.assert_allclose(q.variance(), q.stddev() ** 2, rtol=1e-5)


def test_at_first_it_is_a_gaussian_whose_divergences_are_estimated_without_bias():
    head = FlowHead(4, 5, tj.Flow(3, units=8))
    features = tf.constant(np.random.default_rng(0).normal(size=(2, 5)), tf.float32)
    q, p = head.base(features), tj.distributions.diagonal_gaussian(tf.ones((2, 4)), 2 * tf.ones((2, 4)))
    flow = head(features)
    z = flow.sample(50_000, seed=1)
    estimate = (flow.log_prob(z) - p.log_prob(z)).numpy()
    error = estimate.std(axis=0) / np.sqrt(len(z))
    assert np.all(abs(estimate.mean(axis=0) - kl_divergence(q, p)) < 4 * error)  # p is the same in every entry
    np.testing.assert_allclose(kl_divergence(flow, p, z[0]), estimate[0], rtol=1e-5)


def test_a_divergence_of_what_is_no_gaussian_needs_a_sample():
    with pytest.raises(TypeError, match=r"q is .*FlowPosterior.* or pass a sample of q as z"):
        kl_divergence(_posterior(2), tj.distributions.standard_gaussian(2))


def test_rows_with_seeds_of_their_own_do_not_depend_on_the_batch():
    q, seeds = _posterior(3, rows=4), tf.constant([[1, 2], [3, 4], [5, 6], [1, 2]])
    model = _with_flow("xw")
    batch = {"x": small_batch("xw", size=4)["x"]}
    together = model.generate(batch, seed=seeds, num_samples=2)["w"]
    alone = model.generate({"x": batch["x"][2:3]}, seed=seeds[2:3], num_samples=2)["w"]
    np.testing.assert_allclose(together[2:3], alone, atol=1e-6)
    z = sampling.draw(q, seeds, 5)
    assert z.shape == (4, 5, 3)
    assert not np.allclose(z[0], z[1])


# What it can learn.


def _fitted(head, features, target, steps=600, rate=3e-3):
    """Fits q(z | features) to samples `[N, D]` of a target, by their mean log density; gives the last one."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))

    @tf.function
    def step(read, z):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(head(read).log_prob(z))
        optimizer.apply(tape.gradient(loss, head.trainable_variables), head.trainable_variables)

    random = np.random.default_rng(0)
    optimizer.build(head.trainable_variables)
    for _ in range(steps):
        rows = random.integers(0, len(target), 512)
        read, z = tf.nest.map_structure(functools.partial(tf.gather, indices=rows), (features, target))
        step(read, z)
    return head


def test_on_a_linear_gaussian_model_it_reaches_the_exact_posterior():
    exact, count = LinearGaussian(), 20_000
    random = np.random.default_rng(0)
    z = random.normal(size=(count, 2))
    noise = random.normal(size=(count, 3))
    x = (z @ exact.weights["x"].T + exact.biases["x"] + math.sqrt(0.3) * noise).astype(np.float32)
    encoder = Encoder({"x": exact.modalities()["x"]}, 2, name="encoder", flow=tj.Flow(4, units=32))
    _fitted(encoder, {"x": tf.constant(x)}, tf.constant(z, tf.float32))
    rows = tf.constant(x[:200])
    q, (mean, covariance) = encoder({"x": rows}), exact.posterior({"x": x[:200]}, ["x"])
    p = tf.linalg.cholesky(tf.constant(covariance, tf.float32))
    sampled = mean.astype(np.float32) + tf.einsum("ij,snj->sni", p, tf.random.stateless_normal((500, 200, 2), SEED))
    log_p = -0.5 * np.einsum("sni,ij,snj->sn", sampled - mean, np.linalg.inv(covariance), sampled - mean)
    log_p -= 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
    assert np.mean(log_p - q.log_prob(sampled)) < 0.01  # KL(p || q); p has correlations, which a Gaussian q has not


def test_on_a_banana_it_is_better_than_a_gaussian_by_the_known_amount():
    bend, stddev, count = 0.5, 0.5, 20_000
    random = np.random.default_rng(0)
    first = random.normal(size=count)
    second = bend * first**2 + stddev * random.normal(size=count)
    z, features = np.stack([first, second], axis=-1).astype(np.float32), tf.zeros((count, 1))
    entropy = math.log(2 * math.pi * math.e) + math.log(stddev)
    # Of the Gaussian of the same moments, var(z_2) = 2 bend^2 + stddev^2, the best there is.
    known = 0.5 * math.log((2 * bend**2 + stddev**2) / stddev**2)
    head = _fitted(FlowHead(2, 1, tj.Flow(4, units=32)), features, tf.constant(z))
    gaussian = tj.heads.Gaussian(event_shape=(2,))
    gaussian.build((None, 1))
    _fitted(gaussian, features, tf.constant(z), rate=2e-2)
    flows, gaussians = (-np.mean(q(features).log_prob(z)) - entropy for q in (head, gaussian))
    assert abs(flows) < 0.03
    assert gaussians == pytest.approx(known, abs=0.03)


# The model.


@pytest.mark.parametrize("flow", [None, tj.Flow(2, units=8)], ids=["gaussian", "flow"])
def test_encoders_that_follow_leave_the_joint_model_its_own_gradient(flow):
    model, joint = _model(subset_learning="follow", flow=flow), _model(cls=tj.JMVAE)
    for name, layer in {"encoder": model.encoder, **model.decoders}.items():
        (joint.encoder if name == "encoder" else joint.decoders[name]).set_weights(layer.get_weights())
    batch = {name: tf.constant(value) for name, value in small_batch().items()}

    def gradients(model, owners):
        with tf.GradientTape() as tape:
            loss = model._loss(model.objective(batch, SEED, training=True), None)
        return tape.gradient(loss, [v for owner in owners for v in owner.trainable_variables])

    ours, theirs = ([m.encoder, *m.decoders.values()] for m in (model, joint))
    for one, other in zip(gradients(model, ours), gradients(joint, theirs), strict=True):
        np.testing.assert_array_equal(one, other)
    for gradient in gradients(model, model.subset_encoders.values()):
        assert gradient is not None
    pulled = gradients(_model(flow=flow), [model.encoder])
    assert pulled == [None] * len(pulled)  # of another model
    other = _model(flow=flow)
    pulled = gradients(other, [other.encoder])
    assert any(np.any(a != b) for a, b in zip(pulled, gradients(model, [model.encoder]), strict=True))


def test_the_terms_are_those_of_the_equation_written_out():
    model = _with_flow(alpha=0.7)
    batch = {name: tf.constant(value) for name, value in small_batch().items()}
    terms = model.objective(batch, SEED)
    q = model.posterior(batch)
    z = sampling.draw(q, SEED)
    for name in "xw":
        expected = q.log_prob(z) - model.posterior({name: batch[name]}).log_prob(z)
        np.testing.assert_allclose(terms[f"kl_{name}"].value, expected, rtol=1e-4, atol=1e-4)
        assert terms[f"kl_{name}"].coefficient == -0.7
    np.testing.assert_allclose(terms["kl_prior"].value, kl_divergence(q, model.prior()), rtol=1e-5)


@pytest.mark.parametrize("subset_learning", ["pull", "follow"])
def test_rows_that_lack_modalities_have_the_terms_of_what_they_hold(subset_learning):
    model = _with_flow("xwv", subset_learning=subset_learning)
    for modality in model.modalities.values():
        modality.optional = True
    whole = small_batch("xwv", size=4)
    held = [("x",), ("x", "v"), ("x", "w", "v"), ("w",)]
    batch = {name: value.copy() for name, value in whole.items()}
    for row, names in enumerate(held):
        for name in set(batch) - set(names):
            batch[name][row] = np.nan
    batch = {name: tf.constant(value) for name, value in batch.items()}
    terms = model.objective(batch, SEED)
    noise = sampling.draw(tj.distributions.diagonal_gaussian(tf.zeros((4, 3)), tf.ones((4, 3))), SEED)
    for row, names in enumerate(held):
        observed = {name: tf.constant(whole[name][row : row + 1]) for name in names}
        q = model.posterior(observed)
        z = tf.identity(tj.distributions.from_noise(q, noise[row : row + 1]))
        kl = kl_divergence(q, model.prior(), z)
        assert float(terms["kl_prior"].value[row]) == pytest.approx(kl.numpy()[0], rel=1e-3, abs=1e-4)
        for name, encoder in model.subset_encoders.items():
            expected = 0.0
            if set(encoder.names) < set(names):
                q_t = model.posterior({m: observed[m] for m in encoder.names})
                expected = kl_divergence(q, q_t, z).numpy()[0]
            assert float(terms[f"kl_{name}"].value[row]) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_a_batch_of_several_patterns_has_the_posterior_of_each_row():
    model = _with_flow("xwv")
    for modality in model.modalities.values():
        modality.optional = True
    batch = small_batch("xwv", size=3)
    batch["w"][1] = np.nan
    q = model.posterior(batch)
    assert isinstance(q, missing.ByRow)
    z = q.sample(5, seed=SEED)
    for row, names in enumerate(["xwv", "xv", "xwv"]):
        own = model.posterior({name: batch[name][row : row + 1] for name in names})
        np.testing.assert_allclose(q.mean()[row], own.mean()[0], atol=1e-5)
        np.testing.assert_allclose(q.log_prob(z)[:, row], own.log_prob(z[:, row : row + 1])[:, 0], rtol=1e-3)
        np.testing.assert_allclose(q.log_prob(z[1])[row], own.log_prob(z[1, row : row + 1])[0], rtol=1e-3)


def test_under_half_precision_the_flow_stays_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = _with_flow()
    q = model.posterior({"x": small_batch()["x"]})
    assert q.dtype == tf.float32
    z = q.sample(seed=SEED)
    np.testing.assert_allclose(q.bijector.forward(q.bijector.inverse(tf.identity(z))), z, atol=1e-4)


def test_importance_weights_with_a_flow_as_proposal_give_the_log_likelihood():
    model, batch = _with_flow(), small_batch(size=6)
    base = model.subset_encoders["w"].head.base  # with tails beyond the prior's
    base.set_weights([0 * weight for weight in base.get_weights()[:-1]] + [np.full(3, 2.0)])
    found = tj.evaluation.marginal_log_likelihood(
        model, batch, modality="w", proposal="own", num_samples=20_000, verbose=0
    )
    z = model.prior().sample(100_000, seed=1)
    densities = model.likelihoods(z)["w"].log_prob(batch["w"][:, None])
    np.testing.assert_allclose(found.values, np.log(np.exp(densities).mean(axis=1)), atol=0.06)
    assert found.effective_sample_size > 500


# Bad options.


@pytest.mark.parametrize("flow", [True, "rnvp", {"num_couplings": 2}])
def test_what_is_no_flow_is_refused(flow):
    with pytest.raises(TypeError, match="flow must be a Flow, a number of couplings, or None"):
        _model(flow=flow)


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="num_couplings"):
        tj.Flow(0)
    with pytest.raises(ValueError, match="latent_dim must be 2 or more; got 1"):
        tj.JMVAEKL(small_modalities(), 1, flow=2)
    with pytest.raises(ValueError, match="use subsets='all'"):
        _model("xwv", subsets="single", flow=2)
    with pytest.raises(ValueError, match="subset_learning"):
        _model(subset_learning="push")


def test_a_model_with_a_flow_is_made_again_from_its_config():
    model = _model(flow=tj.Flow(3, units=8), subset_learning="follow")
    copy = tj.JMVAEKL.from_config(model.get_config())
    assert (copy.flow, copy.subset_learning) == (tj.Flow(3, units=8), "follow")
    assert [v.shape for v in copy.weights] == [v.shape for v in model.weights]
    assert _model(flow=5).flow == tj.Flow(5)
