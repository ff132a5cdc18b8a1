"""Modalities with gaps in their entries: log-densities of what is there, encoders that read a mask, imputation."""

import tracemalloc

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from linear_gaussian import NOISE_VARIANCE, LinearGaussian, mean_bound
from scipy import stats
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae._utils.gaps import Counts

SEED = tf.constant([3, 4])


@keras.saving.register_keras_serializable("test_missing_entries")
class LogNormal(tj.heads.Head):
    """A user's head, which cannot score 0."""

    parameter_names = ("log_mean",)

    def distribution(self, log_mean):
        return tfp.distributions.Independent(tfp.distributions.LogNormal(log_mean, 0.5), len(self.event_shape))

    def in_support(self, values):
        return values > 0


LIKELIHOODS = {
    "gaussian": (tj.heads.Gaussian(variance=0.5), lambda r: r.normal(size=(12, 4)), stats.norm(0, np.sqrt(0.5)).logpdf),
    "laplace": ("laplace", lambda r: r.normal(size=(12, 4)), stats.laplace(0, 0.75).logpdf),
    "bernoulli": ("bernoulli", lambda r: r.integers(0, 2, (12, 4)), stats.bernoulli(0.5).logpmf),
    "counts": ("counts", lambda r: r.poisson(1.0, (12, 4)), stats.poisson(1.0).logpmf),
    "beta": ("beta", lambda r: r.uniform(0.01, 0.99, (12, 4)), stats.beta(1.01, 1.01).logpdf),
    "negative_binomial": (
        "negative_binomial",
        lambda r: r.poisson(1.0, (12, 4)),
        stats.nbinom(1.001, 1.001 / 2.001).logpmf,
    ),
    "of a user": (LogNormal(), lambda r: r.lognormal(size=(12, 4)), stats.lognorm(0.5).logpdf),
}
MODELS = {
    "vae": lambda m: tj.VAE({"y": m}, 2),
    "jmvae": lambda m: tj.JMVAE({"y": m, "w": small_modalities()["w"]}, 2),
    "jmvae_kl": lambda m: tj.JMVAEKL({"y": m, "w": small_modalities()["w"]}, 2),
    "single": lambda m: tj.JMVAEKL({"y": m, "w": small_modalities()["w"]}, 2, subsets="single"),
    "hierarchical": lambda m: tj.HierarchicalJMVAE({"y": m, "w": small_modalities()["w"]}, 2),
    "cvae": lambda m: tj.CVAE({"y": m, "w": small_modalities()["w"]}, 2, target="y"),
    "cmma": lambda m: tj.CMMA({"y": m, "w": small_modalities()["w"]}, 2, target="w"),
}
by_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def _modality(likelihood="gaussian", **options):
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    return tj.Modality((4,), LIKELIHOODS[likelihood][0], optional="entries", **networks, **options)


def _batch(model, likelihood="gaussian"):
    random = np.random.default_rng(0)
    y = LIKELIHOODS[likelihood][1](random).astype(np.float32)
    gaps = random.random(y.shape) < 0.4
    gaps[0], gaps[1] = [True, False, True, True], False
    return {
        "y": np.where(gaps, np.float32(np.nan), y),
        **({"w": small_batch("w")["w"]} if "w" in model.modalities else {}),
    }


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_log_density_is_that_of_the_entries_that_are_there(likelihood):
    set_seeds(1)
    model = tj.VAE({"y": _modality(likelihood)}, 2)
    for weight in model.decoders["y"].weights:  # raw parameters of 0, whatever z is
        weight.assign(tf.zeros_like(weight))
    batch = _batch(model, likelihood)
    with np.errstate(invalid="ignore"):
        expected = np.nansum(LIKELIHOODS[likelihood][2](batch["y"]), axis=1)
    np.testing.assert_allclose(model.objective(_tensors(batch), SEED)["log_p_y"].value, expected, rtol=1e-5)


def test_the_bound_of_the_exact_model_is_the_log_likelihood_of_the_entries_that_are_there():
    exact = LinearGaussian((("y", 4),))
    exact.make_every_posterior_diagonal()
    modality = exact.modalities()["y"]
    modality.optional = "entries"
    model = tj.VAE({"y": modality}, 2)
    exact.set_decoders(model)
    complete = exact.sample(6)["y"]
    kept = np.array([True, True, False, True])  # of all rows the same, so that one linear encoder is exact
    rest = LinearGaussian((("y", 3),))
    rest.weights, rest.biases = {"y": exact.weights["y"][kept]}, {"y": exact.biases["y"][kept]}
    _, covariance = rest.posterior({"y": complete[:, kept]})
    rotation = np.linalg.eigh(covariance)[1]  # z may be turned so that its posterior has no correlations
    rest.weights["y"] = rest.weights["y"] @ rotation
    turned = exact.weights["y"] @ rotation
    model.decoders["y"].set_weights([turned.T, exact.biases["y"]])
    gain = rest.weights["y"] @ rest.posterior({"y": complete[:, kept]})[1] / NOISE_VARIANCE
    kernel = np.zeros((8, 2))
    kernel[:4][kept] = gain
    variances = np.diag(rest.posterior({"y": complete[:, kept]})[1])
    model.encoder.set_weights([kernel, -rest.biases["y"] @ gain, np.zeros_like(kernel), np.log(np.expm1(variances))])
    batch = {"y": tf.constant(np.where(kept, complete, np.nan).astype(np.float32))}
    bound, error = mean_bound(model, batch)
    np.testing.assert_array_less(np.abs(bound - rest.log_prob({"y": complete[:, kept]})), 5 * error + 1e-4)


@by_model
def test_the_encoder_reads_zeros_in_the_gaps_and_a_mask(make):
    set_seeds(1)
    model = make(_modality())
    batch, read = _batch(model), []
    tower = model.networks().get("encoder/y") or model.networks()["towers/y"]
    call = type(tower).call
    tower.call = lambda inputs, *args, **kwargs: (read.append(inputs), call(tower, inputs, *args, **kwargs))[1]
    model.objective(_tensors(batch), SEED)
    there = ~np.isnan(batch["y"])
    np.testing.assert_array_equal(read[0], np.concatenate([np.nan_to_num(batch["y"]), there], axis=1))


@by_model
@pytest.mark.parametrize("likelihood", ["gaussian", "beta", "negative_binomial", "of a user"])
def test_gradients_are_finite_and_training_takes_it(make, likelihood):
    set_seeds(1)
    model = make(_modality(likelihood))
    batch = _batch(model, likelihood)
    with tf.GradientTape() as tape:
        loss = model._loss(model.objective(_tensors(batch), SEED, training=True), None)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.isfinite(g).all() for g in gradients if g is not None)
    model.compile(tj.optimizers.FusedAdam(0.01))
    history = model.fit(batch, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all()


@pytest.mark.parametrize("optional", [True, "entries"])
def test_a_head_that_cannot_score_what_stands_in_has_no_gradient_where_nobody_holds_its_modality(optional):
    set_seeds(1)
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    modalities = {"w": small_modalities("w")["w"], "y": tj.Modality((4,), LogNormal(), optional=optional, **networks)}
    model = tj.JMVAEKL(modalities, 2)
    batch = {"w": tf.constant(small_batch("w")["w"]), "y": tf.fill((12, 4), np.nan)}
    with tf.GradientTape() as tape:
        loss = model._loss(model.objective(batch, SEED, training=True), None)
    gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_gaps_are_filled():
    """Of data whose entries are all equal, a gap is filled with what the other entries are."""
    set_seeds(1)
    random = np.random.default_rng(0)
    complete = np.repeat(random.normal(size=(400, 1)), 4, axis=1).astype(np.float32)
    data = {"y": np.where(random.random(complete.shape) < 0.3, np.nan, complete).astype(np.float32)}
    data["y"][np.isnan(data["y"]).all(axis=1), 0] = 0.0
    head = tj.heads.Gaussian(variance=0.05)
    networks = {"encoder": tj.networks.mlp([32]), "decoder": tj.networks.mlp([32])}
    model = tj.VAE({"y": tj.Modality((4,), head, optional="entries", **networks)}, 1)
    model.compile(tj.optimizers.FusedAdam(0.01))
    model.fit(data, epochs=40, batch_size=40, verbose=0)
    gaps = np.isnan(data["y"])
    filled = model.generate(data, latent="mean")["y"].numpy()
    known = np.abs(complete[:, 0]) < 1.5
    assert np.sqrt(np.mean((filled - complete)[gaps & known[:, None]] ** 2)) < 0.3  # of a spread of 1
    samples = model.generate(data, num_samples=50, output="sample", seed=1)["y"].numpy()
    assert 0.1 < samples.std(axis=1)[gaps].mean() < 0.5


@pytest.mark.parametrize("kind", ["jmvae", "hierarchical"])
def test_a_modality_that_is_not_observed_is_to_a_joint_encoder_one_without_entries(kind):
    keras.utils.set_random_seed(1)
    model = MODELS[kind](_modality())
    batch = _batch(model)
    nothing = {**batch, "y": np.full_like(batch["y"], np.nan)}
    np.testing.assert_allclose(model.posterior({"w": batch["w"]}).mean(), model.posterior(nothing).mean(), rtol=1e-5)
    assert np.isfinite(model.generate({"w": batch["w"]}, num_steps=5, seed=1)["y"]).all()


def test_a_row_without_an_entry_lacks_the_modality(capsys):
    model = MODELS["jmvae_kl"](_modality())
    batch = _batch(model)
    batch["y"][3] = np.nan
    found = model.posterior(batch).mean()[3]
    np.testing.assert_allclose(found, model.posterior({"w": batch["w"][3:4]}).mean()[0], rtol=1e-5)
    gaps = int(np.isnan(batch["y"]).sum()) - 4
    model.compile("adam")
    model.evaluate(batch, verbose=1)
    assert f"y: 1 of 12 rows missing; y: {gaps} of 44 entries missing in the other rows" in capsys.readouterr().out


def test_a_network_that_does_not_read_the_mask_is_refused_with_the_shapes():
    encoder = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8)])
    with pytest.raises(ValueError, match=r"encoder of modality 'y' cannot read a batch of shape \(None, 8\)"):
        tj.VAE({"y": tj.Modality((4,), "gaussian", optional="entries", encoder=encoder)}, 2)


def test_statistics_are_of_what_is_there():
    modality = _modality(standardized=True)
    model = tj.VAE({"y": modality}, 2)
    data = {"y": np.random.default_rng(0).normal(3.0, 2.0, (50, 4)).astype(np.float32)}
    data["y"][np.random.default_rng(1).random((50, 4)) < 0.3] = np.nan
    model.adapt(data)
    layer = model.standardizations["y"]
    np.testing.assert_allclose(layer.mean, np.nanmean(data["y"], axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.stddev, np.nanstd(data["y"], axis=0), rtol=1e-5)
    model.compile(tj.optimizers.FusedAdam(0.01))
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    "given",
    [lambda y: np.ma.MaskedArray(np.nan_to_num(y, nan=1e6), np.isnan(y)), lambda y: pd.DataFrame(y).astype("Float64")],
)
def test_what_is_masked_or_na_does_not_enter_the_statistics(given):
    model = tj.VAE({"y": _modality(standardized=True)}, 2)
    data = _batch(model)["y"].astype(float)
    model.adapt({"y": given(data)})
    np.testing.assert_allclose(model.standardizations["y"].mean, np.nanmean(data, axis=0), rtol=1e-5)


def test_gaps_of_a_memory_mapped_table_are_counted_without_reading_it_whole(tmp_path):
    table = np.memmap(tmp_path / "y", np.float32, "w+", shape=(2**20, 4))
    table[::4, 1], table[8:16] = np.nan, np.nan
    counts, model = Counts(), tj.VAE({"y": _modality()}, 2)
    tracemalloc.start()
    counts.add(model.modalities, {"y": table})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(counts).startswith("y: 8 of 1,048,576 rows missing; y: 262,142 of 4,194,272 entries missing")
    assert peak < table.nbytes / 2
