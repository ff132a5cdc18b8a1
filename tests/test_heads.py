"""Heads against SciPy's densities, and what all of them promise."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

import tf_jmvae as tj
from tf_jmvae import heads, networks
from tf_jmvae.random import sampling
from tf_jmvae.registry import LIKELIHOODS

FEATURES = tf.constant(np.random.default_rng(0).normal(size=(6, 7)), tf.float32)


def _built(head, event_shape):
    head = head.with_event_shape(event_shape)
    head.build((None, 7))
    return head


def _raw(head, index=0):
    """The head's linear outputs, computed by hand."""
    kernel, bias = head.get_weights()[2 * index : 2 * index + 2]
    return (FEATURES.numpy() @ kernel + bias).reshape(6, *head.event_shape)


def _sum(log_density):
    return log_density.reshape(6, -1).sum(axis=-1)


def test_bernoulli_density():
    head = _built(heads.Bernoulli(), (2, 3, 1))
    value = np.random.default_rng(1).integers(0, 2, (6, 2, 3, 1)).astype(np.float32)
    expected = _sum(stats.bernoulli(special.expit(_raw(head))).logpmf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_bernoulli_density_of_a_grey_value_is_the_expectation_over_the_binary_one():
    head = _built(heads.Bernoulli(), (4,))
    p = head(FEATURES)
    grey = np.full((6, 4), 0.3, np.float32)
    expected = 0.3 * p.log_prob(np.ones((6, 4), np.float32)) + 0.7 * p.log_prob(np.zeros((6, 4), np.float32))
    np.testing.assert_allclose(p.log_prob(grey), expected, rtol=1e-5)


def test_categorical_density_and_normalisation():
    head = _built(heads.Categorical(), (5,))
    log_p = np.stack([head(FEATURES).log_prob(np.eye(5, dtype=np.float32)[[k] * 6]) for k in range(5)], axis=-1)
    np.testing.assert_allclose(log_p, special.log_softmax(_raw(head), axis=-1), atol=1e-5)


def test_categorical_sequences_are_independent_along_the_first_axes():
    head = _built(heads.Categorical(), (3, 4))
    tokens = np.random.default_rng(1).integers(0, 4, (6, 3))
    by_token = np.take_along_axis(special.log_softmax(_raw(head), axis=-1), tokens[..., None], axis=-1)
    one_hot = np.eye(4, dtype=np.float32)[tokens]
    np.testing.assert_allclose(head(FEATURES).log_prob(one_hot), by_token.sum(axis=(1, 2)), atol=1e-5)


def test_gaussian_density_takes_softplus_as_the_variance():
    head = _built(heads.Gaussian(), (3,))
    value = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    deviation = np.sqrt(np.logaddexp(0, _raw(head, 1)))
    expected = _sum(stats.norm(_raw(head, 0), deviation).logpdf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_gaussian_of_fixed_variance_with_tanh_mean():
    head = _built(heads.Gaussian(variance=2.0, mean_activation="tanh"), (3,))
    value = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    expected = _sum(stats.norm(np.tanh(_raw(head)), np.sqrt(2.0)).logpdf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)
    assert len(head.get_weights()) == 2


def test_laplace_density():
    head = _built(heads.Laplace(scale=0.75), (3,))
    value = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    expected = _sum(stats.laplace(_raw(head), 0.75).logpdf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_poisson_density_of_counts():
    head = _built(heads.Poisson(), (4,))
    value = np.random.default_rng(1).poisson(2.0, (6, 4)).astype(np.float32)
    expected = _sum(stats.poisson(np.exp(_raw(head))).logpmf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)


def test_negative_binomial_density_is_that_of_a_mean_and_an_inverse_dispersion():
    head = _built(heads.NegativeBinomial(), (4,))
    value = np.random.default_rng(1).poisson(2.0, (6, 4)).astype(np.float32)
    mean, r = np.exp(_raw(head)), np.exp(_raw(head, 1)) + 1e-3
    expected = _sum(stats.nbinom(r, r / (r + mean)).logpmf(value))
    np.testing.assert_allclose(head(FEATURES).log_prob(value), expected, rtol=1e-4)
    np.testing.assert_allclose(head(FEATURES).mean(), mean, rtol=1e-4)
    np.testing.assert_allclose(head(FEATURES).variance(), mean + mean**2 / r, rtol=1e-4)
    mode = stats.nbinom(r, r / (r + mean)).pmf(np.arange(200)[:, None, None]).argmax(axis=0)
    np.testing.assert_array_equal(head(FEATURES).mode(), mode)


def test_beta_density_and_moments():
    head = _built(heads.Beta(), (4,))
    value = np.random.default_rng(1).uniform(0.01, 0.99, (6, 4)).astype(np.float32)
    c1, c0 = (np.exp(_raw(head, index)) + 0.01 for index in range(2))
    law, p = stats.beta(c1, c0), head(FEATURES)
    np.testing.assert_allclose(p.log_prob(value), _sum(law.logpdf(value)), rtol=1e-4)
    np.testing.assert_allclose(p.mean(), law.mean(), rtol=1e-4)
    np.testing.assert_allclose(p.variance(), law.var(), rtol=1e-4)


@pytest.mark.parametrize(
    ("c1", "c0", "mode"), [(3.0, 2.0, 2 / 3), (0.5, 2.0, 0), (2.0, 0.5, 1), (0.4, 0.2, 1), (0.2, 0.4, 0), (1, 1, 1)]
)
def test_the_mode_of_a_beta_distribution_is_inside_and_where_the_density_is_largest(c1, c0, mode):
    head = heads.Beta(event_shape=(1,))
    p = head.distribution(*(tf.constant([[np.log(c - 0.01)]], tf.float32) for c in (c1, c0)))
    np.testing.assert_allclose(p.mode(), [[mode]], rtol=1e-5, atol=1e-7)
    assert head.in_support(p.mode().numpy()).all()
    if c1 != 1:
        grid = np.linspace(1e-4, 1 - 1e-4, 1001, dtype=np.float32)[:, None, None]
        assert (p.log_prob(p.mode()) >= p.log_prob(grid)).numpy().all()


def _cuts(head):
    """The cut points by hand."""
    raw = head.raw_cuts.numpy().astype(float)
    return np.cumsum(np.append(raw[..., :1], np.logaddexp(0, raw[..., 1:]) + 1e-4, axis=-1), axis=-1)


def test_ordinal_density_is_a_difference_of_logistic_functions():
    head = _built(heads.Ordinal(), (3, 5))
    head.raw_cuts.assign(np.random.default_rng(1).normal(size=(3, 4)))
    kernel, bias = head._projections[0].get_weights()
    location = (FEATURES.numpy() @ kernel + bias)[..., None]  # [6, 3, 1]: one number for each event
    cumulative = special.expit(_cuts(head) - location)
    edges = np.concatenate([np.zeros((6, 3, 1)), cumulative, np.ones((6, 3, 1))], axis=-1)
    probabilities = np.diff(edges)
    np.testing.assert_allclose(head(FEATURES).mean(), probabilities, rtol=1e-4)
    classes = np.random.default_rng(2).integers(0, 5, (6, 3))
    expected = np.log(np.take_along_axis(probabilities, classes[..., None], axis=-1)).sum(axis=(1, 2))
    np.testing.assert_allclose(head(FEATURES).log_prob(np.eye(5, dtype=np.float32)[classes]), expected, rtol=1e-4)
    np.testing.assert_array_equal(head(FEATURES).mode().numpy().argmax(-1), probabilities.argmax(-1))


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_ordered_classes_start_equally_likely_and_a_larger_location_is_a_higher_class(num_classes):
    head = _built(heads.Ordinal(), (num_classes,))
    np.testing.assert_allclose(head.distribution(tf.zeros((1, 1))).mean(), np.full((1, num_classes), 1 / num_classes))
    expected = head.distribution(tf.constant([[-2.0], [-1.0], [0.0], [1.0], [2.0]])).mean().numpy() @ np.arange(
        num_classes
    )
    assert (np.diff(expected) > 0).all()


def test_an_ordinal_head_has_one_number_for_each_event_and_cut_points_for_all():
    assert [w.shape for w in _built(heads.Ordinal(), (5,)).weights] == [(4,), (7, 1), (1,)]
    assert [w.shape for w in _built(heads.Ordinal(), (3, 5)).weights] == [(3, 4), (7, 3), (3,)]
    with pytest.raises(
        ValueError, match=r"There must be two or more ordered classes along the last axis; got shape \(1,\)"
    ):
        tj.Modality((1,), "ordinal")
    with pytest.raises(ValueError, match="optional='entries' needs a likelihood that scores each entry by itself"):
        tj.Modality((5,), "ordinal", optional="entries")


def test_cut_points_are_learned():
    """Of grades that are a cut scale, the cut points are those of the scale, and the location is the scale's."""
    random = np.random.default_rng(0)
    x = random.normal(size=(4000, 1)).astype(np.float32)
    cuts = np.array([-1.0, -0.5, 2.0])
    grade = (x + random.logistic(scale=0.5, size=x.shape) > cuts).sum(axis=-1)
    head = heads.Ordinal(event_shape=(4,))
    head.build((None, 1))
    optimizer, grades = keras.optimizers.Adam(0.1), tf.one_hot(grade, 4)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(head(x).log_prob(grades))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, head.trainable_variables), head.trainable_variables, strict=True)
        )

    for _ in range(200):
        step()
    (slope,), bias = head._projections[0].get_weights()
    np.testing.assert_allclose(slope, 2, rtol=0.15)
    np.testing.assert_allclose((_cuts(head) - bias) / slope, cuts, atol=0.15)


@pytest.mark.parametrize("head", [heads.NegativeBinomial(), heads.Beta(), heads.Ordinal()], ids=lambda head: head.name)
def test_densities_and_gradients_are_finite_at_extreme_parameters(head):
    built = _built(head, (3,))
    extremes = [-1e30, -1e4, -90.0, -20.0, 0.0, 20.0, 90.0, 1e4, 1e30]
    values = {
        "negative_binomial": [0, 1, 100, 1e6],
        "beta": [1.2e-38, 1e-10, 0.5, 1 - 2.0**-24],
        "ordinal": np.eye(3),
    }[head.likelihood]
    count = len(built.parameter_names)
    raw = np.array(np.meshgrid(*[extremes] * count)).reshape(count, -1)
    parameters = [
        tf.Variable(np.broadcast_to(one[:, None], (len(one), *built.parameter_shape(name))).astype(np.float32))
        for one, name in zip(raw, built.parameter_names, strict=True)
    ]
    for value in values:
        with tf.GradientTape() as tape:
            log_p = built.distribution(*parameters).log_prob(np.broadcast_to(np.float32(value), (len(raw[0]), 3)))
        assert np.isfinite(log_p).all(), value
        variables = [*parameters, *([built.raw_cuts] if head.likelihood == "ordinal" else [])]
        assert all(np.isfinite(gradient).all() for gradient in tape.gradient(log_p, variables))
    p = built.distribution(*parameters)
    for found in (p.mean(), p.mode(), p.sample(seed=(1, 2)), sampling.draw(p, tf.random.split((1, 2), len(raw[0])))):
        assert np.isfinite(found).all()
        if head.likelihood == "beta":
            assert (found.numpy() >= 0).all()
    assert built.in_support(p.sample(3, seed=(3, 4)).numpy()[0]).all()


@pytest.mark.parametrize("log_mean", [-3.0, 0.0, 4.0, 9.0])
@pytest.mark.parametrize("log_r", [-6.0, 0.0, 5.0, 20.0])
def test_negative_binomial_densities_keep_their_digits(log_mean, log_r):
    p = _built(heads.NegativeBinomial(), (1,)).distribution(tf.constant([[log_mean]]), tf.constant([[log_r]]))
    mean, r = np.exp(log_mean), np.exp(min(log_r, 10)) + 1e-3
    value = np.unique(stats.nbinom(r, r / (r + mean)).ppf([0.001, 0.1, 0.5, 0.9, 0.999]))
    expected = stats.nbinom(r, r / (r + mean)).logpmf(value)
    np.testing.assert_allclose(
        p.log_prob(value[:, None].astype(np.float32)), expected, rtol=1e-4, atol=2e-2 * min(mean, 1e3) / 1e3 + 1e-5
    )


ALL = [
    heads.Bernoulli(),
    heads.Beta(),
    heads.Categorical(),
    heads.Gaussian(),
    heads.Gaussian(variance=0.5),
    heads.Laplace(),
    heads.NegativeBinomial(),
    heads.Ordinal(),
    heads.Poisson(),
]


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_log_density_is_one_number_per_example_with_any_leading_axes(head):
    built = _built(head, (2, 3))
    features = tf.reshape(tf.repeat(FEATURES, 2, axis=0), (12, 7))
    p = built(features, batch_shape=tf.constant([6, 2]))
    assert p.batch_shape == (6, 2)
    assert p.event_shape == (2, 3)
    value = built.noise(12).sample(seed=(1, 2))
    separate = built(features).log_prob(value)
    np.testing.assert_allclose(p.log_prob(tf.reshape(value, (6, 2, 2, 3))), tf.reshape(separate, (6, 2)), rtol=1e-5)


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_samples_and_noise_lie_in_the_support_and_have_the_mean(head):
    built = _built(head, (2, 3))
    p = built(FEATURES)
    samples = p.sample(20_000, seed=(3, 4)).numpy()
    assert built.in_support(samples[0]).all()
    assert built.in_support(built.noise(5).sample(seed=(1, 2)).numpy()).all()
    error = samples.std(axis=0) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - p.mean()), 5 * error + 1e-6)


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_config_makes_an_equal_head(head):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert again.get_config() == head.get_config()


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.name)
def test_heads_compute_in_float32_under_mixed_precision(head):
    keras.config.set_dtype_policy("mixed_bfloat16")
    head = _built(head, (3,))
    p = head(tf.cast(FEATURES, tf.bfloat16))
    assert p.mean().dtype == p.sample(seed=(1, 2)).dtype == tf.float32
    assert {weight.dtype for weight in head.weights} == {"float32"}


def test_gradient_stays_finite_where_the_variance_underflows():
    head = _built(heads.Gaussian(), (1,))
    raw = tf.Variable([[-200.0]])
    with tf.GradientTape() as tape:
        loss = head.distribution(tf.zeros((1, 1)), raw).log_prob(tf.zeros((1, 1)))
    assert np.isfinite(tape.gradient(loss, raw)).all()


def test_a_projection_may_be_any_layer():
    head = heads.Bernoulli(projection=keras.layers.Conv2DTranspose(1, 4, strides=2, padding="same"))
    decoder = keras.Sequential([keras.layers.Dense(12), keras.layers.Reshape((2, 2, 3))])
    modality = tj.Modality((4, 4, 1), head, decoder=decoder)
    model = tj.VAE({"x": modality}, 2)
    transposed = model.decoders["x"].head.get_weights()
    assert [w.shape for w in transposed] == [(4, 4, 1, 3), (1,)]
    assert model.likelihoods(tf.zeros((3, 5, 2)))["x"].mean().shape == (3, 5, 4, 4, 1)


def _shaped(*channels, size=8, activation=None):
    """A decoder that gives an image in its shape."""
    return keras.Sequential(
        [keras.layers.Dense(4 * 4 * 2), keras.layers.Reshape((4, 4, 2))]
        + [keras.layers.Conv2DTranspose(c, 3, strides=size // 4, padding="same") for c in channels]
        + ([keras.layers.Activation(activation)] if activation else [])
    )


def _decoder(event_shape, likelihood, decoder):
    return tj.VAE(
        {"x": tj.Modality(event_shape, likelihood, encoder=tj.networks.mlp([4]), decoder=decoder)}, 4
    ).decoders["x"]


@pytest.mark.parametrize("size", [8, 64])
def test_a_decoder_that_gives_the_events_shape_needs_no_projection(size):
    channels = 1 if size == 8 else 3
    decoder = _decoder((size, size, channels), "bernoulli", _shaped(channels, size=size))
    assert decoder.count_params() == (4 + 1) * 32 + 9 * 2 * channels + channels
    z = tf.constant([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_array_equal(decoder(z).distribution.logits, decoder.network(z))
    assert decoder(tf.zeros((2, 3, 4))).batch_shape == (2, 3)


def test_parameters_stand_side_by_side_along_the_last_axis():
    decoder = _decoder((8, 8, 3), "gaussian", _shaped(6, size=8))
    z = tf.constant([[0.1, 0.2, 0.3, 0.4]])
    features = decoder.network(z).numpy()
    np.testing.assert_array_equal(decoder(z).mean(), features[..., :3])
    np.testing.assert_allclose(decoder(z).variance(), np.logaddexp(0, features[..., 3:]), rtol=1e-5)


def test_features_that_only_happen_to_be_as_many_get_a_dense_layer():
    """The features of `mlp([512, 10])` of ten classes have passed a rectifier, and are no logits."""
    flat = _decoder((8,), "gaussian", tj.networks.mlp([8]))
    assert flat.count_params() == (4 + 1) * 8 + 2 * (8 + 1) * 8
    flattened = _decoder((8, 8, 1), "bernoulli", tj.networks.mlp([64]))
    assert flattened.count_params() == (4 + 1) * 64 + 65 * 64
    wanted = _decoder((8, 8, 1), heads.Bernoulli(projection=None), _shaped(1))
    assert wanted.count_params() == (4 + 1) * 32 + 19 + 65 * 64


def test_features_in_the_events_shape_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    decoder = _decoder((8, 8, 1), "bernoulli", _shaped(1))
    assert decoder.network.compute_dtype == "bfloat16"
    assert decoder(tf.zeros((1, 4))).log_prob(tf.zeros((1, 8, 8, 1))).dtype == tf.float32


@pytest.mark.parametrize(
    ("event_shape", "head", "decoder", "message"),
    [
        (
            (8, 8, 1),
            "bernoulli",
            _shaped(1, size=4),
            r"features of shape \(4, 4, 1\).*they must have shape \(8, 8, 1\)",
        ),
        ((2, 8, 8), "bernoulli", _shaped(2), r"features of shape \(8, 8, 2\).*they must have shape \(2, 8, 8\)"),
        (
            (8, 8, 2),
            "gaussian",
            _shaped(2),
            r"for mean and variance they must have shape \(8, 8, 4\).*of 32,768 weights",
        ),
        (
            (8, 8, 1),
            "bernoulli",
            _shaped(1, activation="sigmoid"),
            r"ends in sigmoid, but a Bernoulli head reads logits",
        ),
        (
            (8, 8, 2),
            heads.Gaussian(),
            _shaped(4, activation="tanh"),
            r"ends in tanh, but a Gaussian head reads mean and",
        ),
        (
            (9, 9, 1),
            heads.Bernoulli(projection=networks.upsampling(1)),
            _shaped(2),
            r"gives \(16, 16, 1\).*is \(9, 9, 1\)",
        ),
        (
            (3, 8, 8),
            heads.Bernoulli(projection=networks.upsampling(3)),
            _shaped(2, size=4),
            r"gives \(8, 8, 3\).*\(3, 8, 8\)",
        ),
        ((8, 8, 1), heads.Bernoulli(projection=keras.layers.Dense(9)), _shaped(1), r"gives \(8, 8, 9\).*\(8, 8, 1\)"),
    ],
)
@pytest.mark.parametrize("kind", [tj.VAE, tj.JMVAEKL, tj.CVAE])
def test_a_decoder_of_another_size_or_layout_is_named_with_what_came_and_what_is_wanted(
    kind, event_shape, head, decoder, message
):
    modalities = {"x": tj.Modality(event_shape, head, decoder=decoder), "w": tj.Modality((2,), "categorical")}
    if kind is tj.VAE:
        modalities.pop("w")
    with pytest.raises(ValueError, match=f"(?s)^The decoder of modality 'x'.*{message}"):
        kind(modalities, 4, **({"target": "x"} if kind is tj.CVAE else {}))


def test_the_activation_of_a_location_is_the_users():
    decoder = _decoder((8, 8, 1), heads.Gaussian(variance=1.0), _shaped(1, activation="tanh"))
    assert np.abs(decoder(100 * tf.ones((1, 4))).mean()).max() <= 1
    assert not decoder.head.weights


@pytest.mark.parametrize("flat", [True, False])
def test_a_projection_may_leave_out_what_a_shape_does_not_need(flat):
    projection = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(64)])
    if not flat:
        projection.add(keras.layers.Reshape((8, 8)))
    assert _decoder((8, 8, 1), heads.Bernoulli(projection=projection), _shaped(2))(tf.zeros((1, 4))).event_shape == (
        8,
        8,
        1,
    )


def test_a_file_from_when_every_head_had_a_projection_answers_as_then():
    model = keras.saving.load_model(pathlib.Path(__file__).parent / "files" / "dense_heads.keras")
    assert model.count_params() == 793
    p = model.likelihoods(tf.constant([[0.5, -1.0]]))
    expected = {"x": [0.54313856, 0.3342546, 0.43085298], "y": [-0.10483927, 0.10621293, 0.6165396]}
    for name, values in expected.items():
        np.testing.assert_allclose(p[name].mean().numpy().ravel()[:3], values, rtol=1e-5)
    again = type(model).from_config(model.get_config())
    assert again.count_params() == 793


def _composite():
    inner = keras.Sequential([keras.layers.Dense(6, "relu"), keras.layers.LayerNormalization()])
    return keras.Sequential([inner, _MakesLayers(), keras.layers.Dense(3)])


@keras.saving.register_keras_serializable("tests")
class _MakesLayers(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(5)

    def build(self, shape):
        self.first.build(shape)
        self.second = keras.layers.Dense(4)
        self.second.build((None, 5))

    def call(self, inputs):
        return self.second(self.first(inputs))


def _functional():
    inputs = keras.Input((7,))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(5, "tanh")(inputs)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("projection", [_composite, _functional])
def test_every_layer_of_a_projection_computes_in_float32(projection, policy):
    keras.config.set_dtype_policy(policy)
    head = _built(heads.Laplace(projection=projection()), (3,))
    (made,) = head._projections
    for layer in made._flatten_layers():
        assert layer.compute_dtype == layer.variable_dtype == "float32", layer.name
    assert {weight.dtype for weight in made.weights} == {"float32"}
    location = head(FEATURES).mean()
    assert location.dtype == tf.float32
    np.testing.assert_allclose(location, made(FEATURES))
    assert (location.numpy() != tf.cast(tf.cast(location, tf.bfloat16), tf.float32).numpy()).any()
    assert keras.config.dtype_policy().name == policy


def _unregistered(x):
    return x


@keras.saving.register_keras_serializable("tests")
def _registered(x):
    return 3 * tf.tanh(x)


@pytest.mark.filterwarnings("ignore:.*includes a `lambda`")
@pytest.mark.parametrize(
    "head",
    [
        heads.Gaussian(mean_activation=lambda x: 2 * tf.tanh(x)),
        heads.Gaussian(mean_activation=_unregistered),
        heads.Laplace(mean_activation=lambda x: x),
        heads.Bernoulli(projection=keras.layers.Lambda(lambda x: x)),
        heads.Bernoulli(projection=keras.Sequential([keras.layers.Dense(5, lambda x: x)])),
    ],
)
def test_a_head_that_could_not_be_loaded_is_refused(head):
    with pytest.raises(ValueError, match=r"The (head|network) .* cannot be made again from its config, .* no lambdas"):
        tj.VAE({"x": tj.Modality((5,), head)}, 2)


def test_registered_functions_and_numbers_of_any_kind_are_loaded(tmp_path):
    head = heads.Gaussian(mean_activation=_registered, variance=tf.constant(0.5))
    model = tj.VAE({"x": tj.Modality((5,), head, encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))}, 2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    z = 100 * tf.ones((1, 2))
    np.testing.assert_array_equal(again.likelihoods(z)["x"].mean(), model.likelihoods(z)["x"].mean())
    np.testing.assert_allclose(again.likelihoods(z)["x"].variance(), 0.5 * np.ones((1, 5)))


@pytest.mark.parametrize("outputs", [list, lambda made: dict(zip("ab", made, strict=True))], ids=["list", "dict"])
@pytest.mark.parametrize("kind", [tj.JMVAE, tj.JMVAEKL, tj.HierarchicalJMVAE])
def test_an_encoder_with_several_outputs_is_refused_in_a_sentence(kind, outputs):
    inputs = keras.Input((5,))
    encoder = keras.Model(inputs, outputs([keras.layers.Dense(4)(inputs), keras.layers.Dense(4)(inputs)]))
    modalities = {"v": tj.Modality((5,), "gaussian", encoder=encoder), "w": tj.Modality((2,), "categorical")}
    with pytest.raises(
        ValueError, match=r"^The encoder of modality 'v' must give one tensor .* got a (list|dict) of 2\."
    ) as error:
        kind(modalities, 2)
    assert "\n" not in str(error.value)


def test_a_likelihood_by_name_is_the_head_as_an_object():
    by_name, as_object = (tj.Modality((10,), likelihood) for likelihood in ("categorical", heads.Categorical()))
    assert by_name.likelihood == as_object.likelihood == "categorical"
    again = tj.Modality.from_config(as_object.get_config())
    assert again.get_config() == as_object.get_config()
    assert again.likelihood == "categorical"


@pytest.mark.parametrize("likelihood", ["categorical", heads.Categorical()], ids=["name", "object"])
def test_a_class_needs_no_classifier_whichever_way_it_is_said(likelihood):
    small = {"encoder": tj.networks.mlp([4]), "decoder": tj.networks.mlp([4])}
    model = tj.JMVAEKL({"v": tj.Modality((2,), "gaussian", **small), "w": tj.Modality((3,), likelihood, **small)}, 2)
    data = {"v": np.zeros((6, 2), "float32"), "w": np.eye(3, dtype="float32")[[0, 1, 2] * 2]}
    scores = tj.evaluation.conditional_coherence(model, data, target="w", given=["v"], verbose=0)
    assert set(np.unique(scores.values)) <= {0, 1}


def test_a_likelihood_registers_itself():
    @heads.register("exponential")
    class Exponential(heads.Head):
        parameter_names = ("log_rate",)
        support = "numbers of 0 or more"

        def distribution(self, log_rate):
            return tfp.distributions.Independent(tfp.distributions.Exponential(tf.exp(log_rate)), len(self.event_shape))

        def in_support(self, values):
            return values >= 0

    try:
        built_in = ["autoregressive_tokens", "bernoulli", "beta", "categorical", "counts", "gaussian", "laplace"]
        assert heads.names() == tuple(sorted([*built_in, "negative_binomial", "ordinal", "tokens", "exponential"]))
        assert isinstance(heads.make("exponential"), Exponential)
        modality = tj.Modality((3,), "exponential", encoder=tj.networks.mlp([4]), decoder=tj.networks.mlp([4]))
        model = tj.VAE({"x": modality}, 2)
        again = type(model).from_config(model.get_config())  # Keras knows it too
        assert again.modalities["x"].likelihood == "exponential"
        with pytest.raises(ValueError, match=r"'exponential' cannot score. Expected numbers of 0 or more"):
            model.elbo({"x": -np.ones((2, 3), "float32")})
        with pytest.raises(ValueError, match=r"Expected one of .*'counts', 'exponential', "):
            heads.make("normal")
        with pytest.raises(ValueError, match=r"There is already a likelihood 'exponential': "):
            heads.register("exponential")(type("Other", (heads.Head,), {}))
        with pytest.raises(ValueError, match=r"'gaussian' is already Gaussian"):
            heads.register("normal")(type("Gaussian", (heads.Head,), {}))
    finally:
        LIKELIHOODS._entries.pop("exponential")
        keras.saving.get_custom_objects().pop("tf_jmvae>Exponential")


def test_unknown_likelihood_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"Unknown likelihood 'normal'.*'bernoulli', 'beta', 'categorical', 'counts', 'gaussian'"
    ):
        tj.Modality((3,), "normal")


def test_variance_and_scale_must_be_positive():
    with pytest.raises(ValueError, match=r"variance must be positive; got 0"):
        heads.Gaussian(variance=0.0)
    with pytest.raises(ValueError, match=r"scale must be positive; got -1"):
        heads.Laplace(scale=-1.0)


def test_sampling_counts_ends_even_at_rates_beyond_all_measure():
    p = _built(heads.Poisson(), (1,)).distribution(tf.constant([[1e30], [0.0]]))
    assert np.isfinite(p.sample(seed=(1, 2)).numpy()).all()
