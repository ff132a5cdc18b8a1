"""Mistakes in data and settings: the error says which modality, what was expected and what came."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj


@pytest.fixture(scope="module")
def model():
    model = tj.JMVAEKL(small_modalities("xwcv"), 2, subsets="single")  # a graph of five encoders is there soon
    model.compile(keras.optimizers.SGD(1e-3))
    return model


def _dataset(batch):
    return tf.data.Dataset.from_tensors(batch)


TRAINING = {
    "fit": lambda model, batch: model.fit(batch, verbose=0),
    "fit on a dataset": lambda model, batch: model.fit(_dataset(batch), verbose=0),
    "evaluate": lambda model, batch: model.evaluate(batch, verbose=0),
    "elbo": lambda model, batch: model.elbo(batch),
    "validation data": lambda model, batch: model.fit(small_batch("xwcv"), validation_data=batch, verbose=0),
}
INFERENCE = {
    "posterior": lambda model, batch: model.posterior(batch),
    "generate": lambda model, batch: model.generate(batch, targets=["x"]),
    "reconstruct": lambda model, batch: model.reconstruct(batch),
    "predict": lambda model, batch: model.predict(batch, verbose=0),
    "predict on a dataset": lambda model, batch: model.predict(_dataset(batch), verbose=0),
}
EVERYWHERE = TRAINING | INFERENCE


def entries(table):
    return pytest.mark.parametrize("use", table.values(), ids=[name.replace(" ", "-") for name in table])


def _with(**changed):
    return {**small_batch("xwcv"), **changed}


def _changed(name, index, value):
    """The batch with one entry of one modality replaced."""
    batch = small_batch("xwcv")
    batch[name][index] = value
    return batch


X_SHAPE = r"Modality 'x': expected numbers of shape \[batch, 4, 4, 1\]; got "
W_SHAPE = r"Modality 'w': expected numbers of shape \[batch, 3\]; got "
ONE_HOT = r"likelihood 'categorical' cannot score\. Expected one-hot rows \(a single 1, all else 0"

WRONG_SHAPE_OR_DTYPE = {
    "shape": (_with(x=np.zeros((12, 3, 4, 1))), ValueError, X_SHAPE + r"shape \(12, 3, 4, 1\)"),
    "rank": (_with(x=np.zeros((12, 16))), ValueError, X_SHAPE + r"shape \(12, 16\)"),
    "no batch axis": (
        {name: value[0] for name, value in small_batch("xwcv").items()},
        ValueError,
        X_SHAPE + r"shape \(4, 4, 1\)\. Add the batch axis: value\[None\]",
    ),
    "class numbers": (
        _with(w=np.arange(12) % 3),
        ValueError,
        W_SHAPE + r"shape \(12,\)\. Make class numbers one-hot: keras\.utils\.to_categorical\(value, 3\)",
    ),
    "strings": (_with(w=np.full((12, 3), "seven")), TypeError, W_SHAPE + "dtype string"),
    "complex": (_with(x=np.zeros((12, 4, 4, 1), complex)), TypeError, X_SHAPE + "dtype complex128"),
}
WRONG_VALUES = {
    "above 1": (
        _changed("x", (2, 1, 3, 0), 2.0),
        r"Modality 'x' holds 2\.0 at index \(2, 1, 3, 0\) \(1 such .*'bernoulli' cannot score\. "
        r"Expected values in \[0, 1\]",
    ),
    "below 0": (_changed("x", (0, 0, 0, 0), -1.0), r"Modality 'x' holds -1\.0 at index \(0, 0, 0, 0\)"),
    "two ones": (_changed("w", 5, 1.0), r"Modality 'w' holds \[1\. 1\. 1\.\] at index \(5,\) .*" + ONE_HOT),
    "no one": (_changed("w", 5, 0.0), r"Modality 'w' holds \[0\. 0\. 0\.\] at index \(5,\) .*" + ONE_HOT),
    "soft label": (
        _changed("w", 5, [0.2, 0.3, 0.5]),
        r"Modality 'w' holds \[0\.2 0\.3 0\.5\] at index \(5,\) .*" + ONE_HOT,
    ),
    "negative count": (
        _changed("c", (3, 4), -1.0),
        r"Modality 'c' holds -1\.0 at index \(3, 4\) .*'counts' cannot score\. Expected whole numbers of 0 or more",
    ),
    "half a count": (_changed("c", (3, 4), 0.5), r"Modality 'c' holds 0\.5 at index \(3, 4\) .*Expected whole numbers"),
    "nan": (
        _changed("v", (7, 1), np.nan),
        r"Modality 'v' holds nan at index \(7, 1\) \(1 such in all\)\. Expected finite numbers; "
        "remove or replace such values",
    ),
    "inf": (_changed("v", (7, 0), -np.inf), r"Modality 'v' holds -inf at index \(7, 0\) .*Expected finite numbers"),
    "nan in a label": (_changed("w", (1, 2), np.nan), r"Modality 'w' holds nan at index \(1, 2\) .*Expected one-hot"),
}


def _cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=[name.replace(" ", "-") for name in table])


@entries(EVERYWHERE)
@_cases(WRONG_SHAPE_OR_DTYPE)
def test_a_wrong_shape_or_dtype_is_refused(model, use, case):
    batch, error, message = case
    with pytest.raises(error, match=message):
        use(model, batch)


@entries(EVERYWHERE)
@_cases(WRONG_VALUES)
def test_values_that_cannot_be_scored_are_refused(model, use, case):
    batch, message = case
    with pytest.raises(ValueError, match=message):
        use(model, batch)


# tf.data cannot hold any of these.
ARRAYS_ONLY = {name: use for name, use in EVERYWHERE.items() if "dataset" not in name}


@entries(ARRAYS_ONLY)
@pytest.mark.parametrize("value", [np.array([None] * 12, object), [[1, 0, 0], [1]]], ids=["objects", "ragged"])
def test_what_is_no_array_of_numbers_is_refused(model, use, value):
    with pytest.raises(TypeError, match=W_SHAPE + "(ndarray|list)"):
        use(model, _with(w=value))


@entries(ARRAYS_ONLY)
def test_lengths_that_differ_are_refused(model, use):
    with pytest.raises(ValueError, match=r"the same number of examples; got \{'x': 12, 'w': 5, 'c': 12, 'v': 12\}"):
        use(model, _with(w=small_batch("w", size=5)["w"]))


@entries(EVERYWHERE)
def test_an_unknown_modality_is_refused(model, use):
    with pytest.raises(ValueError, match=r"Unknown modality 'caption'\. This model has 'x', 'w', 'c', 'v'"):
        use(model, _with(caption=np.zeros((12, 5))))


@entries(ARRAYS_ONLY)
def test_no_modality_at_all_is_refused(model, use):
    with pytest.raises(ValueError, match=r"No modality was given\. Pass at least one of 'x', 'w', 'c', 'v'"):
        use(model, {})


@entries({name: use for name, use in EVERYWHERE.items() if name != "reconstruct"})
def test_what_is_no_dict_is_refused(model, use):
    with pytest.raises(TypeError, match=r"Expected a dict of modalities such as \{'x', 'w', 'c', 'v': \.\.\.\}; got "):
        use(model, small_batch("x")["x"])


@entries(TRAINING)
def test_training_and_evaluation_need_every_modality(model, use):
    with pytest.raises(ValueError, match="Modality 'w', 'v' is missing: expected 'x', 'w', 'c', 'v', got 'x', 'c'"):
        use(model, small_batch("xc"))


NO_TARGETS = "no separate targets: pass every modality in one dict as x, and no y"


def test_targets_are_refused(model):
    batch = small_batch("xwcv")
    with pytest.raises(ValueError, match=NO_TARGETS):
        model.fit(batch, batch["w"], verbose=0)
    with pytest.raises(ValueError, match=NO_TARGETS):
        model.evaluate(batch, batch["w"], verbose=0)


def test_targets_in_a_dataset_are_refused():
    model = tj.JMVAE(small_modalities(), 2)
    model.compile(keras.optimizers.SGD(1e-3))
    batch = small_batch()
    with pytest.raises(ValueError, match=NO_TARGETS):
        model.fit(_dataset((batch, batch["w"])), verbose=0, shuffle=False)


def test_generating_nothing_is_refused(model):
    with pytest.raises(ValueError, match=r"Every modality is observed, so there is nothing to generate.*targets=\["):
        model.generate(small_batch("xwcv"))


def test_an_unknown_target_is_refused(model):
    with pytest.raises(ValueError, match=r"Unknown modality 'q'\. This model has 'x', 'w', 'c', 'v'"):
        model.generate(small_batch("x"), targets=["w", "q"])


@pytest.mark.parametrize("option", ["latent", "output"])
def test_an_unknown_option_of_generate_lists_the_known_ones(model, option):
    with pytest.raises(ValueError, match=f"{option} must be one of .*'mean'.*; got 'mode'"):
        model.generate(small_batch("x"), **{option: "mode"})


def test_shapes_names_and_dtypes_are_checked_while_a_graph_is_traced(model):
    def traced(**specs):
        tf.function(lambda observed: model.posterior(observed).mean()).get_concrete_function(specs)

    with pytest.raises(ValueError, match=X_SHAPE + r"shape \(None, 4, 4\)"):
        traced(x=tf.TensorSpec((None, 4, 4)))
    with pytest.raises(TypeError, match=W_SHAPE + "dtype string"):
        traced(w=tf.TensorSpec((None, 3), tf.string))
    with pytest.raises(ValueError, match="Unknown modality 'q'"):
        traced(q=tf.TensorSpec((None, 3)))


def test_a_shape_known_only_at_run_time_is_checked_then(model):
    posterior = tf.function(
        lambda w: model.posterior({"w": w}).mean(), input_signature=[tf.TensorSpec(None, tf.float32)]
    )
    batch = small_batch("w")["w"]
    np.testing.assert_allclose(posterior(batch), model.posterior({"w": batch}).mean(), rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[12,2\].*not compatible with expected shape"):
        posterior(batch[:, :2])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_whole_numbers_may_come_in_any_dtype(model, dtype):
    batch = small_batch("xwcv")
    batch["c"] = np.minimum(batch["c"], 1.0)
    other = {name: value if name == "v" else value.astype(dtype) for name, value in batch.items()}
    assert model.evaluate(other, verbose=0) == pytest.approx(model.evaluate(batch, verbose=0), rel=1e-6)
    assert model.elbo(other, seed=1).numpy() == pytest.approx(model.elbo(batch, seed=1).numpy(), rel=1e-6)


def test_training_is_the_same_in_any_dtype():
    def losses(batch):
        set_seeds(5)
        model = tj.JMVAE(small_modalities(), 2)
        model.compile(tj.optimizers.FusedAdam(0.01), run_eagerly=True)
        return model.fit(batch, epochs=2, batch_size=4, verbose=0).history["loss"]

    batch = small_batch()
    other = {"x": batch["x"].astype(bool), "w": batch["w"].astype(np.int64)}
    np.testing.assert_allclose(losses(other), losses(batch), rtol=1e-6)
    other = {"x": batch["x"].astype(np.float64), "w": batch["w"].astype(np.uint8)}
    np.testing.assert_allclose(losses(other), losses(batch), rtol=1e-6)


def test_values_on_the_edge_of_the_support_are_accepted(model):
    batch = small_batch("xwcv")
    batch["x"][:6], batch["x"][6:] = 0.0, 1.0
    batch["c"][:] = 0.0
    assert np.isfinite(model.elbo(batch, seed=1)).all()
    batch["x"][:] = 0.25  # a grey value is the probability of a 1
    assert np.isfinite(model.elbo(batch, seed=1)).all()


def test_lists_do_as_well_as_arrays(model):
    batch = small_batch("xw")
    as_lists = {name: value.tolist() for name, value in batch.items()}
    np.testing.assert_array_equal(model.posterior(as_lists).mean(), model.posterior(batch).mean())


def test_the_order_in_which_modalities_are_passed_does_not_matter(model):
    batch = small_batch("xwcv")
    reverse = dict(reversed(batch.items()))
    np.testing.assert_array_equal(model.elbo(reverse, seed=1), model.elbo(batch, seed=1))


# Settings.


@pytest.mark.parametrize("shape", [(), 10, None, (0,), (28, -1), (None, 3)], ids=str)
def test_an_event_shape_is_a_tuple_of_positive_sizes(shape):
    with pytest.raises(ValueError, match=r"event_shape must be a non-empty tuple of positive sizes.*; got "):
        tj.Modality(shape, "bernoulli")


@pytest.mark.parametrize("shape", [[4, 4, 1], np.array([4, 4, 1]), tf.TensorShape([4, 4, 1])], ids=repr)
def test_an_event_shape_may_be_any_sequence(shape):
    assert tj.Modality(shape, "bernoulli").event_shape == (4, 4, 1)


@pytest.mark.parametrize("likelihood", ["normal", None, 3])
def test_an_unknown_likelihood_lists_the_known_ones(likelihood):
    known = "'autoregressive_tokens', 'bernoulli', 'beta', 'categorical', 'counts', 'gaussian', "
    with pytest.raises(ValueError, match=f"Unknown likelihood {likelihood!r}. Expected one of {known}"):
        tj.Modality((3,), likelihood)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), True])
def test_a_weight_is_not_negative(weight):
    with pytest.raises(ValueError, match=f"weight must be a finite number of 0 or more; got {weight}"):
        tj.Modality((3,), "bernoulli", weight=weight)


@pytest.mark.parametrize("role", ["encoder", "decoder"])
@pytest.mark.parametrize("network", [[512, 512], "mlp", len], ids=["widths", "name", "function"])
def test_a_network_is_a_keras_layer(role, network):
    with pytest.raises(TypeError, match=rf"{role} must be a Keras layer or model, such as .*mlp\(\[512, 512\]\); got "):
        tj.Modality((3,), "bernoulli", **{role: network})


@pytest.mark.parametrize("name", ["two words", "x/y", "", "prior", "noise", "x_as_png", "x_bytes", "_x", "größe", 3])
def test_a_modality_has_a_name_that_metrics_can_carry(name):
    modalities = small_modalities("xw")
    with pytest.raises(
        ValueError,
        match=r"must be an ASCII Python identifier, begin with a letter, be none of 'as_png', .*; got ",
    ) as error:
        tj.JMVAE({name: modalities["x"], "w": modalities["w"]}, 2)
    assert repr(name) in str(error.value)


def test_names_may_hold_words_that_join_others_but_not_stand_for_two_things():
    x, w, v = small_modalities("xwv").values()
    assert list(tj.JMVAEKL({"text_and_image": x, "from_camera": w}, 2).subset_encoders) == [
        "text_and_image",
        "from_camera",
    ]
    with pytest.raises(ValueError, match="'a_and_b' could be two of them"):
        tj.JMVAE({"a": x, "b": w, "a_and_b": v}, 2)
    with pytest.raises(ValueError, match="'x_from_y_from_w' could be two of them"):
        tj.JMVAE({"x": x, "x_from_y": w, "y_from_w": v, "w": small_modalities("w")["w"]}, 2)


@pytest.mark.parametrize("name", ["traits_kept", "traits_changed"])
def test_images_are_not_called_what_edits_call_their_changes(name):
    x, w, v = small_modalities("xwv").values()
    traits = tj.Modality((2,), v.head, encoder=v.encoder, decoder=v.decoder, entry_names=("Bald", "Male"))
    with pytest.raises(ValueError, match=rf"an image beside it cannot be called '{name}'"):
        tj.JMVAE({"traits": traits, name: x}, 2)
    tj.JMVAE({"traits": traits, name: w}, 2)  # a label, which nothing edits
    other = tj.Modality((2,), v.head, encoder=v.encoder, decoder=v.decoder, entry_names=("Bald", "Male"))
    with pytest.raises(ValueError, match="'edit_x_by_a_by_b' could be two of them"):
        tj.JMVAE({"x": x, "a_by_b": traits, "x_by_a": small_modalities("x")["x"], "b": other}, 2)


def test_names_differ_in_more_than_case():
    modalities = small_modalities("xw")
    with pytest.raises(ValueError, match="must differ in more than their case; got x, X"):
        tj.JMVAE({"x": modalities["x"], "X": modalities["w"]}, 2)


NETWORKS = {
    "mlp": lambda size: tj.networks.mlp([size]),
    "filters": lambda size: tj.networks.conv_encoder([size]),
    "units": lambda size: tj.networks.conv_encoder([4], units=[size]),
    "decoder": lambda size: tj.networks.conv_decoder([size]),
    "start": lambda size: tj.networks.conv_decoder([4], start=(size, size)),
    "upsampling": tj.networks.upsampling,
    "text": lambda size: tj.networks.TextEncoder(size, size),
    "tokens": lambda size: tj.heads.AutoregressiveTokens(vocabulary_size=size, units=size),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_sizes_of_networks_are_whole_and_positive_numbers_also_of_numpy(make):
    for size in (np.int64(4), 4):
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(make(size)))
    for size in (0, -1, 2.0, True, "2", None):
        with pytest.raises(ValueError, match="must be a whole number of 1 or more; got "):
            make(size)


@pytest.mark.parametrize("size", [0, 2.0, True, "2", float("nan")])
def test_a_number_of_training_examples_is_whole_and_positive(size):
    with pytest.raises(ValueError, match="train_size must be a whole number of 1 or more; got "):
        tj.data.load("digits", train_size=size)


@pytest.mark.parametrize("epochs", [-1, True, "2", None, float("nan"), float("inf")])
def test_epochs_of_a_warm_up_are_a_number(epochs):
    with pytest.raises(ValueError, match="epochs must be a finite number of 0 or more; got "):
        tj.callbacks.KLWarmUp(epochs)


@pytest.mark.parametrize("modalities", [{}, None, [1, 2]], ids=["empty", "none", "list"])
def test_modalities_are_a_dict(modalities):
    with pytest.raises(ValueError, match="modalities must be a non-empty dict of Modality by name; got "):
        tj.JMVAE(modalities, 2)


def test_what_is_no_modality_is_named():
    with pytest.raises(ValueError, match=r"Modality 'w': expected a tf_jmvae\.Modality; got \(10,\)"):
        tj.JMVAE({**small_modalities("x"), "w": (10,)}, 2)


@pytest.mark.parametrize("kind", [tj.JMVAE, tj.JMVAEKL, tj.HierarchicalJMVAE])
def test_joint_models_take_two_modalities_or_more(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} takes at least 2 modalities; got 1: x"):
        kind(small_modalities("x"), 2)


def test_a_vae_takes_one_modality():
    with pytest.raises(ValueError, match="VAE takes exactly 1 modalities; got 2: x, w"):
        tj.VAE(small_modalities("xw"), 2)


@pytest.mark.parametrize("latent_dim", [0, -3, 2.5, "2", None, True])
def test_latent_dim_is_a_positive_integer(latent_dim):
    with pytest.raises(ValueError, match=f"latent_dim must be a whole number of 1 or more; got {latent_dim!r}"):
        tj.JMVAE(small_modalities(), latent_dim)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (tj.JMVAEKL, {"alpha": -0.1}, r"alpha must be a finite number of 0 or more; got -0\.1"),
        (tj.JMVAEKL, {"alpha": float("nan")}, "alpha must be a finite number of 0 or more; got nan"),
        (tj.JMVAEKL, {"subsets": "pairs"}, "subsets must be one of 'all', 'single', 'shared'; got 'pairs'"),
        (tj.HierarchicalJMVAE, {"num_layers": 0}, "num_layers must be a whole number of 1 or more; got 0"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_of_the_models_are_checked(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(small_modalities(), 2, **options)


def test_iterated_sampling_starts_from_zeros_or_noise():
    model = tj.JMVAE(small_modalities(), 2)
    with pytest.raises(ValueError, match="initial must be one of None, 'zeros', 'noise'; got 'ones'"):
        model.generate(small_batch("x"), iterated_sampling=tj.IteratedSampling(initial="ones"))


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "2"])
@pytest.mark.parametrize("verb", ["generate", "sample"])
def test_numbers_of_samples_are_whole_and_positive(verb, count):
    model = tj.JMVAEKL(small_modalities("xw"), 2)
    calls = {
        "generate": lambda number: model.generate(small_batch("w"), num_samples=number),
        "sample": model.sample,
    }
    with pytest.raises(ValueError, match="num_samples must be a whole number of 1 or more; got "):
        calls[verb](count)
    calls[verb](np.int64(2))
