"""Heads of token sequences: densities against brute force over all texts, samples, modes, and whole models."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import set_seeds

import tf_jmvae as tj
from tf_jmvae import heads, networks
from tf_jmvae.random import sampling

LENGTH, VOCABULARY = 3, 4
SEED = tf.constant([3, 4])
by_head = pytest.mark.parametrize("kind", [heads.Tokens, heads.AutoregressiveTokens], ids=["tokens", "autoregressive"])


def _head(kind, features_dim=5, scale=1.5, length=LENGTH, vocabulary=VOCABULARY):
    options = {"units": 6} if kind is heads.AutoregressiveTokens else {}
    head = kind(vocabulary_size=vocabulary, event_shape=(length,), **options)
    head.build((None, features_dim))
    set_seeds(2)
    for variable in head.trainable_variables:
        variable.assign(keras.random.normal(variable.shape, stddev=scale))
    return head


def _p(kind, rows=2, **options):
    return _head(kind, **options)(tf.constant(np.random.default_rng(0).normal(size=(rows, 5)), tf.float32))


def _texts():
    """Every text: tokens, then a 0 unless they fill the length."""
    found = []
    for size in range(LENGTH + 1):
        for tokens in itertools.product(range(1, VOCABULARY), repeat=size):
            found.append([*tokens, *[0] * (LENGTH - size)])
    return np.array(found, np.float32)


def _densities(p):
    """Log p of every text `[texts, rows]`."""
    return p.log_prob(_texts()[:, None]).numpy()


@by_head
def test_the_densities_of_all_texts_add_up_to_one(kind):
    np.testing.assert_allclose(np.exp(_densities(_p(kind))).sum(axis=0), 1, rtol=1e-5)


def test_a_density_is_that_of_the_tokens_up_to_the_first_end():
    p = _p(heads.Tokens)
    log_p = tf.nn.log_softmax(p.logits).numpy()
    expected = {(2, 1, 3): [0, 1, 2], (2, 0, 0): [0, 1], (0, 0, 0): [0]}
    for text, places in expected.items():
        found = p.log_prob(np.array([text] * 2, np.float32))
        np.testing.assert_allclose(found, sum(log_p[:, t, text[t]] for t in places), rtol=1e-5)


def test_each_token_is_given_those_before_it():
    head = _head(heads.AutoregressiveTokens)
    features = tf.constant(np.random.default_rng(0).normal(size=(1, 5)), tf.float32)
    kernel, bias = head._projections[0].get_weights()
    state, log_p, text = np.tanh(features @ kernel + bias), 0.0, [2, 3, 1]
    for before, token in zip([0, *text], text, strict=False):
        state = head.cell(head.embedding.embeddings.numpy()[[before]], [state])[0]
        log_p += tf.nn.log_softmax(state @ head.logits.kernel + head.logits.bias).numpy()[0, token]
    np.testing.assert_allclose(head(features).log_prob(np.array([text], np.float32)), [log_p], rtol=1e-4)


@by_head
def test_samples_have_the_densities(kind):
    p, count = _p(kind), 20_000
    samples = p.sample(count, seed=SEED).numpy()
    assert _head(kind).in_support(samples).all()
    for row in range(2):
        for text, log_density in zip(_texts(), _densities(p)[:, row], strict=True):
            expected = np.exp(log_density)
            found = (samples[:, row] == text).all(axis=-1).mean()
            assert abs(found - expected) < 5 * np.sqrt(expected / count) + 1e-4


@by_head
def test_rows_with_seeds_of_their_own_do_not_depend_on_the_batch(kind):
    p, seeds = _p(kind, rows=3), tf.constant([[1, 2], [3, 4], [1, 2]])
    together = sampling.draw(p, seeds, 500)
    assert together.shape == (3, 500, LENGTH)
    features = tf.constant(np.random.default_rng(0).normal(size=(3, 5)), tf.float32)
    np.testing.assert_array_equal(together[1:2], sampling.draw(_head(kind)(features[1:2]), seeds[1:2], 500))
    assert len(np.unique(together[0], axis=0)) > 3


def test_the_mode_is_the_most_probable_text():
    for seed in range(5):
        logits = tf.constant(np.random.default_rng(seed).normal(size=(6, LENGTH, VOCABULARY)) * 2, tf.float32)
        p = _head(heads.Tokens).distribution(logits)
        np.testing.assert_array_equal(p.mode(), _texts()[p.log_prob(_texts()[:, None]).numpy().argmax(axis=0)])
        np.testing.assert_array_equal(p.mean(), p.mode())


def test_the_mean_of_an_autoregressive_text_takes_the_likeliest_token_at_each_place():
    p = _p(heads.AutoregressiveTokens)
    texts, log_p = _texts(), _densities(p)
    for row, text in enumerate(p.mean().numpy()):
        for t in range(LENGTH):  # the mass of all texts that begin as this one, by their next token
            if t and text[t - 1] == 0:
                break
            begins = (texts[:, :t] == text[:t]).all(axis=1)
            mass = [np.exp(log_p[begins & (texts[:, t] == token), row]).sum() for token in range(VOCABULARY)]
            assert text[t] == np.argmax(mass)


@by_head
def test_any_leading_axes_give_one_number_each(kind):
    head = _head(kind)
    features = tf.constant(np.random.default_rng(0).normal(size=(6, 5)), tf.float32)
    p, flat = head(features, batch_shape=tf.constant([2, 3])), head(features)
    assert (p.batch_shape, p.event_shape) == ((2, 3), (LENGTH,))
    value = flat.sample(seed=SEED)
    np.testing.assert_allclose(p.log_prob(tf.reshape(value, (2, 3, -1))), tf.reshape(flat.log_prob(value), (2, 3)))
    assert p.sample(4, seed=SEED).shape == (4, 2, 3, LENGTH)
    assert sampling.draw(p, tf.constant([[1, 2], [3, 4]]), 5).shape == (2, 5, 3, LENGTH)


@by_head
def test_what_is_no_text_is_not_in_the_support(kind):
    head = _head(kind)
    texts = np.array([[1, 2, 0], [0, 0, 0], [3, 3, 3], [1, 0, 2], [4, 0, 0], [-1, 0, 0], [1.5, 0, 0]], np.float32)
    assert head.in_support(texts).all(axis=-1).tolist() == [True, True, True, False, False, False, False]


@by_head
def test_xla_gives_the_same_texts_and_densities(kind):
    head, row_seeds = _head(kind), tf.random.split(SEED, 3)
    features = tf.constant(np.random.default_rng(0).normal(size=(3, 5)), tf.float32)

    def computed():
        p = head(features)
        texts = sampling.draw(p, row_seeds, 20)
        return texts, p.mean(), p.log_prob(tf.transpose(texts, (1, 0, 2)))

    found, expected = (tf.function(computed, jit_compile=jit)() for jit in (True, False))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


# Models.

WORDS = ["end", "a", "red", "blue", "small", "large", "square", "circle"]


def _sentences(count):
    """Texts such as "a small red circle", and the class of their last two words."""
    random = np.random.default_rng(0)
    size, color, shape = (random.integers(0, 2, count) for _ in range(3))
    texts = np.zeros((count, 5), np.float32)
    with_size = random.random(count) < 0.5
    for row in range(count):
        words = [1, *([4 + size[row]] if with_size[row] else []), 2 + color[row], 6 + shape[row]]
        texts[row, : len(words)] = words
    return texts, np.eye(4, dtype=np.float32)[2 * color + shape]


def _model(kind, **options):
    set_seeds(1)
    settings = {"units": 32} if kind is heads.AutoregressiveTokens else {}
    text = tj.Modality(
        (5,),
        kind(vocabulary_size=len(WORDS), **settings),
        encoder=networks.TextEncoder(len(WORDS), 32),
        decoder=networks.mlp([64]),
        **options,
    )
    label = tj.Modality((4,), "categorical", encoder=networks.mlp([32]), decoder=networks.mlp([32]), weight=3.0)
    return tj.JMVAEKL({"text": text, "label": label}, 4, alpha=0.5)


@by_head
def test_a_model_learns_to_write_of_a_class_and_to_read_the_class(kind):
    texts, labels = _sentences(400)
    model = _model(kind)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit({"text": texts, "label": labels}, epochs=40, batch_size=50, verbose=0)
    read = model.generate({"text": texts[:100]}, latent="mean", seed=0)["label"].numpy().argmax(-1)
    assert np.mean(read == labels[:100].argmax(-1)) > 0.95
    written = model.generate({"label": np.eye(4, dtype=np.float32)}, num_samples=25, output="sample", seed=1)["text"]
    classes = [{2 + color, 6 + shape} for color in range(2) for shape in range(2)]
    right = [classes[k] <= {*text} for k, of_class in enumerate(written.numpy()) for text in of_class]
    assert np.mean(right) > (0.8 if kind is heads.AutoregressiveTokens else 0.6)


@by_head
def test_a_model_of_texts_is_saved_and_exported(kind, tmp_path):
    texts, labels = _sentences(8)
    model = _model(kind)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    opened = tj.open_model(model.export(tmp_path / "exported"))
    options = {"seed": 5, "num_samples": 3}
    expected = model.generate({"text": texts}, latent="mean")["label"]
    np.testing.assert_allclose(loaded.generate({"text": texts}, latent="mean")["label"], expected, atol=1e-6)
    np.testing.assert_allclose(opened.generate({"text": texts}, latent="mean")["label"], expected, atol=1e-5)
    written = opened.generate({"label": labels}, **options)["text"]
    assert written.shape == (8, 3, 5)
    assert model.modalities["text"].spec.kind == "text"
    np.testing.assert_array_equal(written, opened.generate({"label": labels}, **options)["text"])
    z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(opened.decode(z)["text"], model.likelihoods(tf.constant(z))["text"].mean())


@by_head
def test_rows_without_a_text_are_learned_from(kind):
    texts, labels = _sentences(6)
    model = _model(kind, optional=True)
    whole = model.objective({"text": tf.constant(texts), "label": tf.constant(labels)}, SEED)
    texts[::2] = np.nan
    terms = model.objective({"text": tf.constant(texts), "label": tf.constant(labels)}, SEED)
    np.testing.assert_allclose(terms["log_p_text"].value[1::2], whole["log_p_text"].value[1::2], rtol=1e-5)
    np.testing.assert_array_equal(terms["log_p_text"].value[::2], 0)
    assert np.isfinite(terms["log_p_label"].value).all()


@by_head
def test_a_model_of_rows_without_a_text_is_exported(kind, tmp_path):
    texts, labels = _sentences(6)
    texts[::2], texts[1] = np.nan, 0
    model = _model(kind, optional=True)
    opened = tj.open_model(model.export(tmp_path / "exported"))
    found = opened.log_likelihood({"text": texts, "label": labels}, seed=1)
    expected = tj.open_model(model).log_likelihood({"text": texts, "label": labels}, seed=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    filled = opened.generate({"text": texts, "label": labels}, seed=1)["text"]
    assert model.modalities["text"].head.in_support(filled).all()


@by_head
def test_noise_is_any_text_and_needs_no_weights(kind):
    head = kind(vocabulary_size=VOCABULARY, event_shape=(LENGTH,))
    noise = head.noise(tf.constant(2))
    np.testing.assert_allclose(
        noise.log_prob(np.array([[3, 1, 2], [1, 0, 0]], np.float32)), [-3 * np.log(4), -2 * np.log(4)]
    )
    assert not head.weights


def test_texts_of_other_values_are_refused_with_what_was_expected():
    texts, labels = _sentences(4)
    texts[2, 0] = 9
    model = _model(heads.Tokens)
    model.compile("adam")
    with pytest.raises(
        ValueError, match=r"'text' holds 9.0 at index \(2, 0\).*whole numbers from 0 to 7, and after a 0"
    ):
        model.fit({"text": texts, "label": labels}, verbose=0)


def test_tokens_beyond_256_survive_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    encoder = networks.TextEncoder(2000, 8)
    texts = np.array([[1001.0, 3.0, 0.0], [1002.0, 3.0, 0.0]], np.float32)
    modality = tj.Modality((3,), heads.Tokens(vocabulary_size=2000), encoder=encoder, decoder=networks.mlp([4]))
    model = tj.VAE({"text": modality}, 2)
    means = model.posterior({"text": texts}).mean().numpy()
    assert not np.allclose(means[0], means[1])


@pytest.mark.parametrize("kind", ["gru", "mean"])
def test_an_encoder_does_not_read_the_padding(kind):
    encoder = networks.TextEncoder(9, 6, kind=kind)
    short, long = np.array([[3.0, 4.0, 0.0]]), np.array([[3.0, 4.0, 0.0, 0.0, 0.0]])
    found = encoder(short)
    assert found.shape == (1, 6)
    np.testing.assert_allclose(found, encoder(long), atol=1e-6)
    assert not np.allclose(found, encoder(np.array([[4.0, 3.0, 0.0]])) if kind == "gru" else encoder(long + 1))
    assert np.isfinite(encoder(np.zeros((1, 3)))).all()


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="vocabulary_size"):
        heads.Tokens(vocabulary_size=0)
    with pytest.raises(ValueError, match="vocabulary_size must be 2 or more"):
        heads.Tokens(vocabulary_size=1)
    with pytest.raises(ValueError, match=r"has one axis, its largest length, such as \(12,\); got \(2, 3\)"):
        tj.Modality((2, 3), heads.Tokens(vocabulary_size=5))
    with pytest.raises(ValueError, match="kind"):
        networks.TextEncoder(9, 6, kind="lstm")


@by_head
def test_an_exported_model_refuses_what_is_no_text(kind, tmp_path):
    texts, _ = _sentences(4)
    texts[2, 0] = len(WORDS)
    opened = tj.open_model(_model(kind).export(tmp_path / "exported"))
    assert opened.spec.modalities["text"].vocabulary_size == len(WORDS)
    with pytest.raises(ValueError, match="whole numbers from 0 to 7, and after a 0"):
        opened.generate({"text": texts}, seed=0)
