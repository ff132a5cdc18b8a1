"""Eq. (1)-(10) of the paper, each against an oracle. `docs/maths.md` lists which is which."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import LinearGaussian, mean_bound
from scipy import special, stats
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distributions import diagonal_gaussian

SEED = tf.constant([3, 4])


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _importance_estimate(model, batch, samples=20_000):
    """Log of the mean of p(batch | z) p(z) / q(z | batch): the log-likelihood, from every part of the model."""
    q = model.posterior(batch)
    z = q.sample(samples, seed=(5, 6))
    p = model.likelihoods(z)
    log_weights = sum(p[name].log_prob(batch[name]) for name in batch) + model.prior().log_prob(z) - q.log_prob(z)
    return special.logsumexp(log_weights.numpy(), axis=0) - np.log(samples)


def _exact_jmvae(cls=tj.JMVAE, **options):
    exact = LinearGaussian()
    model = cls(exact.modalities(), 2, **options)
    exact.set_decoders(model)
    exact.set_encoder(model.encoder, exact.sizes)
    return exact, model


# Eq. (1), (5): bounds on the log-likelihood.


def test_vae_bound_with_the_exact_posterior_is_the_log_likelihood():
    exact = LinearGaussian((("x", 3),))
    model = tj.VAE(exact.modalities(), 2)
    exact.set_decoders(model)
    exact.set_encoder(model.encoder, ["x"])
    batch = exact.sample(4)
    bound, error = mean_bound(model, batch)
    np.testing.assert_array_less(np.abs(bound - exact.log_prob(batch)), 5 * error + 1e-4)


@pytest.mark.parametrize("cls", [tj.JMVAE, tj.JMVAEKL])
def test_jmvae_bound_with_the_exact_posterior_is_the_log_likelihood(cls):
    exact, model = _exact_jmvae(cls)
    batch = exact.sample(4)
    bound, error = mean_bound(model, batch)
    np.testing.assert_array_less(np.abs(bound - exact.log_prob(batch)), 5 * error + 1e-4)


@pytest.mark.parametrize("cls", [tj.JMVAE, tj.JMVAEKL])
def test_jmvae_bound_with_another_encoder_falls_short_by_the_kl_to_the_exact_posterior(cls):
    exact, model = _exact_jmvae(cls)
    weights = model.encoder.get_weights()
    weights[1] = weights[1] + 0.5
    weights[3] = weights[3] + 0.7
    model.encoder.set_weights(weights)
    batch = exact.sample(4)
    mean, covariance = exact.posterior(batch)
    posterior = diagonal_gaussian(tf.constant(mean, tf.float32), tf.constant(np.diag(covariance), tf.float32))
    gap = tj.distributions.kl_divergence(model.posterior(batch), posterior).numpy()
    assert (gap > 0.05).all()
    bound, error = mean_bound(model, batch)
    np.testing.assert_array_less(np.abs(bound - (exact.log_prob(batch) - gap)), 5 * error + 1e-4)


def test_jmvae_terms_equal_the_equation_written_out_in_numpy():
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    terms = model.objective(_tensors(batch), SEED)
    q = model.posterior(batch)
    mean, deviation = q.mean().numpy(), q.stddev().numpy()
    z = q.sample(seed=SEED).numpy()
    kl = (0.5 * (deviation**2 + mean**2 - 1) - np.log(deviation)).sum(axis=-1)
    pixel = model.likelihoods(z)["x"].mean().numpy()
    label = model.likelihoods(z)["w"].mean().numpy()
    x, w = batch["x"], batch["w"]
    log_p_x = (x * np.log(pixel) + (1 - x) * np.log(1 - pixel)).sum(axis=(1, 2, 3))
    log_p_w = np.log((label * w).sum(axis=-1))
    expected = {"kl_prior": (-1.0, kl), "log_p_x": (1.0, log_p_x), "log_p_w": (1.0, log_p_w)}
    assert list(terms) == list(expected)
    for name, (coefficient, value) in expected.items():
        assert terms[name].coefficient == coefficient
        np.testing.assert_allclose(terms[name].value, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", [tj.JMVAE, tj.JMVAEKL])
def test_importance_weighting_with_the_models_own_parts_gives_the_exact_log_likelihood(cls):
    exact, model = _exact_jmvae(cls)
    batch = exact.sample(4)
    np.testing.assert_allclose(_importance_estimate(model, batch), exact.log_prob(batch), atol=1e-3)


def test_a_third_modality_without_information_changes_nothing():
    """A modality of one class has log p = 0; its tower's outputs are cut off from the head."""
    two = tj.JMVAE(small_modalities(), 3)
    null = tj.Modality((1,), "categorical", encoder=tj.networks.mlp([8]), decoder=tj.networks.mlp([8]))
    three = tj.JMVAE({**small_modalities(), "n": null}, 3)
    for name in ("x", "w"):
        three.decoders[name].set_weights(two.decoders[name].get_weights())
        three.encoder.towers.towers[name].set_weights(two.encoder.towers.towers[name].get_weights())
    head = two.encoder.head.get_weights()
    pad = np.zeros((8, 3), np.float32)
    three.encoder.head.set_weights([np.concatenate([head[0], pad]), head[1], np.concatenate([head[2], pad]), head[3]])
    batch = small_batch()
    with_null = {**batch, "n": np.ones((12, 1), np.float32)}
    np.testing.assert_allclose(three.elbo(with_null, SEED), two.elbo(batch, SEED), rtol=1e-5)


# Eq. (2)-(4) are the heads: tests/test_heads.py.

# Eq. (6): iterated sampling.


def test_iterated_sampling_reaches_the_exact_conditional():
    """With the exact encoder the chain is a Gibbs sampler of p(z, x | w), whose z has mean and variance known."""
    exact, model = _exact_jmvae()
    observed = {"w": np.repeat(exact.sample(1)["w"], 20_000, axis=0)}
    seeds = iter(tf.random.split(tf.constant([7, 8]), 2))
    z = model.posterior(observed, iterated_sampling=60, seed=next(seeds)).sample(seed=next(seeds)).numpy()
    mean, covariance = exact.posterior({"w": observed["w"][:1]}, ["w"])
    np.testing.assert_allclose(z.mean(axis=0), mean[0], atol=0.05)
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.05)


def test_one_step_is_the_joint_encoder_with_zeros_for_what_is_missing():
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    expected = model.posterior({"x": np.zeros_like(batch["x"]), "w": batch["w"]})
    actual = model.posterior({"w": batch["w"]}, iterated_sampling=1)
    np.testing.assert_allclose(actual.mean(), expected.mean(), rtol=1e-6)


def test_each_step_draws_z_and_then_the_missing_modality_while_the_observed_one_stays():
    """Two steps by hand, with decoders so sure of themselves that sampling x has one outcome."""
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    kernel, bias, head_kernel, head_bias = model.decoders["x"].get_weights()
    model.decoders["x"].set_weights([kernel, bias, 0 * head_kernel, head_bias + 50.0])
    expected = model.posterior({"x": np.ones_like(batch["x"]), "w": batch["w"]})
    actual = model.posterior({"w": batch["w"]}, iterated_sampling=2, seed=1)
    np.testing.assert_allclose(actual.mean(), expected.mean(), rtol=1e-5)


def test_the_number_of_steps_is_a_run_time_argument_of_the_graph():
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)])
    def mean(num_steps):
        return model.posterior({"w": batch["w"]}, iterated_sampling=num_steps, seed=1).mean()

    for num_steps in (1, 2, 7):
        eager = model.posterior({"w": batch["w"]}, iterated_sampling=num_steps, seed=1).mean()
        np.testing.assert_allclose(mean(tf.constant(num_steps)), eager, rtol=1e-5)
    assert mean.experimental_get_tracing_count() == 1


# Eq. (7)-(9): the hierarchy.


def test_hierarchy_of_one_layer_has_the_bound_of_jmvae():
    jmvae, hierarchical = tj.JMVAE(small_modalities(), 3), tj.HierarchicalJMVAE(small_modalities(), 3, num_layers=1)
    for name, decoder in jmvae.decoders.items():
        hierarchical.decoders[name].set_weights(decoder.get_weights())
    hierarchical.towers.set_weights(jmvae.encoder.towers.get_weights())
    hierarchical.layer_heads[0].set_weights(jmvae.encoder.head.get_weights())
    batch = _tensors(small_batch())
    ours = hierarchical.objective(batch, SEED)
    theirs = jmvae.objective(batch, tf.random.split(SEED, 1)[0])
    for name, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(ours[name].value, theirs[other].value, rtol=1e-5)
    np.testing.assert_allclose(hierarchical.posterior(batch).mean(), jmvae.posterior(batch).mean(), rtol=1e-5)


def _linear_hierarchy():
    """A linear-Gaussian hierarchy of two layers, with its log p(x, w) in closed form."""
    exact = LinearGaussian()
    linear = tj.networks.mlp([])
    model = tj.HierarchicalJMVAE(exact.modalities(), 2, num_layers=2, layer_encoder=linear, layer_prior=linear)
    exact.set_decoders(model)
    random = np.random.default_rng(4)
    transition, offset, variance = random.normal(size=(2, 2)), random.normal(size=2), np.array([0.4, 0.9])
    raw_variance = np.log(np.expm1(variance))
    model.layer_priors[0].set_weights([transition, offset, np.zeros((2, 2)), raw_variance])
    batch = exact.sample(4)
    stacked = np.concatenate(list(exact.weights.values()))
    prior_covariance = transition.T @ transition + np.diag(variance)  # of z_1 = z_2 T + offset + noise
    mean = stacked @ offset + np.concatenate(list(exact.biases.values()))
    covariance = stacked @ prior_covariance @ stacked.T + 0.3 * np.eye(len(stacked))
    values = np.concatenate([batch["x"], batch["w"]], axis=-1)
    return model, batch, stats.multivariate_normal(mean, covariance).logpdf(values)


def test_hierarchical_prior_and_likelihoods_integrate_to_the_exact_log_likelihood():
    model, batch, log_likelihood = _linear_hierarchy()
    z = model.prior().sample(400_000, seed=(1, 2))[:, None]
    p = model.likelihoods(z)
    log_p = (p["x"].log_prob(batch["x"]) + p["w"].log_prob(batch["w"])).numpy()
    estimate = special.logsumexp(log_p, axis=0) - np.log(len(z))
    np.testing.assert_allclose(estimate, log_likelihood, atol=0.1)


def test_hierarchical_bound_lies_below_the_log_likelihood_and_importance_weights_close_the_gap():
    model, batch, log_likelihood = _linear_hierarchy()
    model.compile(tj.optimizers.FusedAdam(0.02))
    model.layer_priors[0].trainable = False
    for decoder in model.decoders.values():
        decoder.trainable = False
    steps = {name: np.tile(value, (300, 1)) for name, value in batch.items()}
    model.fit(steps, batch_size=4, shuffle=False, verbose=0)  # only the encoder: q(z_1, z_2 | x, w)
    bound, error = mean_bound(model, batch)
    np.testing.assert_array_less(bound, log_likelihood + 5 * error)
    np.testing.assert_allclose(_importance_estimate(model, batch, 200_000), log_likelihood, atol=0.1)


def test_hierarchical_terms_equal_the_equation_written_out():
    model, batch = tj.HierarchicalJMVAE(small_modalities(), 3, num_layers=3), small_batch()
    terms = model.objective(_tensors(batch), SEED)
    q = model.posterior(batch)
    mean, variance = (model.layers_of(value) for value in (q.mean(), q.variance()))
    layer_seeds = tf.random.split(SEED, 3)
    layers = [diagonal_gaussian(m, v) for m, v in zip(mean, variance, strict=True)]
    z = [layer.sample(seed=seed) for layer, seed in zip(layers, layer_seeds, strict=True)]
    priors = [model.layer_priors[0](z[1]), model.layer_priors[1](z[2]), tj.distributions.standard_gaussian(3)]
    for number, (layer, prior) in enumerate(zip(layers, priors, strict=True), start=1):
        m, v = layer.mean().numpy(), layer.variance().numpy()
        m_p, v_p = prior.mean().numpy(), prior.variance().numpy()
        kl = 0.5 * (np.log(v_p / v) + (v + (m - m_p) ** 2) / v_p - 1).sum(axis=-1)
        assert terms[f"kl_prior_{number}"].coefficient == -1
        np.testing.assert_allclose(terms[f"kl_prior_{number}"].value, kl, rtol=1e-3, atol=1e-5)
    likelihood = model.decoders["x"](z[0]).log_prob(batch["x"])
    np.testing.assert_allclose(terms["log_p_x"].value, likelihood, rtol=1e-5)


def test_hierarchical_generation_walks_down_from_the_top_layer():
    """z_1 of generation comes from p(z_1 | z_2), not from q(z_1 | x, w)."""
    model, batch = tj.HierarchicalJMVAE(small_modalities(), 3, num_layers=3), small_batch()
    first, second = model.layer_priors  # p(z_1 | z_2) and p(z_2 | z_3)
    top = model.layers_of(model.posterior(batch).mean())[-1]
    expected = model.decoders["x"](first(second(top).mean()).mean()).mean()
    np.testing.assert_allclose(model.reconstruct(batch, latent="mean")["x"], expected, rtol=1e-5)


def test_the_prior_of_a_hierarchy_is_the_product_of_eq_7():
    model = tj.HierarchicalJMVAE(small_modalities(), 2, num_layers=3)
    z = tf.random.stateless_normal((5, 6), SEED)
    first, second = model.layer_priors
    z_1, z_2, z_3 = model.layers_of(z)
    standard = tj.distributions.standard_gaussian(2)
    expected = standard.log_prob(z_3) + second(z_3).log_prob(z_2) + first(z_2).log_prob(z_1)
    np.testing.assert_allclose(model.prior().log_prob(z), expected, rtol=1e-5)


# Eq. (10): JMVAE-kl.


@pytest.mark.parametrize("subsets", ["all", "single"])
@pytest.mark.parametrize("names", ["xw", "xwc"])
def test_jmvae_kl_terms_are_those_of_jmvae_and_one_kl_per_subset(names, subsets):
    model, batch = tj.JMVAEKL(small_modalities(names), 3, alpha=0.3, subsets=subsets), small_batch(names)
    terms = model.objective(_tensors(batch), SEED)
    largest = len(names) - 1 if subsets == "all" else 1
    expected_subsets = [s for size in range(1, largest + 1) for s in itertools.combinations(names, size)]
    assert [name for name in terms if name.startswith("kl_")][1:] == [f"kl_{'_and_'.join(s)}" for s in expected_subsets]
    q = model.posterior(batch)
    for subset in expected_subsets:
        term = terms[f"kl_{'_and_'.join(subset)}"]
        z = q.sample(20_000, seed=(1, 2))
        log_ratio = q.log_prob(z) - model.posterior({name: batch[name] for name in subset}).log_prob(z)
        error = log_ratio.numpy().std(axis=0) / np.sqrt(20_000)
        assert term.coefficient == -0.3
        np.testing.assert_array_less(np.abs(term.value - log_ratio.numpy().mean(axis=0)), 5 * error + 1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_elbo_of_jmvae_kl_is_that_of_jmvae_whatever_alpha_is(alpha):
    jmvae, jmvae_kl = tj.JMVAE(small_modalities(), 3), tj.JMVAEKL(small_modalities(), 3, alpha=alpha)
    jmvae_kl.encoder.set_weights(jmvae.encoder.get_weights())
    for name, decoder in jmvae.decoders.items():
        jmvae_kl.decoders[name].set_weights(decoder.get_weights())
    np.testing.assert_allclose(jmvae_kl.elbo(small_batch(), SEED), jmvae.elbo(small_batch(), SEED), rtol=1e-6)
    for model in (jmvae, jmvae_kl):
        model.compile()
    logs, expected = (m.evaluate(small_batch(), verbose=0, return_dict=True) for m in (jmvae_kl, jmvae))
    assert logs["elbo"] == pytest.approx(expected["elbo"], rel=1e-6)
    assert expected["objective"] == expected["elbo"]
    assert logs["objective"] == pytest.approx(logs["elbo"] - alpha * (logs["kl_x"] + logs["kl_w"]), rel=1e-6)
    assert logs["loss"] == pytest.approx(-logs["objective"], rel=1e-6)


def test_jmvae_kl_bounds_the_sum_of_the_conditional_log_likelihoods():
    """Appendix A.2: L_kl <= log p(x|w) + log p(w|x), with alpha = 1 and the exact subset posteriors."""
    exact = LinearGaussian()
    exact.make_every_posterior_diagonal()
    model = tj.JMVAEKL(exact.modalities(), 2, alpha=1.0)
    exact.set_decoders(model)
    exact.set_encoder(model.encoder, exact.sizes)
    for name, encoder in model.subset_encoders.items():
        exact.set_encoder(encoder, [name])
    batch = exact.sample(50)
    conditionals = 2 * exact.log_prob(batch) - exact.log_prob(batch, ["x"]) - exact.log_prob(batch, ["w"])
    bound, error = mean_bound(model, batch, repeats=500, only_elbo=False)
    np.testing.assert_array_less(bound, conditionals + 5 * error)


def test_single_encoders_combine_by_bayes_rule():
    exact = LinearGaussian((("x", 3), ("w", 2), ("v", 4)))
    exact.make_every_posterior_diagonal()
    model = tj.JMVAEKL(exact.modalities(), 2, subsets="single")
    for name, encoder in model.subset_encoders.items():
        exact.set_encoder(encoder, [name])
    batch = exact.sample(5)
    mean, covariance = exact.posterior(batch, ["x", "v"])
    combined = model.posterior({"x": batch["x"], "v": batch["v"]})
    np.testing.assert_allclose(combined.mean(), mean, atol=1e-4)
    np.testing.assert_allclose(combined.variance(), np.broadcast_to(np.diag(covariance), mean.shape), rtol=1e-4)


def test_each_layer_of_a_hierarchy_has_its_own_part_of_the_noise():
    """Noise of z_1 alone moves z_1 alone; that of z_2 moves z_1 too, which comes from it, and leaves z_3."""
    model = tj.HierarchicalJMVAE(small_modalities(), 2, num_layers=3)
    posterior = model.posterior(small_batch(size=4))
    still = model.draw_latents(posterior, tf.zeros((4, 6)))
    for layer, moved in ((2, {2}), (1, {1, 2}), (0, {0, 1, 2})):  # z is [z_3, z_2, z_1]
        noise = np.zeros((4, 3, 2), np.float32)
        noise[:, layer] = 1.0
        z = model.draw_latents(posterior, tf.constant(noise.reshape(4, 6)))
        change = np.abs(np.reshape(z.numpy() - still.numpy(), (4, 3, 2))).max(axis=(0, 2))
        assert {int(part) for part in np.flatnonzero(change > 1e-6)} == moved
