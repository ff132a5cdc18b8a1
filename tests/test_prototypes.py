"""Networks that are given are copied into each use: with their weights, statistics and what of them is frozen."""

import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj

layers, mlp = keras.layers, tj.networks.mlp
RAW = np.random.default_rng(0).normal(1000, 50, (64, 5)).astype("float32")


def _loss(targets, made):
    return tf.reduce_mean(made)


def _trained(size_in, size_out=8):
    """A network that was trained elsewhere, compiled and frozen, by which its copies are known."""
    network = keras.Sequential(
        [keras.Input((size_in,)), layers.Dense(size_out, "tanh", name="trained"), layers.BatchNormalization()]
    )
    network.compile("sgd", loss=_loss)  # that no file can name
    random = np.random.default_rng(1)
    network.set_weights([random.uniform(1, 2, value.shape) for value in network.get_weights()])
    network.trainable = False
    return network


def _pair(v=None, w=None):
    return {
        "v": tj.Modality((5,), **{"likelihood": "gaussian", "encoder": mlp([8]), "decoder": mlp([8]), **(v or {})}),
        "w": tj.Modality((3,), **{"likelihood": "bernoulli", "encoder": mlp([8]), "decoder": mlp([8]), **(w or {})}),
    }


def _with_encoder(network):
    return _pair({"encoder": network})


# For each place in which a network may be given: a model with it, its number of inputs, and its number of copies.
SLOTS = {
    "joint encoder": (lambda n: tj.JMVAE(_with_encoder(n), 4), 5, 1),
    "subset encoders": (lambda n: tj.JMVAEKL(_with_encoder(n), 4), 5, 2),
    "towers of a hierarchy": (lambda n: tj.HierarchicalJMVAE(_with_encoder(n), 4), 5, 1),
    "given to a decoder": (lambda n: tj.CVAE(_with_encoder(n), 4, target="w"), 5, 2),
    "given to a prior": (lambda n: tj.CMMA(_with_encoder(n), 4, target="w"), 5, 2),
    "decoder": (lambda n: tj.JMVAE(_pair({"decoder": n}), 4), 4, 1),
    "decoder that reads the given": (lambda n: tj.CVAE(_pair({"decoder": n}), 4, target="v"), 12, 1),
    "trunk": (lambda n: tj.JMVAE(_pair(), 4, trunk=n), 16, 1),
    "trunks": (lambda n: tj.JMVAEKL(_pair(w={"encoder": mlp([8])}), 4, trunk=_sum(n)), 5, 3),
    "layer_encoder": (lambda n: tj.HierarchicalJMVAE(_pair(), 4, num_layers=3, trunk=mlp([8]), layer_encoder=n), 8, 2),
    "layer_prior": (lambda n: tj.HierarchicalJMVAE(_pair(), 4, num_layers=3, layer_prior=n), 4, 2),
    "discriminator": (lambda n: tj.JMVAEKLGAN(_pair(), 4, image="v", discriminator=n), 5, 1),
    "projection": (lambda n: tj.JMVAE(_pair({"likelihood": _gaussian(n)}), 4), 8, 2),
}


def _sum(network):
    """As a trunk, whatever number of features comes."""
    return keras.Sequential([_FirstFive(), network])


@keras.saving.register_keras_serializable("tests")
class _FirstFive(layers.Layer):
    def call(self, inputs):
        return inputs[:, :5]


def _gaussian(network):
    return tj.heads.Gaussian(projection=network)


def _slots(*without):
    return pytest.mark.parametrize("slot", [slot for slot in SLOTS if slot not in without])


def _copies(model, name="first"):
    return [layer for layer in model._flatten_layers() if layer.name == name]


def _copies_of_trained(model):
    """Models call copies by what they are for, and leave the names of the layers in them."""
    networks = [layer for layer in model._flatten_layers() if isinstance(layer, keras.Sequential)]
    return [network for network in networks if network.layers[0].name == "trained"]


def _size_out(slot):
    return 5 if slot == "projection" else 8


@_slots()
def test_every_copy_starts_from_the_weights_of_the_network_and_stays_frozen(slot):
    make, size, number = SLOTS[slot]
    network = _trained(size, _size_out(slot))
    copies = _copies_of_trained(make(network))
    assert len(copies) == number
    for copy in copies:
        for value, expected in zip(copy.get_weights(), network.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)
        assert not copy.trainable_weights
        assert not {id(weight) for weight in copy.weights} & {id(weight) for weight in network.weights}
    assert len({id(weight) for copy in copies for weight in copy.weights}) == number * len(network.weights)


@keras.saving.register_keras_serializable("tests")
class _Two(layers.Layer):
    def call(self, inputs):
        return inputs, inputs


@keras.saving.register_keras_serializable("tests")
class _Raising(layers.Layer):
    def call(self, inputs):
        raise KeyError("a fault inside")


@keras.saving.register_keras_serializable("tests")
class _SumOfTheBatch(layers.Layer):
    def call(self, inputs):
        return tf.reduce_sum(inputs, axis=0)


@keras.saving.register_keras_serializable("tests")
class _PositiveColumns(layers.Layer):
    """Of another number of features for each batch."""

    def call(self, inputs):
        return tf.boolean_mask(inputs, tf.reduce_max(inputs, axis=0) >= 0, axis=1)


MISFITS = {
    "of images": (lambda: keras.Sequential([layers.Conv2D(4, 3)]), r"cannot read a batch of shape \(None, \d+\)"),
    "two tensors": (_Two, "must give one tensor of features"),
    "raises": (_Raising, "cannot read a batch of shape .*a fault inside"),
    "no batch": (_SumOfTheBatch, "must give features"),
    "other input": (
        lambda: keras.Sequential([keras.Input((99,)), layers.Dense(8)]),
        r"cannot read a batch of shape \(None, \d+\)",
    ),
}
ROLES = {
    **dict.fromkeys(["joint encoder", "subset encoders", "towers of a hierarchy"], "encoder of modality 'v'"),
    **dict.fromkeys(["given to a decoder", "given to a prior"], "encoder of modality 'v'"),
    **dict.fromkeys(["decoder", "decoder that reads the given"], "decoder of modality 'v'"),
    **{name: name for name in ("trunk", "layer_encoder", "layer_prior", "discriminator")},
    "projection": "decoder of modality 'v': The head's projection",
}


@_slots("trunks")
@pytest.mark.parametrize("misfit", MISFITS)
def test_a_network_that_does_not_fit_is_named_by_what_it_is_for(slot, misfit):
    network, message = MISFITS[misfit]
    with pytest.raises(ValueError, match=f"(?s)^The {ROLES[slot]} {message}"):
        SLOTS[slot][0](network())


@_slots("trunks", "projection", "layer_prior", "decoder", "decoder that reads the given")
def test_a_network_of_no_fixed_size_is_named_when_it_is_traced(slot):
    model = SLOTS[slot][0](_PositiveColumns())
    model.compile("sgd")
    batch = {"v": np.ones((8, 5), "float32"), "w": np.ones((8, 3), "float32")}
    with pytest.raises(ValueError, match=rf"(?s)The {ROLES[slot]} must give features of one fixed size"):
        model.fit(batch, verbose=0)


@keras.saving.register_keras_serializable("tests")
class _Positions(layers.Layer):
    def build(self, shape):
        self.positions = keras.ops.arange(shape[-1], dtype="float32")

    def call(self, inputs):
        return inputs + self.positions


@_slots()
@pytest.mark.parametrize("kind", ["mean", "adapted", "positions"])
def test_layers_with_more_than_weights_compute_as_in_a_sequential_model(slot, kind):
    make, size, number = SLOTS[slot]
    raw = np.random.default_rng(0).normal(1000, 50, (64, size)).astype("float32")
    if kind == "mean":
        first = layers.Normalization(mean=raw.mean(0), variance=raw.var(0), name="first")
    else:
        first = _Positions(name="first") if kind == "positions" else layers.Normalization(name="first")
    if kind == "adapted":
        first.adapt(raw)
    expected = raw + np.arange(size) if kind == "positions" else (raw - raw.mean(0)) / raw.std(0)
    model = make(keras.Sequential([first, layers.Dense(_size_out(slot))]))
    loaded = _copies(_saved_and_loaded(model), "first") if kind == "adapted" else []
    for copy in [*_copies(model, "first"), *loaded]:
        np.testing.assert_allclose(copy(raw), expected, rtol=1e-3, atol=1e-3)
    assert len(_copies(model, "first")) == number


def _saved_and_loaded(model, folder=None):
    path = f"{folder or tempfile.mkdtemp()}/model.keras"
    model.save(path)
    return keras.saving.load_model(path)


@keras.saving.register_keras_serializable("tests")
class _WithoutBuild(layers.Layer):
    """What it calls is made in its constructor, and built by being called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(8)

    def call(self, inputs):
        return self.inner(inputs)


@keras.saving.register_keras_serializable("tests")
class _MadeInBuild(_WithoutBuild):
    def __init__(self, **kwargs):
        layers.Layer.__init__(self, **kwargs)

    def build(self, shape):
        self.inner = layers.Dense(8)
        self.inner.build(shape)


@keras.saving.register_keras_serializable("tests")
class _Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(8)

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.filterwarnings("ignore:.*does not have a `build")
@pytest.mark.parametrize("kind", [_WithoutBuild, _MadeInBuild, _Subclassed])
def test_the_users_own_networks_keep_their_weights_and_stay_frozen(kind):
    network = kind()
    expected = network(RAW)
    network.trainable = False
    model = tj.JMVAE(_with_encoder(network), 4)
    copy = model.networks()["encoder/v"]
    np.testing.assert_array_equal(copy(RAW), expected)
    assert len(model.encoder.trainable_weights) == len(tj.JMVAE(_pair(), 4).encoder.trainable_weights) - 2
    np.testing.assert_array_equal(_saved_and_loaded(model).networks()["encoder/v"](RAW), expected)


def test_a_network_without_weights_starts_anew_in_every_copy():
    model = tj.JMVAEKL(_with_encoder(mlp([8])), 4)
    one, other = (model.networks()[name].get_weights()[0] for name in ("encoder/v", "subset_encoders/v/v"))
    assert np.abs(one - other).min() > 0


def test_one_network_may_be_given_to_two_modalities():
    network = keras.Sequential([keras.Input((5,)), layers.Dense(8)])
    model = tj.JMVAE({name: tj.Modality((5,), "gaussian", encoder=network) for name in ("v", "w")}, 4)
    one, other = (model.networks()[f"encoder/{name}"] for name in ("v", "w"))
    one.layers[-1].kernel.assign(tf.zeros((5, 8)))
    np.testing.assert_array_equal(other(RAW), network(RAW))


NAMES = {
    tj.JMVAE: ["encoder/v", "encoder/w", "encoder/trunk"],
    tj.JMVAEKL: [
        *("encoder/v", "encoder/w", "encoder/trunk"),
        *("subset_encoders/v/v", "subset_encoders/v/trunk", "subset_encoders/w/w", "subset_encoders/w/trunk"),
    ],
    tj.JMVAEKLGAN: ["encoder/v", "subset_encoders/v/v", "subset_encoders/w/trunk", "discriminator"],
    tj.HierarchicalJMVAE: ["towers/v", "towers/w", "towers/trunk", "layer_networks/0", "layer_priors/0"],
    tj.CVAE: ["encoder/v", "encoder/w", "encoder/trunk", "decoders/w/v"],
    tj.CMMA: ["encoder/v", "encoder/w", "prior_encoder/v", "prior_encoder/trunk"],
}
OPTIONS = {tj.CVAE: {"target": "w"}, tj.CMMA: {"target": "w"}, tj.JMVAEKLGAN: {"image": "w", "discriminator": mlp([7])}}


def _model(kind):
    return kind(_pair(), 4, trunk=mlp([6]), **OPTIONS.get(kind, {}))


@pytest.mark.parametrize("kind", NAMES)
def test_networks_are_named_by_what_they_are_for(kind):
    networks = _model(kind).networks()
    assert {*NAMES[kind], "decoders/w", "decoders/w/projections/0"} <= set(networks)
    for name, network in networks.items():
        if isinstance(network, keras.Sequential):
            width = {"trunk": 6, "discriminator": 7}.get(name.split("/")[-1])
            if width or name.startswith(("encoder", "towers", "decoders")):
                assert network.layers[-1].units == (width or 8), name
    assert len({id(network) for network in networks.values()}) == len(networks)


def _trainable(model):
    return [(weight.shape, weight.trainable) for weight in model.weights]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("what", ["network", "layer", "head", "whole", "unfrozen"])
def test_what_is_frozen_after_the_model_is_made_stays_so_in_its_file(kind, what, tmp_path):
    model = _model(kind)
    name = NAMES[kind][0]
    network = model.networks()[name]
    part = {
        "network": network,
        "layer": network.layers[-1],
        "head": model.decoders["w"],
        "whole": model,
        "unfrozen": model,
    }[what]
    part.trainable = False
    if what == "unfrozen":
        network.trainable = True
    expected = _trainable(model)
    assert not all(trainable for _, trainable in expected[2:])
    loaded = _saved_and_loaded(model, tmp_path)
    assert _trainable(loaded) == expected
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def test_a_frozen_network_that_is_trained_on_stays_so_in_its_file(tmp_path):
    """Two-stage training: first with the network as it is, then with it."""
    model = tj.JMVAE(_with_encoder(_trained(5)), 4)
    model.networks()["encoder/v"].trainable = True
    loaded = _saved_and_loaded(model, tmp_path)
    assert len(loaded.networks()["encoder/v"].trainable_weights) == 4


def test_training_moves_all_but_what_is_frozen():
    model = tj.JMVAE(_with_encoder(_trained(5)), 4)
    model.compile(tj.optimizers.FusedAdam())
    before = {name: network.get_weights() for name, network in model.networks().items()}
    model.fit({"v": RAW / 1000, "w": np.ones((64, 3), "float32")}, epochs=1, verbose=0)
    for name, network in model.networks().items():
        moved = [(one != other).any() for one, other in zip(before[name], network.get_weights(), strict=True)]
        assert any(moved) == (name != "encoder/v"), name


def test_weights_are_kept_on_several_replicas():
    network = _trained(5)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = tj.JMVAE(_with_encoder(network), 4)
    copy = model.networks()["encoder/v"]
    assert copy.layers[-1].synchronized
    for value, expected in zip(copy.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
