"""Incomplete rows are trained on as complete ones are: any precision, compiled, weighted, on devices, by the GAN."""

import pickle

import forked
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.callbacks import Checkpoint

SIZE = 12


def _data(names="xwv", size=SIZE, seed=0):
    """Rows that lack w, v or both; each holds x."""
    data, random = small_batch(names, size, seed), np.random.default_rng(seed)
    for name in names[1:]:
        data[name][random.random(size) < 0.4] = np.nan
    return data


def _model(subsets="all", flow=None, **options):
    set_seeds(2)
    modalities = small_modalities("xwv")
    for name in "wv":
        modalities[name].optional = True
    model = tj.JMVAEKL(modalities, 2, subsets=subsets, flow=flow)
    model.noise_state.assign([7, 0])
    model.compile(tj.optimizers.FusedAdam(0.01), **options)
    return model


def _fit(model, data=None, **options):
    return model.fit(
        _data() if data is None else data, **{"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0, **options}
    )


def _assert_close(model, other, **tolerance):
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, **{"rtol": 1e-4, "atol": 1e-5, **tolerance})


@pytest.mark.parametrize("subsets", ["all", "single"])
def test_steps_are_the_same_however_they_are_run(subsets):
    models = [_model(subsets, **options) for options in ({}, {"run_eagerly": True}, {"steps_per_execution": 3})]
    for model in models:
        _fit(model)
        _assert_close(model, models[0])


@pytest.mark.parametrize(
    ("subsets", "flow"), [("all", None), ("single", None), ("shared", None), ("shared", tj.Flow(2, units=8))]
)
def test_xla_takes_batches_of_every_pattern(subsets, flow):
    model = _model(subsets, flow, jit_compile=True)
    data = _data()
    data["w"][:4] = np.nan  # the first batch has nobody's
    history = _fit(model, data).history
    assert np.isfinite(list(history.values())).all()
    assert history["loss"][1] < history["loss"][0]


def test_one_graph_serves_every_pattern():
    model, traces = _model(), []
    step = model.train_step
    model.train_step = lambda data: (traces.append(None), step(data))[1]
    for seed in range(4):
        _fit(model, _data(seed=seed), epochs=1)
    _fit(model, small_batch("xwv", SIZE), epochs=1)
    assert len(traces) == 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = _model(run_eagerly=True)
    keras.config.set_dtype_policy("float32")
    exact = _model(run_eagerly=True)
    exact.set_weights(model.get_weights())
    found, expected = (m.evaluate(_data(), batch_size=SIZE, verbose=0, return_dict=True) for m in (model, exact))
    for name in ("log_p_w", "kl_w", "kl_prior"):
        assert found[name] == pytest.approx(expected[name], rel=0.03)
    assert np.isfinite(list(_fit(model).history.values())).all()


def test_rows_of_weight_zero_count_as_if_they_were_not_there():
    weights = np.array([1.0, 0.0, 2.0, 1.0] * 3, np.float32)
    kept = weights > 0
    data = _data()
    model = _model(run_eagerly=True)
    found = model.evaluate(data, sample_weight=weights, batch_size=SIZE, verbose=0, return_dict=True)
    changed = {name: np.where(kept.reshape(-1, *[1] * (v.ndim - 1)), v, v[:1]) for name, v in data.items()}
    again = model.evaluate(changed, sample_weight=weights, batch_size=SIZE, verbose=0, return_dict=True)
    assert again == pytest.approx(found, rel=1e-5)


def test_warm_up_and_the_weight_of_a_modality_scale_their_terms_of_the_loss_alone():
    model = _model()
    model.modalities["w"].weight = 3.0
    batch = {name: tf.constant(value) for name, value in _data().items()}
    terms = model.objective(batch, tf.constant([1, 2]))
    loss = float(model._loss(terms, None, 0.25))
    factors = {"kl_prior": 0.25, "log_p_w": 3.0}
    expected = -sum(factors.get(n, 1.0) * t.coefficient * np.mean(t.value.numpy()) for n, t in terms.items())
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_accumulated_gradients_are_those_of_one_batch_where_every_batch_is_as_large():
    data = _data()
    both = []
    for batch_size, steps in ((4, 3), (12, None)):
        model = _model()
        model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=steps), run_eagerly=True)
        with pytest.MonkeyPatch.context() as patch:  # the noise of a row, not of its place in a batch
            patch.setattr("tf_jmvae.models.jmvae_kl.sampling.draw", lambda q, seed: q.mean())
            _fit(model, data, batch_size=batch_size, epochs=1)
        both.append(model)
    for one, two in zip(*(model.trainable_variables for model in both), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path):
    def batches(epochs):
        return tj.data.from_arrays(
            _data(size=20), batch_size=4, shuffle=True, seed=3, epochs=epochs, complete_rows=0.75
        )

    steps = len(batches(range(1)))
    assert steps > 5  # complete rows are repeated
    options = {"batch_size": None, "steps_per_epoch": steps}
    whole, first, second = (_model() for _ in range(3))
    _fit(whole, batches(range(4)), epochs=4, **options)
    _fit(first, batches(range(2)), epochs=2, callbacks=[Checkpoint(tmp_path)], **options)
    assert Checkpoint(tmp_path).restore(second) == 2
    _fit(second, batches(range(2, 4)), epochs=4, initial_epoch=2, **options)
    _assert_close(second, whole, rtol=1e-6, atol=1e-7)


def _train_on_one_and_on_two(output):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    random = np.random.default_rng(0)
    data = {name: random.normal(size=(16, 3)).astype(np.float32) for name in "ab"}
    data["b"][[0, 1, 2, 3, 8, 9, 10, 11]] = np.nan  # in the first half of each batch, which is one device's, and
    data["b"][12:] = np.nan  # in all of the second

    def modality(optional):
        networks = {kind: tj.networks.mlp([4, 4], batch_norm=True) for kind in ("encoder", "decoder")}
        return tj.Modality((3,), "gaussian", optional=optional, **networks)

    results = []
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = tj.JMVAEKL({"a": modality(False), "b": modality(True)}, 2)
            model.noise_state.assign([5, 0])
            model.compile(keras.optimizers.SGD(0.05))
        history = model.fit(data, batch_size=8, epochs=3, shuffle=False, verbose=0).history
        results.append((history, model.get_weights()))
    output.write_bytes(pickle.dumps(results))


def test_two_devices_train_as_one_also_where_one_has_no_row_with_a_modality(tmp_path):
    code, printed = forked.run(_train_on_one_and_on_two, tmp_path / "results", log=tmp_path / "log")
    assert code == 0, printed[-3000:]
    (history, weights), (of_two, weights_of_two) = pickle.loads((tmp_path / "results").read_bytes())
    for name, values in history.items():
        np.testing.assert_allclose(of_two[name], values, rtol=2e-4, err_msg=name)
    for one, two in zip(weights, weights_of_two, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=2e-4)


# The GAN.


def _gan(image_optional=True):
    set_seeds(2)
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8, 8], batch_norm=True)}
    image = tj.Modality((2,), tj.heads.Gaussian(variance=0.5), optional=image_optional, **networks)
    modalities = {"v": image, "w": small_modalities("w")["w"]}
    discriminator = tj.networks.mlp([8, 8], batch_norm=True)
    model = tj.JMVAEKLGAN(modalities, 2, image="v", discriminator=discriminator)
    model.compile(keras.optimizers.SGD(0.1))
    model.noise_state.assign([3, 0])
    return model


def test_the_gan_sees_the_images_that_are_there():
    data = small_batch("vw", 8)
    data["v"][5:] = np.nan
    model = _gan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tf_jmvae.models.adversarial.sampling.draw", lambda q, seed: q.mean())
        logs = model.train_on_batch(data, return_dict=True)
        other = _gan(image_optional=False)
        alone = other.train_on_batch({name: value[:5] for name, value in data.items()}, return_dict=True)
    for name in ("generator_loss", "discriminator_loss", "accuracy_real", "log_p_v"):
        assert logs[name] == pytest.approx(alone[name], rel=1e-4), name


def test_a_batch_without_an_image_moves_neither_generator_nor_discriminator():
    data = small_batch("vw", 8)
    data["v"][:] = np.nan
    model = _gan()
    players = [model.discriminator, model.decoders["v"]]
    before = [layer.get_weights() for layer in players]
    logs = model.train_on_batch(data, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    for layer, weights in zip(players, before, strict=True):
        for now, then in zip(layer.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(now, then)


def test_the_gan_computes_the_same_compiled_by_xla():
    """Which splits no axis of as many rows as hold an image."""
    data = small_batch("vw", 8)
    data["v"][5:] = np.nan
    logs = {}
    for compiled in (False, True):
        model = _gan()
        model.compile(keras.optimizers.SGD(0.1), jit_compile=compiled)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tf_jmvae.models.adversarial.sampling.draw", lambda q, seed: q.mean())
            logs[compiled] = model.train_on_batch(data, return_dict=True)
    assert logs[True] == pytest.approx(logs[False], rel=1e-4)


def test_the_discriminator_cannot_tell_a_real_image_by_its_gaps():
    data = small_batch("vw", 8)
    data["v"][2:6, 1] = np.nan
    model, seen = _gan("entries"), []
    call = type(model.discriminator).call
    model.discriminator.call = lambda images, training: (
        seen.append(images),
        call(model.discriminator, images, training),
    )[1]
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.train_on_batch(data)
    for image in np.split(seen[0], 3):
        np.testing.assert_array_equal(image == 0, np.isnan(data["v"]))
