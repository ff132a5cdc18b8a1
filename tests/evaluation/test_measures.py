"""Frechet distance, retrieval, clusters of z, and coherence by the number of modalities given."""

import itertools

import keras
import numpy as np
import pytest
from exact_models import exact_jmvae_kl
from scipy import integrate, stats
from sklearn.metrics import adjusted_rand_score
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae import evaluation
from tf_jmvae.evaluation.latents import _log_ratio

THREE = (("x", 3), ("w", 2), ("c", 4))


def _model(names="xw", **options):
    set_seeds(4)
    return tj.JMVAEKL(small_modalities(names), 3, **options)


# Frechet distance.


def _flat(values):
    return values.reshape(len(values), -1)


def test_frechet_distance_is_that_of_the_gaussians_of_the_features():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(50_000, 2, 1)), random.normal([[1.0], [0.0]], 2.0, size=(40_000, 2, 1))
    found = evaluation.frechet_distance(one, other, features=_flat)
    assert found.mean == pytest.approx(1 + 2 * (1 - 2) ** 2, abs=0.08)  # |m - m'|^2 + sum (s - s')^2
    assert (found.num_examples, found.settings["real"], found.settings["features"]) == (50_000, 40_000, 2)


def test_its_standard_error_is_that_of_new_sets():
    random = np.random.default_rng(1)
    drawn = [random.normal(1.0, size=(400, 2)) for _ in range(60)]
    real = random.normal(size=(400, 2))
    distances = [evaluation.frechet_distance(one, real, features=_flat, resamples=1).mean for one in drawn]
    both = evaluation.frechet_distance(drawn[0], random.normal(size=(400, 2)), features=_flat, resamples=100)
    assert both.standard_error == pytest.approx(np.sqrt(2) * np.std(distances), rel=0.35)  # both sets are resampled
    assert np.isnan(evaluation.frechet_distance(drawn[0], real, features=_flat, resamples=1).standard_error)


def test_a_keras_model_gives_features_and_a_seed_repeats_them():
    network = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    images = small_batch("x", size=30)["x"]
    one, other = (evaluation.frechet_distance(images, 1 - images, features=network, seed=3) for _ in range(2))
    assert one == other
    by_function = evaluation.frechet_distance(
        images, 1 - images, features=lambda x: network(x).numpy(), seed=3, resamples=20
    )
    assert by_function.mean == pytest.approx(one.mean, rel=1e-4)
    assert "Frechet distance" in str(one)
    assert one.as_dict()["mean"] == one.mean


def test_features_that_are_none_are_refused():
    images = small_batch("x")["x"]
    with pytest.raises(ValueError, match=r"must be of shape \[12, F\]; for 'generated' got \[12, 4, 4, 1\]"):
        evaluation.frechet_distance(images, images, features=lambda x: x)
    with pytest.raises(ValueError, match="two values or more; got 1"):
        evaluation.frechet_distance(images[:1], images, features=_flat)
    with pytest.raises(ValueError, match="finite"):
        evaluation.frechet_distance(images + np.nan, images, features=_flat)


# Retrieval.


def test_the_score_of_two_gaussians_is_the_log_of_the_integral():
    def integrand(z):
        density = stats.norm(0.4, np.sqrt(1 / 2.5)).pdf(z) * stats.norm(-0.3, np.sqrt(1 / 4.0)).pdf(z)
        return density / stats.norm.pdf(z)

    expected = np.log(integrate.quad(integrand, -10, 10)[0])
    found = _log_ratio(*(np.array([value]) for value in (0.4, 2.5, -0.3, 4.0)))
    assert found == pytest.approx(expected, abs=1e-6)


def test_partners_are_ranked_by_the_likelihood_ratio_of_the_exact_model():
    exact, model = exact_jmvae_kl()
    exact.make_every_posterior_diagonal()
    exact.set_decoders(model)
    for names, encoder in model.subset_encoders.items():
        exact.set_encoder(encoder, names.split("_and_"))
    size = 60
    batch = exact.sample(size)
    found = evaluation.retrieval(model, batch, query="x", candidates="w", ks=(1, 5))
    score = np.empty((size, size))
    for i, j in itertools.product(range(size), repeat=2):
        pair = {"x": batch["x"][i : i + 1], "w": batch["w"][j : j + 1]}
        score[i, j] = exact.log_prob(pair) - exact.log_prob(pair, ["x"]) - exact.log_prob(pair, ["w"])
    ranks = (score > np.diag(score)[:, None]).sum(axis=1) + 1
    np.testing.assert_array_equal(found["rank"].values, ranks)
    for k in (1, 5):
        np.testing.assert_array_equal(found[f"recall@{k}"].values, ranks <= k)
    assert found["rank"].mean < size / 4  # far better than chance, size / 2
    assert found["rank"].settings == {"candidates": size}


def test_candidates_that_are_alike_are_in_random_order_in_expectation():
    model, batch = _model(), small_batch(size=12)
    batch["w"][:] = batch["w"][0]
    found = evaluation.retrieval(model, batch, query="x", candidates=["w"], ks=(1, 6, 12))
    assert {key: one.mean for key, one in found.items()} == pytest.approx(
        {"recall@1": 1 / 12, "recall@6": 0.5, "recall@12": 1.0, "rank": 6.5}
    )


def test_retrieval_takes_flows_and_leaves_incomplete_rows_out():
    modalities = small_modalities()
    modalities["w"].optional = True
    model, batch = tj.JMVAEKL(modalities, 3, flow=tj.Flow(2, units=8)), small_batch(size=12)
    batch["w"][:4] = np.nan
    found = evaluation.retrieval(model, batch, query="x", candidates="w")
    assert found["rank"].num_examples == 8
    assert found["rank"].settings == {"candidates": 8, "rows_left_out": 4}


def test_retrieval_refuses_what_makes_no_sense():
    model, batch = _model(), small_batch()
    with pytest.raises(ValueError, match="'x' cannot belong to both"):
        evaluation.retrieval(model, batch, query=["x", "w"], candidates="x")
    with pytest.raises(ValueError, match="'y'"):
        evaluation.retrieval(model, batch, query="y", candidates="x")
    with pytest.raises(ValueError, match="ks"):
        evaluation.retrieval(model, batch, query="w", candidates="x", ks=(0,))


# Clusters.


def _clustered():
    """A model that encodes x exactly, and data of three far clusters in z."""
    exact, model = exact_jmvae_kl()
    random = np.random.default_rng(0)
    classes = random.integers(0, 3, 150)
    z = np.array([[-8.0, 0.0], [8.0, 0.0], [0.0, 9.0]])[classes] + 0.1 * random.normal(size=(150, 2))
    return model, {name: (z @ exact.weights[name].T + exact.biases[name]).astype("f") for name in "xw"}, classes


def test_classes_that_are_clusters_have_an_index_of_one():
    model, data, classes = _clustered()
    found = evaluation.clustering(model, data, given=["x", "w"], labels=classes)
    assert (found.mean, found.standard_error, found.settings) == (1.0, 0.0, {"clusters": 3})
    by_chance = evaluation.clustering(
        model, data, given=["x", "w"], labels=np.random.default_rng(1).permutation(classes)
    )
    assert abs(by_chance.mean) < 0.05


def test_the_index_is_scikit_learns_and_its_error_that_of_resampled_rows():
    model, data, classes = _clustered()
    merged = np.minimum(classes, 1)  # two of the three clusters are one class
    found = evaluation.clustering(model, data, given=["x", "w"], labels=merged, clusters=3, resamples=200)
    assert found.mean == pytest.approx(adjusted_rand_score(merged, classes))
    random = np.random.default_rng(5)
    drawn = [adjusted_rand_score(merged[rows], classes[rows]) for rows in random.integers(0, 150, (500, 150))]
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.25)


def test_labels_are_those_of_the_data_and_rows_that_lack_one_or_what_is_given_are_left_out():
    modalities = small_modalities()
    for modality in modalities.values():
        modality.optional = True
    model, batch = tj.JMVAEKL(modalities, 3), small_batch(size=30)
    whole = evaluation.clustering(model, {name: v[:20] for name, v in batch.items()}, given="x")
    batch["x"][20:26] = np.nan
    batch["w"][24:] = np.nan
    found = evaluation.clustering(model, batch, given="x")
    assert (found.mean, found.num_examples) == (whole.mean, 20)
    assert found.settings == {"clusters": 3, "rows_left_out": 10}
    batch = small_batch(size=30)
    with pytest.raises(ValueError, match="at least as many rows; got 2"):
        evaluation.clustering(model, {name: v[:2] for name, v in batch.items()}, given="x", clusters=3)
    with pytest.raises(ValueError, match=r"shape \[30\]"):
        evaluation.clustering(model, batch, given="x", labels=[1, 2])
    with pytest.raises(ValueError, match="'typo'"):
        evaluation.clustering(model, batch, given="typo")


# Coherence by the number of modalities given.

CLASSIFIERS = {"x": lambda x: (x.mean(axis=(1, 2, 3)) > 0.5).astype(int), "v": lambda v: (v[:, 0] > 0).astype(int)}


@pytest.fixture(scope="module")
def coherence():
    model, batch = _model("xwv"), small_batch("xwv", size=20)
    return model, batch, evaluation.subset_coherence(model, batch, classifiers=CLASSIFIERS, verbose=0, seed=3)


def test_every_target_is_generated_from_every_subset_of_the_others(coherence):
    model, batch, found = coherence
    directions = [
        (t, s)
        for t in "xwv"
        for n in (1, 2)
        for s in itertools.combinations(sorted("xwv", key="xwv".index), n)
        if t not in s
    ]
    assert list(found.estimates) == directions
    for target, given in directions:
        alone = evaluation.conditional_coherence(
            model, batch, target=target, given=given, classifier=CLASSIFIERS.get(target), seed=3, verbose=0
        )
        np.testing.assert_array_equal(found.estimates[target, given].values, alone.values)


def test_masked_rows_are_left_out_of_every_direction():
    modalities = small_modalities("xwv")
    modalities["v"].optional = True
    model, batch = tj.JMVAEKL(modalities, 3), small_batch("xwv", size=20)
    options = {"classifiers": CLASSIFIERS, "verbose": 0, "seed": 3}
    whole = evaluation.subset_coherence(model, {name: values[:15] for name, values in batch.items()}, **options)
    hidden = np.zeros(batch["v"].shape, bool)
    hidden[15:] = True
    masked = evaluation.subset_coherence(model, batch | {"v": np.ma.array(batch["v"], mask=hidden)}, **options)
    for direction, one in whole.estimates.items():
        np.testing.assert_array_equal(masked.estimates[direction].values, one.values)


def test_means_are_over_subsets_then_targets_with_paired_errors(coherence):
    _, _, found = coherence
    one = np.mean([found.estimates["x", (other,)].values for other in "wv"], axis=0)
    np.testing.assert_allclose(found.given(1, "x").values, one)
    every = np.mean([found.given(1, target).values for target in "xwv"], axis=0)
    np.testing.assert_allclose(found.given(1).values, every)
    assert found.given(1).standard_error == pytest.approx(every.std(ddof=1) / np.sqrt(20))
    difference = found.given(2).difference(found.given(1))
    assert difference.mean == pytest.approx(found.given(2).mean - found.given(1).mean)
    assert found.counts == [1, 2]
    with pytest.raises(ValueError, match="given 3 modalities"):
        found.given(3)


def test_the_matrix_and_its_plot_show_the_same_numbers(coherence):
    _, _, found = coherence
    matrix = found.matrix()
    assert matrix.shape == (3, 2)
    assert matrix[1, 0] == found.given(1, "w").mean
    axes = found.plot()
    assert [text.get_text() for text in axes.texts] == [f"{value:.0%}" for value in matrix.ravel()]
    assert [label.get_text() for label in axes.get_yticklabels()] == list("xwv")
    assert "a target from 2 others" in str(found)


def test_without_classifiers_labels_alone_are_targets():
    model, batch = _model("xwv"), small_batch("xwv", size=10)
    found = evaluation.subset_coherence(model, batch, verbose=0)
    assert found.targets == ["w"]
    with pytest.raises(ValueError, match="No target can be classified"):
        evaluation.subset_coherence(_model("xv"), small_batch("xv"), labels=np.zeros(12), verbose=0)


def test_directions_that_a_model_does_not_have_are_left_out():
    model = tj.CVAE(small_modalities("xwv"), 3, target="x")
    found = evaluation.subset_coherence(model, small_batch("xwv"), classifiers={"x": CLASSIFIERS["x"]}, verbose=0)
    assert list(found.estimates) == [("x", ("w", "v"))]
