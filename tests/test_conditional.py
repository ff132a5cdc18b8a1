"""CVAE and CMMA: every direction, and what each refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import small_batch, small_modalities

import tf_jmvae as tj

SEED = tf.constant([3, 4])
ZEROS, NOISE = tj.IteratedSampling(1, "zeros"), tj.IteratedSampling(1, "noise")
BOTH = pytest.mark.parametrize("cls", [tj.CVAE, tj.CMMA])


def _given(model, batch):
    return {name: batch[name] for name in model.conditions}


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items()}


def _make(cls, names="xw", target="x", **options):
    model = cls(small_modalities(names), 3, target=target, **options)
    model.run_eagerly = True  # a graph takes longer to make; tests/conformance predicts in one
    return model


def _always_ones(decoder):
    """Makes a Bernoulli decoder so sure of ones that sampling has one outcome."""
    *rest, kernel, bias = decoder.get_weights()
    decoder.set_weights([*rest, 0 * kernel, bias + 50.0])


def _assert_same_gaussian(actual, expected):
    np.testing.assert_allclose(actual.mean(), expected.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(actual.variance(), expected.variance(), rtol=1e-5, atol=1e-6)


@BOTH
def test_posterior_of_all_modalities_is_the_encoder(cls):
    model, batch = _make(cls, "wxc", "x"), small_batch("xcw")
    _assert_same_gaussian(model.posterior(batch), model.encoder(_tensors(batch)))
    for name in batch:
        other = {**batch, name: batch[name][::-1]}
        assert not np.allclose(model.posterior(other).mean(), model.posterior(batch).mean())


def test_posterior_of_cvae_without_targets_is_the_prior_for_each_example():
    model = _make(tj.CVAE, "xwc", ["x", "c"])
    posterior = model.posterior({"w": small_batch()["w"]})
    assert posterior.batch_shape == (12,)
    np.testing.assert_array_equal(posterior.mean(), np.zeros((12, 3)))
    np.testing.assert_array_equal(posterior.variance(), np.ones((12, 3)))
    z = model.draw_latents(posterior, model.latent_noise(posterior, SEED)).numpy()
    assert len(np.unique(z)) == z.size  # each example has noise of its own


def test_posterior_of_cvae_from_zeros_is_the_encoder_with_zeros_for_the_target():
    model, batch = _make(tj.CVAE), small_batch()
    expected = model.encoder({"x": tf.zeros((12, 4, 4, 1)), "w": tf.constant(batch["w"])})
    _assert_same_gaussian(model.posterior({"w": batch["w"]}, iterated_sampling=ZEROS), expected)
    noise = model.posterior({"w": batch["w"]}, iterated_sampling=NOISE, seed=1)
    assert not np.allclose(noise.mean(), expected.mean())


def test_each_step_of_cvae_draws_the_target_by_the_decoder_that_reads_what_is_given():
    model, batch = _make(tj.CVAE), small_batch()
    _always_ones(model.decoders["x"])
    expected = model.posterior({"x": np.ones_like(batch["x"]), "w": batch["w"]})
    _assert_same_gaussian(
        model.posterior({"w": batch["w"]}, iterated_sampling=tj.IteratedSampling(2, "zeros"), seed=1), expected
    )


def test_cvae_completes_some_of_its_targets_by_iterated_sampling():
    model, batch = _make(tj.CVAE, "xwc", ["x", "c"]), small_batch("xwc")
    observed = {"w": batch["w"], "c": batch["c"]}
    _always_ones(model.decoders["x"])
    assert model.iterates(observed)
    for num_steps, start in ((1, np.zeros_like), (2, np.ones_like)):
        expected = model.posterior({**batch, "x": start(batch["x"])})
        _assert_same_gaussian(model.posterior(observed, iterated_sampling=num_steps, seed=1), expected)
    generated = model.generate(observed, num_samples=4, num_steps=2, seed=1)
    assert list(generated) == ["x"]
    assert generated["x"].shape == (12, 4, 4, 4, 1)


@pytest.mark.parametrize(
    "options", [{}, {"iterated_sampling": ZEROS}, {"iterated_sampling": tj.IteratedSampling(5, "noise")}], ids=str
)
def test_posterior_of_cmma_without_targets_is_its_prior_network(options):
    model, batch = _make(tj.CMMA, "xwc", ["x", "c"], trunk=tj.networks.mlp([8])), small_batch("xwc")
    posterior = model.posterior({"w": batch["w"]}, **options)
    assert not model.iterates({"w": batch["w"]}, options.get("iterated_sampling"))
    _assert_same_gaussian(posterior, model.prior_encoder({"w": tf.constant(batch["w"])}))
    _assert_same_gaussian(posterior, model.prior(_tensors(batch)))
    assert not np.allclose(posterior.mean(), model.posterior(batch).mean())


def test_cmma_has_nothing_for_some_of_its_targets():
    model, batch = _make(tj.CMMA, "xwc", ["x", "c"]), small_batch("xwc")
    observed = {"w": batch["w"], "c": batch["c"]}
    for call in (model.posterior, model.generate, model.reconstruct):
        with pytest.raises(ValueError, match="nothing for 'w', 'c' alone: observe all targets, or none"):
            call(observed)


@pytest.mark.parametrize(("cls", "reads"), [(tj.CVAE, True), (tj.CMMA, False)])
def test_the_decoder_of_cvae_reads_what_is_given_at_the_same_z_and_that_of_cmma_does_not(cls, reads):
    model, batch = _make(cls, "xwc", "x"), small_batch("xwc")
    z = tf.random.stateless_normal((12, 3), SEED)
    mean = model.likelihoods(z, conditions=batch)["x"].mean()
    for name in ("w", "c"):
        other = model.likelihoods(z, conditions={**batch, name: np.roll(batch[name], 1, axis=-1)})["x"].mean()
        assert np.array_equal(other, mean) != reads
    # Only what is given: the target itself stays unread.
    np.testing.assert_array_equal(model.likelihoods(z, conditions={**batch, "x": 1 - batch["x"]})["x"].mean(), mean)


def test_each_target_of_cvae_has_a_tower_of_its_own_for_what_is_given():
    model, batch = _make(tj.CVAE, "xwc", ["x", "c"]), small_batch("xwc")
    z = tf.random.stateless_normal((12, 3), SEED)
    before = model.likelihoods(z, conditions=batch)
    towers = model.decoders["x"].towers
    towers.set_weights([2 * weight + 1 for weight in towers.get_weights()])
    after = model.likelihoods(z, conditions=batch)
    assert not np.allclose(after["x"].mean(), before["x"].mean())
    np.testing.assert_array_equal(after["c"].mean(), before["c"].mean())


@BOTH
def test_axes_of_samples_decode_like_each_sample_alone(cls):
    model, batch = _make(cls, "xwc", ["x", "c"]), _tensors(small_batch("xwc"))
    z = tf.random.stateless_normal((12, 4, 2, 3), SEED)
    together = {name: p.mean().numpy() for name, p in model.likelihoods(z, conditions=batch).items()}
    assert together["x"].shape == (12, 4, 2, 4, 4, 1)
    for s in range(4):
        middle = model.likelihoods(z[:, s], conditions=batch)
        for t in range(2):
            alone = model.likelihoods(z[:, s, t], conditions=batch)
            for name in model.targets:
                np.testing.assert_allclose(together[name][:, s, t], alone[name].mean(), rtol=1e-4, atol=1e-6)
                np.testing.assert_allclose(middle[name].mean()[:, t], alone[name].mean(), rtol=1e-4, atol=1e-6)


DIRECTIONS = [
    ("xw", "x", ["x"]),
    ("xw", "w", ["w"]),
    ("xwc", "c", ["c"]),
    ("xwc", ["c", "x"], ["x", "c"]),
    ("xwcv", ("w", "v"), ["w", "v"]),
]


@BOTH
@pytest.mark.parametrize(("names", "target", "targets"), DIRECTIONS, ids=str)
def test_every_direction_generates_reconstructs_and_predicts_its_targets(cls, names, target, targets):
    model, batch = _make(cls, names, target), small_batch(names)
    given = {name: batch[name] for name in names if name not in targets}
    assert (model.targets, model.conditions) == (targets, list(given))
    results = {
        (12,): [
            model.generate(given, seed=1),
            model.generate(given, latent="mean"),
            model.generate(given, output="sample", iterated_sampling=tj.IteratedSampling(3, "zeros"), seed=1),
            model.reconstruct(batch, seed=1),
            model.predict(given, verbose=0),
            model.predict(batch, batch_size=5, verbose=0),
        ],
        (12, 4): [
            model.generate(given, num_samples=4, seed=1),
            model.generate(given, num_samples=4, latent="mean"),
            model.generate(given, num_samples=4, iterated_sampling=tj.IteratedSampling(2, "noise"), seed=1),
            model.reconstruct(batch, num_samples=4, seed=1),
        ],
    }
    for leading, outputs in results.items():
        for output in outputs:
            assert list(output) == targets
            for name in targets:
                assert output[name].shape == (*leading, *model.modalities[name].event_shape)
    assert list(model.generate(given, targets=targets[-1:], seed=1)) == targets[-1:]


def test_predictions_decode_the_mean_of_z_given_what_is_observed():
    batch = small_batch()
    given = {"w": batch["w"]}
    for cls in (tj.CVAE, tj.CMMA):
        model = _make(cls)
        z = np.zeros((12, 3), np.float32) if cls is tj.CVAE else model.prior_encoder(_tensors(given)).mean()
        expected = model.likelihoods(z, conditions=_tensors(given))["x"].mean()
        np.testing.assert_allclose(model.predict(given, verbose=0)["x"], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.generate(given, latent="mean")["x"], expected, rtol=1e-5, atol=1e-6)
        expected = model.likelihoods(model.encoder(_tensors(batch)).mean(), conditions=_tensors(given))["x"].mean()
        np.testing.assert_allclose(model.predict(batch, verbose=0)["x"], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.reconstruct(batch, latent="mean")["x"], expected, rtol=1e-5, atol=1e-6)


@BOTH
def test_the_direction_that_a_model_does_not_have_is_refused(cls):
    model, batch = _make(cls), small_batch()
    observed = {"x": batch["x"]}
    message = rf"This {cls.__name__} goes from 'w' to 'x' only, but 'w' was not given\. .*with another target"
    calls = [
        lambda: model.posterior(observed),
        lambda: model.generate(observed, targets=["w"]),
        lambda: model.generate(observed),
        lambda: model.reconstruct(observed),
        lambda: model.predict(observed, verbose=0),
        lambda: model(observed),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


@BOTH
def test_every_modality_that_is_given_is_needed(cls):
    model, batch = _make(cls, "xwc", "x"), small_batch("xwc")
    with pytest.raises(ValueError, match="goes from 'w', 'c' to 'x' only, but 'c' was not given"):
        model.generate({"w": batch["w"]})
    with pytest.raises(ValueError, match="Modality 'c' is missing"):
        model.elbo({"x": batch["x"], "w": batch["w"]})


@BOTH
def test_what_is_given_cannot_be_generated(cls):
    model, batch = _make(cls), small_batch()
    for targets in (["w"], ["x", "w"]):
        with pytest.raises(ValueError, match=f"This {cls.__name__} takes 'w' as given; it generates 'x' only"):
            model.generate({"w": batch["w"]}, targets=targets)
    with pytest.raises(ValueError, match=f"{cls.__name__} generates x given w only.* no joint distribution to sample"):
        model.sample(5)
    with pytest.raises(ValueError, match="nothing to generate"):
        model.generate(batch)
    with pytest.raises(ValueError, match=r"no target among 'w', so there is nothing to reconstruct.*'x'"):
        model.reconstruct({"w": batch["w"]})


def test_parts_that_read_what_is_given_ask_for_it():
    z, batch = tf.zeros((12, 3)), small_batch("xwc")
    cvae, cmma = _make(tj.CVAE, "xwc", "x"), _make(tj.CMMA, "xwc", "x")
    with pytest.raises(ValueError, match=r"decoders of a CVAE read 'w', 'c' besides z: pass conditions="):
        cvae.likelihoods(z)
    with pytest.raises(ValueError, match="but 'c' was not given"):
        cvae.likelihoods(z, conditions={"w": batch["w"]})
    with pytest.raises(ValueError, match=r"prior of a CMMA is p\(z \| w, c\): pass conditions="):
        cmma.prior()
    with pytest.raises(ValueError, match="but 'c' was not given"):
        cmma.prior({"w": batch["w"]})
    assert cmma.likelihoods(z)["x"].batch_shape == (12,)
    assert cvae.prior().event_shape == (3,)


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "y"}, r"unknown modality 'y'; the modalities are 'x', 'w', 'c'"),
        ({"target": "x", "conditions": ["w", "y"]}, r"unknown modality 'y'"),
        (
            {"target": "x", "conditions": ["x", "w", "c"]},
            r"each .* once; got target=\['x'\], conditions=\['x', 'w', 'c'\]",
        ),
        ({"target": ["x", "x"]}, r"every modality of 'x', 'w', 'c' once; got target=\['x', 'x'\]"),
        ({"target": ["x", "w", "c"]}, r"must each name at least one, .*conditions=\[\]"),
        ({"target": None}, r"target must be the name of a modality, or a list of names; got None"),
        ({"target": 3}, r"target must be the name of a modality, or a list of names; got 3"),
        ({"target": ["x", 3]}, r"target must be the name of a modality, or a list of names; got \['x', 3\]"),
        ({"target": "x", "conditions": 3}, r"conditions must be the name of a modality, or a list of names; got 3"),
        ({"target": []}, r"must each name at least one, .*got target=\[\]"),
        ({"target": "x", "conditions": []}, r"must each name at least one, .*conditions=\[\]"),
        (
            {"target": "x", "conditions": "w"},
            r"every modality of 'x', 'w', 'c' once; got target=\['x'\], conditions=\['w'\]",
        ),
    ],
    ids=str,
)
def test_a_direction_that_does_not_divide_the_modalities_is_refused(cls, options, message):
    with pytest.raises(ValueError, match=f"^{cls.__name__}.*{message}"):
        cls(small_modalities("xwc"), 3, **options)


@BOTH
def test_a_single_modality_has_no_direction(cls):
    with pytest.raises(ValueError, match=f"{cls.__name__} takes at least 2 modalities; got 1: x"):
        cls(small_modalities("x"), 3, target="x")


@BOTH
@pytest.mark.parametrize(("names", "target", "targets"), DIRECTIONS, ids=str)
def test_saving_and_copying_keep_the_direction(cls, names, target, targets, tmp_path):
    model, batch = _make(cls, names, target), small_batch(names)
    copy = cls.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    model.save(tmp_path / "model.keras")
    for other in (copy, keras.saving.load_model(tmp_path / "model.keras")):
        other.run_eagerly = True
        assert type(other) is cls
        assert (other.targets, other.conditions) == (targets, [name for name in names if name not in targets])
        assert other.get_config() == model.get_config()
        np.testing.assert_array_equal(other.elbo(batch, seed=1), model.elbo(batch, seed=1))
        for observed in (batch, _given(model, batch)):
            predicted, expected = (m.predict(observed, verbose=0) for m in (other, model))
            assert list(predicted) == targets
            for name in targets:
                np.testing.assert_array_equal(predicted[name], expected[name])


@BOTH
def test_a_model_of_bfloat16_networks_answers_the_same_when_loaded_under_float32(cls, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, batch = _make(cls), small_batch()
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    options = {"seed": 1} if cls is tj.CMMA else {"seed": 1, "iterated_sampling": tj.IteratedSampling(2, "zeros")}
    generated = loaded.generate(_given(loaded, batch), **options)["x"]
    assert generated.dtype == tf.float32
    np.testing.assert_allclose(generated, model.generate(_given(model, batch), **options)["x"], atol=0.05)


@pytest.mark.parametrize("conditions", ["w", ["w"]])
def test_conditions_of_any_model_are_kept_by_its_configuration(conditions):
    model = tj.JMVAE(small_modalities(), 2, conditions=conditions)
    again = tj.JMVAE.from_config(model.get_config())
    assert (model.targets, model.conditions) == (again.targets, again.conditions) == (["x"], ["w"])


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValueError, match="conditions: unknown modality 'y'; the modalities are 'x', 'w'"):
        tj.JMVAE(small_modalities(), 2, conditions=["y"])
