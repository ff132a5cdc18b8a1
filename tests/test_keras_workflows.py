"""What users of Keras bring with them: own layers, regularisers, tf.data, weights, new objectives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae.distributions import conditional_product, kl_divergence
from tf_jmvae.models.components import Encoder


@keras.saving.register_keras_serializable("tests")
class Gate(keras.layers.Layer):
    """A layer of the user's own."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.value = keras.layers.Dense(width)
        self.gate = keras.layers.Dense(width, activation="sigmoid")

    def build(self, input_shape):
        self.value.build(input_shape)
        self.gate.build(input_shape)

    def call(self, inputs):
        return self.value(inputs) * self.gate(inputs)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


def _own_modalities():
    image = keras.Sequential([keras.layers.Conv2D(3, 3, padding="same"), keras.layers.BatchNormalization()])
    inputs = keras.Input((3,))
    functional = keras.Model(inputs, Gate(6)(inputs))
    return {
        "x": tj.Modality((4, 4, 1), "bernoulli", encoder=image, decoder=Gate(6)),
        "w": tj.Modality((3,), "categorical", encoder=functional, decoder=tj.networks.mlp([6], dropout=0.2)),
    }


def test_models_with_the_users_own_networks_survive_saving(tmp_path):
    model, batch = tj.JMVAEKL(_own_modalities(), 3), small_batch(size=32)
    model.compile("adam")
    model.fit(batch, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, value in model.predict(batch, verbose=0).items():
        np.testing.assert_array_equal(loaded.predict(batch, verbose=0)[name], value)


def test_fit_traces_a_step_once_since_the_optimizer_has_its_state_before(monkeypatch):
    traces = []
    step = tj.JMVAEKL.train_step
    monkeypatch.setattr(tj.JMVAEKL, "train_step", lambda model, data: traces.append(model) or step(model, data))
    model = tj.JMVAEKL(small_modalities(), 3)
    model.compile("adam")
    model.fit(small_batch(size=8), batch_size=4, epochs=2, verbose=0)
    assert len(traces) == 1
    assert model.optimizer.iterations == 4


def test_each_use_of_a_network_is_a_copy_with_its_own_weights():
    modalities = _own_modalities()
    model = tj.JMVAEKL(modalities, 3)
    joint, single = model.encoder.towers.towers["x"], model.subset_encoders["x"].towers.towers["x"]
    assert modalities["x"].encoder.weights == []
    assert not {id(v) for v in joint.weights} & {id(v) for v in single.weights}
    assert not np.array_equal(joint.weights[0].numpy(), single.weights[0].numpy())


SHARED = tj.networks.mlp([8])
COPIED_OFTEN = {
    "an encoder per subset": lambda: tj.JMVAEKL(small_modalities("xwc"), 3),
    "a trunk in every encoder": lambda: tj.JMVAEKL(small_modalities(), 3, trunk=tj.networks.mlp([8])),
    "four layers": lambda: tj.HierarchicalJMVAE(small_modalities(), 3, num_layers=4),
    "one network for all": lambda: tj.HierarchicalJMVAE(
        {name: tj.Modality((3,), "gaussian", encoder=SHARED, decoder=SHARED) for name in "ab"},
        3,
        num_layers=3,
        layer_encoder=SHARED,
        layer_prior=SHARED,
        trunk=SHARED,
    ),
}


@pytest.mark.parametrize("make", COPIED_OFTEN.values(), ids=COPIED_OFTEN)
def test_copies_of_one_network_stay_separate_when_a_model_is_loaded(make, tmp_path):
    """While it loads, Keras would make layers of equal origin one layer."""
    model = make()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    batch = {name: p.sample(seed=(1, 2)) for name, p in model.likelihoods(model.prior().sample(6, seed=(1, 2))).items()}
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    np.testing.assert_array_equal(loaded.elbo(batch, seed=1), model.elbo(batch, seed=1))


def test_a_network_that_its_config_cannot_remake_is_refused_with_the_reason():
    unregistered = keras.Sequential([keras.layers.Flatten(), keras.layers.Lambda(lambda value: value * 2)])
    with pytest.raises(ValueError, match=r"cannot be made again from its config.*register"):
        tj.VAE({"v": tj.Modality((2,), "gaussian", encoder=unregistered)}, 2)


def test_without_a_seed_nothing_random_is_traced():
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    with pytest.raises(ValueError, match=r"Inside a tf\.function every call would draw the same numbers"):
        tf.function(lambda: model.generate({"w": batch["w"]}))()


def test_training_noise_differs_at_every_step_also_when_gradients_are_accumulated():
    class Recording(tj.VAE):
        seen = ()

        def objective(self, batch, seed, training=False):
            self.seen = (*self.seen, tuple(seed.numpy()))
            return super().objective(batch, seed, training)

    model = Recording(small_modalities("x"), 3)
    model.compile(keras.optimizers.Adam(gradient_accumulation_steps=2), run_eagerly=True)
    model.fit(small_batch("x"), batch_size=3, epochs=1, verbose=0)
    steps = [seed[1] for seed in model.seen if seed[0] == model.noise_state.numpy()[0]]
    assert steps == [0, 1, 2, 3]


def test_evaluation_draws_other_noise_for_every_batch():
    """The same examples in two batches: with equal noise their bounds would be equal."""
    model, batch = tj.VAE(small_modalities("x"), 3), small_batch("x")
    model.compile("adam")
    once = model.evaluate(batch, batch_size=12, verbose=0, return_dict=True)["log_p_x"]
    twice = {"x": np.concatenate([batch["x"]] * 2)}
    assert model.evaluate(twice, batch_size=12, verbose=0, return_dict=True)["log_p_x"] != pytest.approx(once, rel=1e-6)


def test_each_sample_of_iterated_sampling_has_a_chain_of_its_own():
    """With q(z | x~, w) all but a point, samples of one example differ only by what was drawn for x~."""
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    kernel, bias, raw_kernel, raw_bias = model.encoder.head.get_weights()
    model.encoder.head.set_weights([kernel, bias, 0 * raw_kernel, raw_bias - 60.0])
    images = model.generate({"w": batch["w"]}, num_samples=3, num_steps=2, seed=1)["x"].numpy()
    assert np.abs(images[:, 0] - images[:, 1]).max() > 1e-2


def test_a_loss_or_metrics_of_the_users_are_refused():
    for options in ({"loss": "mse"}, {"metrics": ["accuracy"]}, {"weighted_metrics": ["accuracy"]}):
        model = tj.VAE(small_modalities("x"), 3)
        with pytest.raises(ValueError, match="the objective and its metrics are the model's own"):
            model.compile("adam", **options)
        assert not model.compiled


@pytest.mark.parametrize("name", ["model.h5", "model.HDF5"])
def test_hdf5_is_refused_with_what_to_do(tmp_path, name):
    with pytest.raises(ValueError, match=r"Save as \.keras, as in model\.save\('model\.keras'\)"):
        tj.VAE(small_modalities("x"), 3).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_hdf5_is_refused_where_keras_saves(tmp_path):
    with pytest.raises(ValueError, match=r"Save as \.keras, as in model\.save\('model\.keras'\)"):
        keras.saving.save_model(tj.VAE(small_modalities("x"), 3), tmp_path / "model.h5")


def test_export_takes_what_keras_takes(tmp_path, capsys):
    model = tj.VAE(small_modalities("v"), 3)
    first = model.export(tmp_path / "model", format="tf_saved_model", verbose=True)
    assert str(first) in capsys.readouterr().out
    assert model.export(tmp_path / "model", "tf_saved_model", False, num_samples=3).name == "2"
    for options in ({"format": "onnx"}, {"input_signature": [1]}):
        with pytest.raises(ValueError, match="export writes format='tf_saved_model' only"):
            model.export(tmp_path / "model", **options)


def test_class_weights_are_refused():
    model = tj.VAE(small_modalities("x"), 3)
    model.compile("adam")
    with pytest.raises(ValueError, match="use sample_weight"):
        model.fit(small_batch("x"), class_weight={0: 1.0})


def test_regularisers_of_the_networks_are_part_of_the_loss():
    penalised = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1))
    model = tj.VAE({"v": tj.Modality((2,), "gaussian", encoder=penalised)}, 2)
    model.compile("adam")
    logs = model.evaluate(small_batch("v"), verbose=0, return_dict=True)
    kernel = model.encoder.towers.towers["v"].kernel.numpy()
    np.testing.assert_allclose(logs["loss"] + logs["elbo"], 0.1 * np.sum(kernel**2), rtol=1e-4)


def test_the_weight_of_a_modality_scales_the_loss_and_not_the_metrics():
    modalities = small_modalities()
    heavy = tj.Modality((4, 4, 1), "bernoulli", encoder=tj.networks.mlp([8]), decoder=tj.networks.mlp([8]), weight=5.0)
    model = tj.JMVAE({**modalities, "x": heavy}, 3)
    model.compile("adam")
    logs = model.evaluate(small_batch(), verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["elbo"], logs["log_p_x"] + logs["log_p_w"] - logs["kl_prior"], rtol=1e-5)
    expected = -(5 * logs["log_p_x"] + logs["log_p_w"] - logs["kl_prior"])
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)


def test_sample_weights_make_weighted_means_of_the_metrics():
    """However they come: beside arrays, in a dataset, with the validation data."""
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    model.compile(keras.optimizers.SGD(0.0))
    weights = np.arange(12.0)
    dataset = tf.data.Dataset.from_tensors((batch, None, weights))
    history = model.fit(batch, validation_data=(batch, None, weights), epochs=1, verbose=0).history
    bounds = model.elbo(batch, seed=tf.random.fold_in(tf.zeros(2, tf.int32), 0)).numpy()
    for logs in (
        model.evaluate(batch, sample_weight=weights, verbose=0, return_dict=True),
        model.evaluate(dataset, verbose=0, return_dict=True),
        model.evaluate(batch, sample_weight=weights[:, None], verbose=0, return_dict=True),
        {"elbo": history["val_elbo"][0], "loss": history["val_loss"][0]},
    ):
        np.testing.assert_allclose(logs["elbo"], np.average(bounds, weights=weights), rtol=1e-5)
        np.testing.assert_allclose(logs["loss"], -np.mean(bounds * weights), rtol=1e-5)


def test_batch_normalisation_learns_in_training_only():
    model, batch = tj.VAE({"x": _own_modalities()["x"]}, 3), small_batch("x", size=32)
    model.compile("adam")
    moving = model.encoder.towers.towers["x"].layers[1].moving_mean
    model.evaluate(batch, verbose=0)
    np.testing.assert_array_equal(moving.numpy(), 0)
    model.fit(batch, verbose=0)
    assert np.abs(moving.numpy()).max() > 0


def test_fit_takes_validation_data_and_datasets():
    model = tj.JMVAE(small_modalities(), 3)
    model.compile("adam")
    dataset = tf.data.Dataset.from_tensor_slices(small_batch(size=32)).batch(8)
    history = model.fit(dataset, validation_data=dataset, epochs=2, verbose=0).history
    logs = model.evaluate(dataset, verbose=0, return_dict=True)
    np.testing.assert_allclose(history["val_elbo"][-1], logs["elbo"], rtol=1e-5)


@keras.saving.register_keras_serializable("tests")
class ProductOfExperts(tj.MultimodalVAE):
    """A new objective: no joint encoder, but the product of the single ones."""

    def __init__(self, modalities, latent_dim, **kwargs):
        super().__init__(modalities, latent_dim, **kwargs)
        self.encoders = {name: Encoder({name: m}, latent_dim) for name, m in self.modalities.items()}

    def objective(self, batch, seed, training=False):
        q = self.posterior(batch, training=training)
        p = self.likelihoods(q.sample(seed=seed), training=training)
        return {
            "kl_prior": tj.Term(-1.0, kl_divergence(q, self.prior()), to_prior=True),
            **self.log_likelihoods(p, batch),
        }

    def posterior(self, observed, *, training=False, **_):
        return conditional_product([self.encoders[name](observed, training=training) for name in observed])


def test_a_new_objective_is_one_class_and_inherits_everything_else(tmp_path):
    model, batch = ProductOfExperts(small_modalities(), 3), small_batch(size=32)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(batch, epochs=20, verbose=0).history
    assert history["elbo"][-1] > history["elbo"][0]
    generated = model.generate({"w": batch["w"]}, seed=1)["x"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.generate({"w": batch["w"]}, seed=1)["x"], generated)


def test_a_new_objective_takes_gaps_in_entries():
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    y = tj.Modality((4,), "gaussian", optional="entries", **networks)
    model = ProductOfExperts({**small_modalities("w"), "y": y}, 3)
    batch = {**small_batch("w"), "y": np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)}
    batch["y"][::3, 1:3] = np.nan
    model.compile(keras.optimizers.Adam(1e-2))
    assert np.isfinite(list(model.fit(batch, epochs=2, verbose=0).history.values())).all()


@pytest.mark.parametrize("method", ["objective", "posterior"])
def test_what_a_new_model_must_define_is_named(method):
    model = tj.MultimodalVAE(small_modalities(), 3)
    with pytest.raises(NotImplementedError, match=rf"MultimodalVAE must define {method}\(\)"):
        getattr(model, method)(small_batch(), *[tf.constant([1, 2])] * (method == "objective"))


def test_seeds_that_cannot_be_used_are_refused():
    model = tj.JMVAE(small_modalities(), 3)
    with pytest.raises(TypeError, match="seed must be an integer"):
        model.sample(2, seed="one")
    with pytest.raises(ValueError, match="between 0 and"):
        model.sample(2, seed=-1)
    with pytest.raises(TypeError, match=r"seed must be whole numbers of shape \[2\] or \[batch, 2\]"):
        model.sample(2, seed=[[1, 2], [3]])
    with pytest.raises(ValueError, match="a seed for each of the 3 rows, or one for all; got 2 seeds"):
        model.sample(3, seed=[[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="a seed for each of the 12 rows, or one for all; got 2 seeds"):
        model.generate({"w": small_batch()["w"]}, seed=[[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"a seed must serve all examples.*\[1, 2\]"):
        tj.evaluation.joint_log_likelihood(model, small_batch(), num_samples=2, seed=[[1, 2]], verbose=0)


def test_options_of_generation_that_do_not_exist_are_refused():
    model, batch = tj.JMVAE(small_modalities(), 3), small_batch()
    with pytest.raises(ValueError, match="latent must be one of 'sample', 'mean'; got 'mode'"):
        model.generate({"w": batch["w"]}, latent="mode")
    with pytest.raises(ValueError, match="output must be one of 'mean', 'sample'; got 'mode'"):
        model.generate({"w": batch["w"]}, output="mode")
    with pytest.raises(ValueError, match="initial must be one of None, 'zeros', 'noise'; got 'ones'"):
        model.generate({"w": batch["w"]}, iterated_sampling=tj.IteratedSampling(initial="ones"))
    with pytest.raises(ValueError, match="num_steps must be a whole number of 1 or more; got 0"):
        model.generate({"w": batch["w"]}, num_steps=0)
    with pytest.raises(ValueError, match="Unknown modality 'y'"):
        model.generate({"w": batch["w"]}, targets=["y"])


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_batch_size_that_is_not_positive_is_refused(batch_size):
    model = tj.JMVAE(small_modalities(), 2)
    model.compile("adam")
    with pytest.raises(ValueError, match="batch_size must be a whole number of 1 or more"):
        model.fit(small_batch(), batch_size=batch_size, verbose=0)
