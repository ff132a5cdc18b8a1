"""Rows that lack a target of a one-way model, and nothing else, are left out: as if they had never been there."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj

# Keras's, of fewer batches than it has counted, or of data whose length it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")

SIZE = 12
LACKING = [1, 4, 7, 8]  # rows without w
KEPT = np.setdiff1d(np.arange(SIZE), LACKING)
WEIGHTS = np.linspace(0.5, 1.5, SIZE).astype(np.float32)
SAID = "w: 4 of 12 rows missing; {} uses the 8 rows with w."
by_model = pytest.mark.parametrize("cls", [tj.CVAE, tj.CMMA])


def _data():
    data = small_batch("xwv", SIZE)
    data["w"][LACKING] = np.nan
    return data


def _rows(data, rows):
    return {name: value[rows] for name, value in data.items()}


def _model(cls=tj.CVAE, target="w", **optional):
    """With statistics that `fit` takes from the rows that it uses."""
    set_seeds(1)
    modalities = small_modalities("xwv")
    networks = {"encoder": tj.networks.mlp([8]), "decoder": tj.networks.mlp([8])}
    modalities["v"] = tj.Modality((2,), "gaussian", standardized=True, **networks)
    for name, value in (optional or {"w": True}).items():
        modalities[name].optional = value
    model = cls(modalities, 2, target=target)
    model.noise_state.assign([7, 0])
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def _batches(rows, size=4):
    """Batches of those rows in the batches of all, with weights: as the model is to see them."""
    data = _data()

    def stream():
        for start in range(0, SIZE, size):
            own = [row for row in rows if start <= row < start + size]
            yield _rows(data, own), np.zeros((len(own), 0), np.float32), WEIGHTS[own]

    specs = {name: tf.TensorSpec((None, *value.shape[1:])) for name, value in data.items()}
    signature = (specs, tf.TensorSpec((None, 0)), tf.TensorSpec((None,)))
    return tf.data.Dataset.from_generator(stream, output_signature=signature)


def _assert_equal(model, other):
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@by_model
def test_arrays_train_and_are_scored_as_their_other_rows_alone(cls, capsys):
    model, alone = _model(cls), _model(cls)
    options = {"batch_size": 4, "epochs": 2, "shuffle": False}
    found = model.fit(_data(), sample_weight=WEIGHTS, verbose=2, **options).history
    assert capsys.readouterr().out.count(f"Missing in the data: {SAID.format(cls.__name__)}") == 1
    expected = alone.fit(_rows(_data(), KEPT), sample_weight=WEIGHTS[KEPT], verbose=0, **options).history
    assert found == expected
    _assert_equal(model, alone)
    assert model.evaluate(_data(), verbose=0) == alone.evaluate(_rows(_data(), KEPT), verbose=0)
    assert model.test_on_batch(_data()) == alone.test_on_batch(_rows(_data(), KEPT))
    assert model.train_on_batch(_data()) == alone.train_on_batch(_rows(_data(), KEPT))


@by_model
def test_batches_train_and_are_scored_as_they_are_without_these_rows(cls, capsys):
    model, alone = _model(cls), _model(cls)
    found = model.fit(_batches(range(SIZE)), epochs=2, verbose=2).history
    assert capsys.readouterr().out.count(f"Missing in the batches: {SAID.format(cls.__name__)}") == 1
    assert found == alone.fit(_batches(KEPT), epochs=2, verbose=0).history
    _assert_equal(model, alone)
    assert model.evaluate(_batches(range(SIZE)), verbose=0) == alone.evaluate(_batches(KEPT), verbose=0)


def test_in_a_graph_batches_may_be_of_any_size_and_one_without_any_row_is_no_step():
    data, steps = _data(), []
    data["w"][:4] = np.nan
    model = _model()
    model.compile(keras.optimizers.SGD(0.1))
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    batches = tf.data.Dataset.from_tensor_slices(data).batch(4, drop_remainder=True)
    model.fit(batches, validation_data=batches, callbacks=[count], verbose=0)
    assert len(steps) == 2
    assert np.isfinite(model.evaluate(batches, verbose=0)).all()


@by_model
def test_a_row_is_left_out_that_lacks_one_of_several_targets(cls, capsys):
    data = _data()
    data["v"][[0, 1]] = np.nan
    model = _model(cls, ["w", "v"], w=True, v=True)
    model.evaluate(data, verbose=2)
    said = f"w: 4 of 12 rows missing; v: 2 of 12 rows missing; {cls.__name__} uses the 7 rows with w and v."
    assert said in capsys.readouterr().out


@by_model
@pytest.mark.parametrize("way", ["arrays", "tf.data"])
def test_a_row_without_what_the_model_is_given_stays_an_error(cls, way):
    data = _data()
    data["x"][[1, 2]] = np.nan  # row 1 lacks w, too
    data = data if way == "arrays" else tf.data.Dataset.from_tensor_slices(data).batch(6)
    for verb in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=rf"Row 1 lacks modality 'x' \(2 such in all\)\. A {cls.__name__} reads"):
            getattr(_model(cls, x=True, w=True), verb)(data, verbose=0)


@pytest.mark.parametrize("way", ["arrays", "tf.data"])
def test_data_without_any_target_are_an_error(way):
    data = _data()
    data["w"][:] = np.nan
    data = data if way == "arrays" else tf.data.Dataset.from_tensor_slices(data).batch(6)
    for verb in ("fit", "evaluate"):
        with pytest.raises(ValueError, match="No row holds 'w', and a CVAE leaves out rows that lack it"):
            getattr(_model(), verb)(data, verbose=0)


@by_model
def test_what_answers_row_by_row_leaves_none_out(cls):
    model, answers = _model(cls), ("posterior", "elbo", "predict", "generate")
    for verb in answers:
        with pytest.raises(ValueError, match=r"Row 1 lacks modality 'w' \(4 such in all\)"):
            getattr(model, verb)(_data())
