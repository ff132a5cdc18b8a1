"""A prior fitted to z of data: its density, its samples, and that it goes where the model goes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from linear_gaussian import LinearGaussian
from scipy import stats
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae import cli
from tf_jmvae.models.fitted_prior import FittedPrior

SEED = tf.constant([3, 4])
TWO = FittedPrior(
    weights=[0.25, 0.75],
    means=[[-2.0, 0.0], [3.0, 1.0]],
    scales=np.linalg.cholesky([[[1.0, 0.5], [0.5, 1.0]], [[0.25, -0.2], [-0.2, 0.5]]]),
)


def _model(cls=tj.JMVAEKL, names="xw", **options):
    set_seeds(4)
    return cls(small_modalities(names), 3, **options)


def test_the_density_is_that_of_the_mixture():
    z = np.random.default_rng(0).normal(size=(50, 2)) * 3
    expected = sum(
        weight * stats.multivariate_normal(mean, scale @ scale.T).pdf(z)
        for weight, mean, scale in zip(TWO.weights, TWO.means, TWO.scales, strict=True)
    )
    np.testing.assert_allclose(TWO.distribution().log_prob(z.astype(np.float32)), np.log(expected), rtol=1e-4)


@pytest.mark.parametrize("by_row", [False, True])
def test_samples_are_of_the_components_in_their_proportions(by_row):
    size = 40_000
    seed = tf.random.split(SEED, size) if by_row else SEED
    z = TWO.draw(size, seed).numpy()
    assert z.shape == (size, 2)
    of_first = z[:, 0] < 1.0
    assert of_first.mean() == pytest.approx(0.25 * stats.norm.cdf(3) + 0.75 * stats.norm.cdf(-4), abs=0.01)
    mean = TWO.weights @ TWO.means
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=0.05)
    centred = TWO.means - mean
    covariance = np.einsum("c,cij->ij", TWO.weights, TWO.scales @ TWO.scales.transpose(0, 2, 1))
    covariance += np.einsum("c,ci,cj->ij", TWO.weights, centred, centred)
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.1)


def test_a_sample_with_a_seed_of_its_own_does_not_depend_on_the_others():
    seeds = tf.random.split(SEED, 5)
    np.testing.assert_allclose(TWO.draw(5, seeds)[3:4], TWO.draw(1, seeds[3:4]), atol=1e-6)
    np.testing.assert_array_equal(TWO.draw(5, SEED), TWO.draw(5, SEED))


def test_one_component_has_the_moments_of_the_aggregate_posterior():
    """Of a linear-Gaussian model with exact encoders z of data is N(0, I) again."""
    exact = LinearGaussian()
    model = tj.JMVAEKL(exact.modalities(), 2)
    exact.set_encoder(model.encoder, exact.sizes)
    found = model.fit_prior(exact.sample(20_000), components=1, seed=2)
    assert found is model.fitted_prior
    np.testing.assert_allclose(found.means, np.zeros((1, 2)), atol=0.03)
    np.testing.assert_allclose(found.scales[0] @ found.scales[0].T, np.eye(2), atol=0.04)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_clusters_of_z_become_components(covariance):
    exact = LinearGaussian()
    model = tj.JMVAEKL(exact.modalities(), 2)
    exact.set_encoder(model.encoder, exact.sizes)
    z = np.repeat([[-6.0, 0.0], [6.0, 6.0]], [300, 100], axis=0)
    data = {name: (z @ exact.weights[name].T + exact.biases[name]).astype(np.float32) for name in exact.sizes}
    expected, _ = exact.posterior(data)
    found = model.fit_prior(data, components=2, covariance=covariance)
    order = found.means[:, 0].argsort()
    np.testing.assert_allclose(found.weights[order], [0.75, 0.25], atol=1e-3)
    np.testing.assert_allclose(found.means[order], expected[[0, -1]], atol=0.2)
    off_diagonal = np.abs(found.scales - found.scales * np.eye(2)).max()
    assert (off_diagonal == 0) == (covariance == "diagonal")


@pytest.mark.parametrize("cls", [tj.JMVAE, tj.JMVAEKL, tj.HierarchicalJMVAE])
def test_samples_are_decoded_from_it(cls):
    model, batch = _model(cls), small_batch(size=40)
    fitted = model.fit_prior(batch, components=2)
    drawn = model.sample(6, prior="fitted", seed=SEED)
    assert {name: value.shape for name, value in drawn.items()} == {"x": (6, 4, 4, 1), "w": (6, 3)}
    z = fitted.draw(6, tf.unstack(tf.random.split(SEED, 2))[0])
    np.testing.assert_allclose(drawn["w"], model.likelihoods(z)["w"].mean(), rtol=1e-5)
    standard = model.sample(6, seed=SEED)
    assert not np.allclose(standard["w"], drawn["w"])


def test_a_seed_repeats_a_fit():
    model, batch = _model(), small_batch(size=40)
    one, other, third = (model.fit_prior(batch, components=3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.means, other.means)
    assert not np.array_equal(one.means, third.means)


def test_any_integer_is_a_seed():
    batch = small_batch(size=40)
    priors = [_model().fit_prior(batch, 2, seed=2**40 + 3) for _ in range(2)]
    np.testing.assert_array_equal(priors[0].means, priors[1].means)


def test_files_hold_it(tmp_path):
    model, batch = _model(), small_batch(size=40)
    model.save_weights(tmp_path / "without.weights.h5")
    model.fit_prior(batch, components=2)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    expected = model.sample(5, prior="fitted", seed=1)["x"]
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.sample(5, prior="fitted", seed=1)["x"], expected, rtol=1e-6)
    other = _model()
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(other.sample(5, prior="fitted", seed=1)["x"], expected, rtol=1e-6)
    other.load_weights(tmp_path / "without.weights.h5")
    assert other.fitted_prior is None


def test_exports_sample_and_score_as_the_model_does(tmp_path):
    model, batch = _model(), small_batch(size=40)
    fitted = model.fit_prior(batch, components=2)
    opened = tj.open_model(model.export(tmp_path / "model"))
    seeds = tf.constant([[7, 8], [9, 10]])
    expected = model.sample(2, prior="fitted", seed=seeds)
    served = opened._call("sample_from_fitted_prior", {"seed": seeds.numpy()})
    for name, values in expected.items():
        np.testing.assert_allclose(served[name], values, atol=1e-6)
    assert opened.sample(3, prior="fitted", seed=1)["x"].shape == (3, 4, 4, 1)
    z = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    found = opened._call("fitted_prior_log_density", {"z": z})["log_density"]
    np.testing.assert_allclose(found, fitted.distribution().log_prob(z), rtol=1e-5)


def test_an_export_without_it_says_what_to_do(tmp_path):
    opened = tj.open_model(_model().export(tmp_path / "model"))
    with pytest.raises(ValueError, match=r"without a fitted prior: call fit_prior\(data\) before export"):
        opened.sample(2, prior="fitted")


def test_joint_coherence_is_of_the_prior_that_is_asked_for():
    model, batch = _model(names="xw"), small_batch(size=40)
    model.fit_prior(batch, components=2)
    options = {"classifiers": {"x": lambda x: (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)}, "num_samples": 50}
    standard, fitted = (
        tj.evaluation.joint_coherence(model, prior=prior, verbose=0, **options) for prior in ("standard", "fitted")
    )
    drawn = model.sample(50, prior="fitted", seed=tf.random.fold_in(tf.constant([0, 0]), 0))
    agree = drawn["w"].numpy().argmax(-1) == (drawn["x"].numpy().mean(axis=(1, 2, 3)) > 0.5)
    np.testing.assert_array_equal(fitted.values, agree)
    assert fitted.settings == {"prior": "fitted"}
    assert standard.settings == {}


def test_rows_that_lack_a_modality_are_encoded_by_what_they_hold():
    modalities = small_modalities()
    modalities["w"].optional = True
    model, batch = tj.JMVAEKL(modalities, 3), small_batch(size=40)
    batch["w"][::2] = np.nan
    assert np.isfinite(model.fit_prior(batch, components=2).means).all()


def test_a_run_fits_one_in_the_end_and_the_command_samples_from_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--run-dir", "run", "--epochs", "1", "--train-size", "200", "--no-tensorboard"]
    assert cli.main(["train", "--preset", "digits-jmvae-kl", *options, "--fitted-prior", "3"]) == 0
    model = keras.saving.load_model("run/model.keras")
    assert model.fitted_prior.means.shape == (3, model.latent_dim)
    assert cli.main(["generate", "run", "--num-samples", "4", "--prior", "fitted", "--output", "some.npz"]) == 0
    drawn = tj.open_model("run").sample(4, prior="fitted", seed=0)
    np.testing.assert_allclose(np.load("some.npz")["w"][0], drawn["w"], atol=1e-6)
    assert cli.main(["generate", "run", "--given", "w=3", "--prior", "fitted"]) != 0
    assert "--prior fitted cannot be combined with --given" in capsys.readouterr().err


def test_a_run_of_a_one_way_model_cannot_have_one(capsys, tmp_path):
    options = ["--run-dir", str(tmp_path / "run"), "--fitted-prior", "3"]
    assert cli.main(["train", "--preset", "digits-cvae", *options]) != 0
    assert "of models that generate all modalities, but a cvae generates its target only" in capsys.readouterr().err


def test_what_cannot_be_is_refused():
    model, batch = _model(), small_batch(size=5)
    with pytest.raises(ValueError, match=r"call fit_prior\(data\) after training"):
        model.sample(2, prior="fitted")
    with pytest.raises(ValueError, match="prior"):
        model.sample(2, prior="mixture")
    with pytest.raises(ValueError, match="10 components needs at least as many rows; got 5"):
        model.fit_prior(batch)
    with pytest.raises(ValueError, match="components"):
        model.fit_prior(batch, 0)
    with pytest.raises(ValueError, match="covariance"):
        model.fit_prior(batch, 2, covariance="tied")
    with pytest.raises(ValueError, match="'w'"):
        model.fit_prior({"x": batch["x"]}, 2)
    with pytest.raises(ValueError, match="no joint distribution to fit a prior to"):
        tj.CVAE(small_modalities(), 3, target="x").fit_prior(batch, 2)
    assert model.fitted_prior is None
