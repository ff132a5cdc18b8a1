"""JMVAEKLGAN: who sees which loss, the losses themselves, three optimizers, and training that can be taken up again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj
from tf_jmvae.callbacks import Checkpoint

BATCH = {
    "x": np.random.default_rng(0).normal(size=(12, 8, 8, 1)).astype(np.float32),
    "w": np.random.default_rng(1).choice([-1.0, 1.0], (12, 3)).astype(np.float32),
}
CROSS_ENTROPY = keras.losses.BinaryCrossentropy(from_logits=True)


def _modalities():
    image = tj.Modality(
        (8, 8, 1),
        tj.heads.Gaussian(variance=1.0, projection=tj.networks.upsampling(1)),
        encoder=tj.networks.conv_encoder([4, 4]),
        decoder=tj.networks.conv_decoder([4], start=(2, 2)),
    )
    attributes = tj.Modality(
        (3,), tj.heads.Gaussian(variance=1.0), encoder=tj.networks.mlp([8]), decoder=tj.networks.mlp([8])
    )
    return {"x": image, "w": attributes}


def _model(**options):
    options.setdefault("discriminator", tj.networks.conv_encoder([4, 4], [8]))
    return tj.JMVAEKLGAN(_modalities(), 2, alpha=0.7, **options)


def _plain(model):
    """A JMVAEKL of the same weights."""
    options = {"subsets": model.subsets, "subset_learning": model.subset_learning, "flow": model.flow}
    plain = tj.JMVAEKL(_modalities(), 2, alpha=0.7, **options)
    if plain.shared_encoders is not None:
        plain.shared_encoders.set_weights(model.shared_encoders.get_weights())
    for ours, theirs in (
        (plain.encoder, model.encoder),
        *((plain.subset_encoders[name], model.subset_encoders[name]) for name in plain.subset_encoders),
        *((plain.decoders[name], model.decoders[name]) for name in plain.decoders),
    ):
        ours.set_weights(theirs.get_weights())
    return plain


def _variables(model):
    """Trainable ones by who is to move them."""
    others = [model.encoder, *model.subset_encoders.values(), model.decoders["w"]]
    others += [model.shared_encoders] if model.shared_encoders is not None else []
    networks = {"others": [v for layer in others for v in layer.trainable_variables]}
    networks["decoder"] = model.decoders["x"].trainable_variables
    if hasattr(model, "discriminator"):
        networks["discriminator"] = model.discriminator.trainable_variables
    return networks


def _gradients(model):
    """What one step of `fit` takes from each network's weights: at a learning rate of 1, its gradient."""
    before = {network: [v.numpy() for v in own] for network, own in _variables(model).items()}
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    model.fit(BATCH, batch_size=12, shuffle=False, verbose=0)
    return {
        network: [b - v.numpy() for b, v in zip(before[network], own, strict=True)]
        for network, own in _variables(model).items()
    }


def _copy(model, **options):
    """The same weights and noise under other options."""
    copy = _model(**options)
    copy.set_weights(model.get_weights())
    return copy


def _noise(model):
    """Seeds of z ~ q(z | x, w) and of z ~ p(z) in the next step."""
    return tf.unstack(tf.random.split(tf.convert_to_tensor(model.noise_state), 2))


def _images(model):
    """Real, reconstructed and sampled images of the next step, `[B, H, W, C]` each."""
    latent_seed, prior_seed = _noise(model)
    z = model.encoder(BATCH, training=True).sample(seed=latent_seed)
    prior = model.prior().sample(12, seed=prior_seed)
    return BATCH["x"], *(model.decoders["x"](latent, training=True).mean() for latent in (z, prior))


def _judged(model):
    """Features and logits of the three kinds of images in the next step."""
    judged = model.discriminator(tf.concat(_images(model), axis=0), training=True)
    return [tf.split(values, 3) for values in judged]


def _assert_equal(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def _largest(gradients):
    return max(np.abs(gradient).max() for gradient in gradients)


# Who sees what.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subset_learning": "follow", "flow": tj.Flow(2, units=8)},
        {"subsets": "shared"},
        {"subsets": "shared", "subset_learning": "follow", "flow": tj.Flow(2, units=8)},
    ],
    ids=["pull", "follow, flow", "shared", "shared, follow, flow"],
)
def test_encoders_and_attribute_decoder_have_exactly_the_gradient_of_jmvae_kl(options):
    model = _model(likelihood_weight=0.3, adversarial_weight=5.0, **options)
    plain, seed = _plain(model), _noise(model)[0]
    with tf.GradientTape() as tape:
        terms = plain.objective({name: tf.constant(value) for name, value in BATCH.items()}, seed, training=True)
        loss = -tf.reduce_mean(sum(term.coefficient * term.value for term in terms.values()))
    expected = tape.gradient(loss, _variables(plain))
    assert _largest(expected["others"]) > 0.1
    found = _gradients(model)
    _assert_equal(found["others"], expected["others"])


def test_without_the_adversarial_term_the_image_decoder_has_the_gradient_of_jmvae_kl_too():
    model = _model(adversarial_weight=0.0)
    plain, seed = _plain(model), _noise(model)[0]
    with tf.GradientTape() as tape:
        terms = plain.objective({name: tf.constant(value) for name, value in BATCH.items()}, seed, training=True)
        loss = -tf.reduce_mean(terms["log_p_x"].value)
    expected = tape.gradient(loss, plain.decoders["x"].trainable_variables)
    _assert_equal(_gradients(model)["decoder"], expected)


def test_the_adversarial_loss_reaches_the_image_decoder_only_and_the_discriminators_the_discriminator_only():
    model = _model(likelihood_weight=0.0, adversarial_weight=2.0)
    with tf.GradientTape(persistent=True) as tape:
        _, (real, reconstructed, sampled) = _judged(model)
        wanted = [CROSS_ENTROPY(tf.ones(12), logits) for logits in (reconstructed, sampled)]
        seen = [CROSS_ENTROPY(tf.zeros(12), logits) for logits in (reconstructed, sampled)]
        generator_loss = 2.0 * sum(wanted)
        discriminator_loss = CROSS_ENTROPY(tf.ones(12), real) + sum(seen)
    variables = _variables(model)
    decoder = tape.gradient(generator_loss, variables["decoder"])
    discriminator = tape.gradient(discriminator_loss, variables["discriminator"])
    # Both losses depend on the others' weights as well; the step must not follow.
    assert _largest(tape.gradient(discriminator_loss, variables["decoder"])) > 1e-4
    assert _largest(g for g in tape.gradient(generator_loss, variables["others"]) if g is not None) > 1e-4
    silent = _copy(model, likelihood_weight=0.0, adversarial_weight=0.0)
    found, without = _gradients(model), _gradients(silent)
    _assert_equal(found["decoder"], decoder)
    _assert_equal(found["discriminator"], discriminator)
    assert _largest(without["decoder"]) == 0
    _assert_equal(without["others"], found["others"])
    _assert_equal(without["discriminator"], discriminator)


@pytest.mark.parametrize("network", ["others", "decoder", "discriminator"])
def test_features_take_the_place_of_pixels_for_encoders_and_image_decoder(network):
    model = _model(reconstruction="features", likelihood_weight=0.5, adversarial_weight=0.0)
    plain = _copy(model)
    variables, (latent_seed, _) = _variables(model), _noise(model)
    with tf.GradientTape(persistent=True) as tape:
        (real, similar, _), _ = _judged(model)
        fit = tf.reduce_sum(-0.5 * (real - similar) ** 2 - 0.5 * np.log(2 * np.pi), axis=-1)
        terms = model.objective({name: tf.constant(value) for name, value in BATCH.items()}, latent_seed, True)
        rest = sum(term.coefficient * term.value for name, term in terms.items() if name != "log_p_x")
        losses = {"others": -tf.reduce_mean(fit + rest), "decoder": -0.5 * tf.reduce_mean(fit)}
    found = _gradients(model)[network]
    if network == "discriminator":  # it is not to make its features alike
        _assert_equal(found, _gradients(plain)[network])
    else:
        _assert_equal(found, tape.gradient(losses[network], variables[network]))


def test_a_regulariser_is_felt_by_its_own_network_only():
    model = _model(discriminator=keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)]))
    decayed = _copy(
        model,
        discriminator=keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4, kernel_regularizer="l2")]),
    )
    kernel = decayed.discriminator.network.get_weights()[0]
    found, without = _gradients(decayed), _gradients(model)
    for network in ("others", "decoder"):
        _assert_equal(found[network], without[network])
    _assert_equal([found["discriminator"][0] - without["discriminator"][0]], [2 * 0.01 * kernel])


# What it reports.


def test_reported_losses_and_accuracies_equal_the_objective_written_out_from_the_logits():
    model = _model()
    _, logits = _judged(model)
    real, reconstructed, sampled = (1 / (1 + np.exp(-values.numpy().astype(float))) for values in logits)
    expected = {
        "generator_loss": -np.mean(np.log(reconstructed) + np.log(sampled)),
        "discriminator_loss": -np.mean(np.log(real) + np.log(1 - reconstructed) + np.log(1 - sampled)),
        "accuracy_real": np.mean(real > 0.5),
        "accuracy_reconstructed": np.mean(reconstructed < 0.5),
        "accuracy_sampled": np.mean(sampled < 0.5),
    }
    model.compile("sgd", run_eagerly=True)
    history = model.fit(BATCH, batch_size=12, shuffle=False, verbose=0).history
    for name, value in expected.items():
        assert history[name][0] == pytest.approx(value, rel=1e-5), name


def test_evaluate_reports_the_bounds_terms_as_jmvae_kl_does():
    model = _model()
    plain = _plain(model)
    found = []
    for one in (model, plain):
        one.compile("sgd", run_eagerly=True)
        found.append(one.evaluate(BATCH, batch_size=12, verbose=0, return_dict=True))
    assert found[0] == pytest.approx(found[1])
    assert {"elbo", "log_p_x", "log_p_w", "kl_prior", "kl_x", "kl_w"} <= found[0].keys()


def test_examples_of_weight_zero_move_no_network():
    """Networks without batch normalisation, through which every example counts."""
    first, second = _wide(), _wide()
    second.set_weights(first.get_weights())
    random = np.random.default_rng(0)
    for model in (first, second):
        half = {name: np.ones((6, 3), np.float32) * sign for name, sign in (("w", 1), ("v", -1))}
        other_half = {name: random.normal(size=(6, 3)).astype(np.float32) for name in half}
        examples = {name: np.concatenate([half[name], other_half[name]]) for name in half}
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        model.fit(examples, sample_weight=np.repeat([1.0, 0.0], 6), batch_size=12, shuffle=False, verbose=0)
    _assert_equal(first.get_weights(), second.get_weights())


# Optimizers.


def test_by_default_each_network_has_an_optimizer_like_the_first():
    model = _model()
    model.compile(tj.optimizers.FusedAdam(2e-3, beta_1=0.5, global_clipnorm=3.0))
    own = [model.optimizer, model.decoder_optimizer, model.discriminator_optimizer]
    assert len({id(optimizer) for optimizer in own}) == 3
    for optimizer in own:
        assert type(optimizer) is tj.optimizers.FusedAdam
        assert (float(optimizer.learning_rate), optimizer.beta_1, optimizer.global_clipnorm) == (
            np.float32(2e-3),
            0.5,
            3.0,
        )


def test_each_optimizer_keeps_its_settings_and_moves_its_own_weights_once_a_step():
    model = _model()
    before = {network: [v.numpy() for v in own] for network, own in _variables(model).items()}
    model.compile(
        keras.optimizers.SGD(0.0),
        decoder_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer="rmsprop",
        run_eagerly=True,
    )
    model.fit(BATCH, batch_size=6, verbose=0)
    own = (model.optimizer, model.decoder_optimizer, model.discriminator_optimizer)
    assert [int(optimizer.iterations) for optimizer in own] == [2, 2, 2]
    assert type(model.discriminator_optimizer) is keras.optimizers.RMSprop
    for network, variables in _variables(model).items():
        moved = any((b != v.numpy()).any() for b, v in zip(before[network], variables, strict=True))
        assert moved == (network == "discriminator")


def _wide(**options):
    """Of labels and reals, with nothing that depends on the batch but the weights."""
    modality = _modalities()["w"]
    options = {"image": "w", "discriminator": tj.networks.mlp([4]), **options}
    return tj.JMVAEKLGAN({"w": modality, "v": modality}, 2, **options)


WIDE = {"w": BATCH["w"], "v": -BATCH["w"]}
OPTIMIZERS = ("optimizer", "decoder_optimizer", "discriminator_optimizer")


@pytest.mark.parametrize("own", [{}, dict.fromkeys(OPTIMIZERS[1:], "adam")], ids=["by default", "own"])
def test_every_network_scales_its_loss_under_float16(own, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model, restored = _wide(), _wide()
    model.compile("adam", run_eagerly=bool(own), **own)
    restored.compile("adam", **own)
    model.fit(WIDE, batch_size=6, verbose=0, callbacks=[Checkpoint(tmp_path / "checkpoint")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert Checkpoint(tmp_path / "checkpoint").restore(restored) == 1
    for name in OPTIMIZERS:
        optimizer = getattr(model, name)
        assert type(optimizer) is keras.optimizers.LossScaleOptimizer
        assert type(optimizer.inner_optimizer) is keras.optimizers.Adam
        assert int(optimizer.step_counter) == 2
        for other in (loaded, restored):
            for ours, theirs in zip(getattr(other, name).variables, optimizer.variables, strict=True):
                np.testing.assert_array_equal(np.array(ours), np.array(theirs))


@pytest.mark.parametrize("frequency", [None, 2])
def test_averages_take_the_place_of_each_networks_own_weights(frequency):
    """Keras begins with the weights after the first step; after the second they have the share of the momentum."""
    average, plain = _wide(), _wide()
    plain.set_weights(average.get_weights())
    states = [[v.numpy() for v in plain.trainable_variables]]
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: states.append([v.numpy() for v in plain.trainable_variables])
    )
    plain.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    plain.fit(WIDE, batch_size=6, shuffle=False, verbose=0, callbacks=[keep])
    averaging = {"use_ema": True, "ema_momentum": 0.75, "ema_overwrite_frequency": frequency}
    average.compile(keras.optimizers.SGD(0.1, **averaging), run_eagerly=True)
    average.fit(WIDE, batch_size=6, shuffle=False, verbose=0)
    assert len(states) == 3
    for weight, before, first, second in zip(average.trainable_variables, *states, strict=True):
        assert (before != second).any()
        np.testing.assert_allclose(weight.numpy(), 0.75 * first + 0.25 * second, rtol=1e-4, atol=1e-6)


def test_swapping_averages_is_refused():
    model = _wide()
    model.compile(keras.optimizers.Adam(use_ema=True))
    with pytest.raises(ValueError, match="SwapEMAWeights knows one optimizer, but this model has three"):
        model.fit(WIDE, callbacks=[keras.callbacks.SwapEMAWeights()])
    with pytest.raises(ValueError, match="SwapEMAWeights knows one optimizer"):
        model.fit(WIDE, None, 6, 1, 0, keras.callbacks.SwapEMAWeights())


def test_callbacks_may_be_one_or_a_list_of_keras():
    model, seen = _wide(), []
    model.compile()
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    model.fit(WIDE, verbose=0, callbacks=note)
    model.fit(WIDE, verbose=0, callbacks=keras.callbacks.CallbackList([note], add_history=True, model=model))
    assert seen == [0, 0]


def _rates(model):
    return [float(getattr(model, name).learning_rate) for name in OPTIMIZERS]


def _with_rates(*rates):
    model, sgd = _wide(), keras.optimizers.SGD
    first, *others = (sgd(rate) for rate in rates)
    model.compile(first, **dict(zip(OPTIMIZERS[1:], others, strict=True)), run_eagerly=True)
    return model


def test_learning_rates_of_callbacks_reach_every_network_in_proportion():
    model = _with_rates(0.1, 0.2, 0.01)
    seen = []
    model.fit(
        WIDE,
        epochs=4,
        verbose=0,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch: [0.1, 0.0, 0.05, 0.02][epoch]),  # one of them 0
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(_rates(model))),
        ],
    )
    np.testing.assert_allclose(seen, [[r, 2 * r, r / 10] for r in (0.1, 0.0, 0.05, 0.02)], rtol=1e-6)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e6, cooldown=9)
    model.fit(WIDE, epochs=4, verbose=0, callbacks=[plateau])
    np.testing.assert_allclose(_rates(model), [0.01, 0.02, 0.001], rtol=1e-6)


def test_learning_rates_that_are_set_one_by_one_or_by_a_schedule_stay():
    model = _with_rates(0.1, 0.2, keras.optimizers.schedules.ExponentialDecay(0.3, 1, 0.5))

    def set_two(epoch, logs):
        model.optimizer.learning_rate, model.decoder_optimizer.learning_rate = 0.05, 0.4

    model.fit(WIDE, epochs=2, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=set_two)])
    np.testing.assert_allclose(_rates(model), [0.05, 0.4, 0.3 * 0.5**2], rtol=1e-6)


@pytest.mark.parametrize("scheduled", [["discriminator_optimizer"], ["decoder_optimizer", "discriminator_optimizer"]])
def test_a_schedule_cannot_follow_a_callback_and_says_so(scheduled):
    model, schedule = _wide(), keras.optimizers.schedules.ExponentialDecay(0.3, 1, 0.5)
    own = {name: keras.optimizers.SGD(schedule) for name in scheduled}
    model.compile(keras.optimizers.SGD(0.1), **own, run_eagerly=True)
    model.fit(WIDE, verbose=0)
    with pytest.raises(ValueError, match=r"set to 0\.05, which an optimizer with a LearningRateSchedule cannot follow"):
        model.fit(WIDE, verbose=0, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.05)])


# Saving and resuming.


def _states(model):
    optimizers = (model.optimizer, model.decoder_optimizer, model.discriminator_optimizer)
    return [np.array(v) for v in [*model.variables, *(v for o in optimizers for v in o.variables)]]


def _fitted(model, first, last, **options):
    return model.fit(BATCH, batch_size=6, initial_epoch=first, epochs=last, shuffle=False, verbose=0, **options)


def _compiled(**options):
    model = _model(likelihood_weight=0.1)
    model.compile(
        keras.optimizers.Adam(1e-2), discriminator_optimizer=keras.optimizers.Adam(3e-3, beta_1=0.5), **options
    )
    return model


def test_training_goes_on_as_if_it_had_not_been_interrupted(tmp_path):
    """From a whole saved model, and from a checkpoint of a model made anew."""
    whole, half = (_compiled(run_eagerly=True) for _ in range(2))
    half.set_weights(whole.get_weights())
    _fitted(whole, 0, 2)
    _fitted(half, 0, 1, callbacks=[Checkpoint(tmp_path / "checkpoint")])
    half.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == half.get_config()
    assert loaded.get_compile_config() == half.get_compile_config()
    assert float(loaded.discriminator_optimizer.learning_rate) == np.float32(3e-3)
    restored, checkpoint = _compiled(run_eagerly=True), Checkpoint(tmp_path / "checkpoint")
    assert checkpoint.restore(restored) == 1
    for model in (loaded, restored):
        for ours, theirs in zip(_states(model), _states(half), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        _fitted(model, 1, 2)
        for ours, theirs in zip(_states(model), _states(whole), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)  # threads add in any order


def test_compile_options_do_not_change_the_result():
    """Eager steps and compiled ones, two of them per call."""
    eager, compiled = _compiled(run_eagerly=True), _compiled(steps_per_execution=2)
    compiled.set_weights(eager.get_weights())
    histories = [_fitted(model, 0, 1).history for model in (eager, compiled)]
    for name in histories[0]:
        np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=1e-3, atol=1e-4)


def test_under_mixed_precision_losses_and_weights_are_float32_and_sane():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = _compiled(run_eagerly=True)
    history = _fitted(model, 0, 2).history
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert {p.dtype for p in model(BATCH).values()} == {tf.float32}
    features, logits = model.discriminator(tf.constant(BATCH["x"]))
    assert features.dtype == logits.dtype == tf.float32
    assert np.isfinite(list(history.values())).all()


def test_encoders_of_single_modalities_serve_three():
    modalities = {**_modalities(), "v": tj.Modality((2,), "gaussian", encoder=tj.networks.mlp([4]))}
    model = tj.JMVAEKLGAN(modalities, 2, subsets="single", discriminator=tj.networks.mlp([4]))
    model.compile("adam", run_eagerly=True)
    batch = {**BATCH, "v": BATCH["w"][:, :2]}
    history = model.fit(batch, batch_size=12, verbose=0).history
    assert {"kl_x", "kl_w", "kl_v"} <= history.keys()
    made = model.generate({"w": batch["w"], "v": batch["v"]}, seed=1)["x"]
    assert made.shape == (12, 8, 8, 1)
    assert np.isfinite(made).all()


# Mistakes.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "y"}, r"Unknown modality 'y'. This model has 'x', 'w'"),
        ({"reconstruction": "pixel"}, "reconstruction must be one of 'pixels', 'features'; got 'pixel'"),
        ({"adversarial_weight": -1}, "adversarial_weight must be a finite number of 0 or more; got -1"),
        ({"likelihood_weight": float("nan")}, "likelihood_weight must be a finite number of 0 or more; got nan"),
        ({"subsets": "pairs"}, "subsets must be one of 'all', 'single', 'shared'; got 'pairs'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        _model(**options)


def test_a_discriminator_that_is_no_layer_is_refused():
    with pytest.raises(TypeError, match=r"discriminator must be a Keras layer or model, such as .*; got \[4\]"):
        _model(discriminator=[4])


def test_one_optimizer_for_two_networks_is_refused():
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="Encoder, generator and discriminator each need their own optimizer"):
        _model().compile(optimizer, decoder_optimizer=optimizer)
