"""What says that something is missing, by whatever way data come in, and what is said of it."""

import functools
import re

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small_models import set_seeds, small_batch, small_modalities

import tf_jmvae as tj
from tf_jmvae._utils import gaps

SIZE = 12
LACKING = [1, 4, 7, 8]  # rows without w


def _modalities(**optional):
    made = small_modalities("xwv")
    for name, value in optional.items():
        made[name].optional = value
    return made


def _batch(names="xwv"):
    batch = small_batch(names, SIZE)
    batch["w"][LACKING] = np.nan
    return batch


@pytest.fixture(scope="module")
def model():
    set_seeds(1)
    model = tj.JMVAEKL(_modalities(w=True, v=True), 2)
    model.compile(keras.optimizers.SGD(0.0))
    return model


def _masked(array):
    mask = np.isnan(array)
    return np.ma.MaskedArray(np.where(mask, 1.0, array), mask)  # under the mask what the likelihood takes


class _Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return ({name: value[5 * index : 5 * index + 5] for name, value in self.batch.items()},)


def _frames(batch):
    return {**batch, "w": pd.DataFrame(batch["w"]).astype("Float64")}


WAYS = {
    "arrays": lambda batch: batch,
    "float64": lambda batch: {name: value.astype(np.float64) for name, value in batch.items()},
    "masked": lambda batch: {**batch, "w": _masked(batch["w"])},
    "data frames": lambda batch: {**batch, "w": pd.DataFrame(batch["w"])},
    "nullable data frames": lambda batch: {**batch, "w": pd.DataFrame(batch["w"]).astype("Float64")},
    "objects": lambda batch: {**batch, "w": np.where(np.isnan(batch["w"]), None, batch["w"])},
    "NA objects": lambda batch: {**batch, "w": np.where(np.isnan(batch["w"]), pd.NA, batch["w"].astype(object))},
    "lists": lambda batch: {**batch, "w": [[None if np.isnan(v) else float(v) for v in row] for row in batch["w"]]},
    "tensors": lambda batch: {name: tf.constant(value) for name, value in batch.items()},
    "tf.data": lambda batch: tf.data.Dataset.from_tensor_slices(batch).batch(5),
    "from_arrays": lambda batch: tj.data.from_arrays(batch, batch_size=5),
    "from_arrays of masks": lambda batch: tj.data.from_arrays({**batch, "w": _masked(batch["w"])}, batch_size=5),
    "generator": lambda batch: (({n: v[i : i + 5] for n, v in batch.items()},) for i in range(0, SIZE, 5)),
    "generator of masks": lambda batch: (b for b in _Batches({**batch, "w": _masked(batch["w"])})),
    "generator of frames": lambda batch: (b for b in _Batches(_frames(batch))),
    "PyDataset of masks": lambda batch: _Batches({**batch, "w": _masked(batch["w"]).astype(int)}),
    "PyDataset of frames": lambda batch: _Batches(_frames(batch)),
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, of generators
@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_says_the_same_and_names_the_count(way, model, capsys):
    def evaluated(data):
        return model.evaluate(data, batch_size=None if not isinstance(data, dict) else 5, verbose=1, return_dict=True)

    expected = evaluated(_batch())
    capsys.readouterr()
    found = evaluated(WAYS[way](_batch()))
    said = re.search(r"Missing in the (data|batches): w: 4 of 12 rows missing\.", capsys.readouterr().out)
    assert said[1] == ("batches" if way.startswith(("tf.data", "generator", "PyDataset", "from_arrays")) else "data")
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("way", ["arrays", "tf.data"])
def test_fit_says_it_once_and_nothing_where_nothing_is_missing_or_nothing_is_to_be_said(way, model, capsys):
    said = "w: 4 of 12 rows missing"
    model.fit(WAYS[way](_batch()), epochs=2, verbose=2)
    assert capsys.readouterr().out.count(said) == 1
    model.fit(WAYS[way](small_batch("xwv", SIZE)), validation_data=WAYS[way](_batch()), epochs=2, verbose=2)
    said_of_validation = re.findall(r"Missing in the validation (?:data|batches): " + said, capsys.readouterr().out)
    assert len(said_of_validation) == 1
    model.fit(WAYS[way](_batch()), epochs=1, verbose=0)
    model.fit(WAYS[way](small_batch("xwv", SIZE)), epochs=1, verbose=2)
    assert "missing" not in capsys.readouterr().out


def test_callbacks_may_come_as_keras_has_them_inside(model, capsys):
    seen = []
    own = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    model.fit(
        WAYS["tf.data"](_batch()),
        verbose=2,
        callbacks=keras.callbacks.CallbackList([own], add_history=True, model=model),
    )
    assert seen == [0]
    assert "w: 4 of 12 rows missing" in capsys.readouterr().out


@pytest.fixture(scope="module", params=["all", "single"])
def trained(request):
    """What a model becomes in training on rows that have this under their masks: one graph trains them all."""
    set_seeds(1)
    model = tj.JMVAEKL(_modalities(w=True, v=True), 2, subsets=request.param)
    model.compile(keras.optimizers.SGD(0.1))
    start = model.get_weights()

    @functools.cache
    def trained(value):
        model.set_weights(start)
        data = small_batch("xwv", SIZE)
        for name, rows in (("w", LACKING), ("v", [0, 1, 5])):
            mask = np.zeros(data[name].shape, bool)
            mask[rows] = True
            values = data[name].copy()
            values[rows] = value
            data[name] = np.ma.MaskedArray(values, mask)
        history = model.fit(data, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        return history, model.get_weights()

    return trained


@pytest.mark.parametrize("garbage", [np.nan, 1e30, -1.0, np.inf], ids=str)
def test_whatever_lies_under_a_mask_changes_nothing_in_training(garbage, trained):
    history, weights = trained(garbage)
    expected, expected_weights = trained(0.5)
    for name, values in expected.items():  # the elbo's terms are summed in any order
        assert history[name] == pytest.approx(values, rel=1e-6)
    for one, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_column_of_pandas_is_a_modality_of_one_number():
    set_seeds(1)
    frame = pd.DataFrame({"age": [31.0, None, 47.0, 52.0], "smokes": pd.array([True, False, None, True], "boolean")})
    modalities = {
        "age": tj.Modality((1,), "gaussian", optional=True),
        "smokes": tj.Modality((1,), "bernoulli", optional=True),
    }
    model = tj.JMVAEKL(modalities, 2)
    q = model.posterior({name: frame[name] for name in modalities})
    alone = model.posterior({"age": np.array([[47.0]])})
    np.testing.assert_allclose(q.mean()[2], alone.mean()[0], rtol=1e-6)


def test_dates_are_no_numbers():
    model = tj.JMVAEKL({name: tj.Modality((1,), "gaussian", optional=True) for name in "ab"}, 2)
    dates = pd.Series(pd.to_datetime(["2020-01-01", None]))
    for value in (dates, pd.DataFrame({"seen": dates}), dates - dates[0]):
        with pytest.raises(TypeError, match=r"Modality 'a': expected numbers of shape \[batch, 1\]; got"):
            model.posterior({"a": value, "b": np.ones((2, 1))})


@pytest.mark.parametrize("row", range(7))
def test_a_gap_is_found_in_whichever_chunk_of_an_array_it_stands(row, monkeypatch):
    monkeypatch.setattr(gaps, "_CHUNK", 4)  # entries: two rows at a time
    whole, entry, lacking = (np.zeros((7, 2), np.float32) for _ in range(3))
    entry[row, 1] = lacking[row] = np.nan
    for values in (entry, lacking):
        assert gaps.has_any(values)
        assert gaps.has_any(tf.constant(values))
    assert not gaps.has_any(whole)
    np.testing.assert_array_equal(gaps.missing_rows(lacking), np.arange(7) == row)
    modality = tj.Modality((2,), "gaussian", optional="entries")
    assert str(gaps.Counts().add({"v": modality}, {"v": entry})) == "v: 1 of 14 entries missing in its rows"
    assert str(gaps.Counts().add({"v": modality}, {"v": lacking})) == "v: 1 of 7 rows missing"


# What is refused.


def _calls():
    def fitted(model, data):
        model.compile("sgd", run_eagerly=True)
        model.fit(data, verbose=0)

    return {
        "fit": fitted,
        "fit on tf.data": lambda model, data: fitted(model, tf.data.Dataset.from_tensor_slices(data).batch(4)),
        "posterior": lambda model, data: model.posterior(data),
        "elbo": lambda model, data: model.elbo(data),
        "generate": lambda model, data: model.generate(data, targets=["x"]),
    }


CALLS = _calls()
by_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@by_call
def test_nan_stays_an_error_where_nobody_said_that_a_modality_is_optional(call):
    with pytest.raises(ValueError, match=r"'w' holds nan at index \(1, 0\).*Modality\(\.\.\., optional=True\)"):
        call(tj.JMVAEKL(_modalities(), 2), _batch())


@by_call
def test_a_row_that_is_there_in_part_is_an_error(call):
    batch = _batch()
    batch["w"][6, 1] = np.nan
    with pytest.raises(ValueError, match=r"Modality 'w' holds nan at index \(6, 1\) \(1 such in all\).*'entries'"):
        call(tj.JMVAEKL(_modalities(w=True), 2), batch)


@by_call
def test_a_row_that_holds_nothing_is_an_error(call):
    batch = _batch()
    for value in batch.values():
        value[7] = np.nan
    with pytest.raises(ValueError, match=r"Row 7 holds nothing \(1 such in all\)"):
        call(tj.JMVAEKL(_modalities(x=True, w=True, v=True), 2), batch)


@by_call
@pytest.mark.parametrize("cls", [tj.JMVAE, tj.HierarchicalJMVAE])
def test_models_that_read_every_modality_say_which_one_does_not(call, cls):
    with pytest.raises(
        ValueError, match=rf"Row 1 lacks modality 'w' \((4|1) such in all\)\. A {cls.__name__}.*JMVAEKL"
    ):
        call(cls(_modalities(w=True), 2), _batch())


@by_call
@pytest.mark.parametrize("cls", [tj.CVAE, tj.CMMA])
def test_one_way_models_refuse_rows_without_what_they_are_given(call, cls):
    with pytest.raises(ValueError, match=rf"Row 1 lacks modality 'w'.*A {cls.__name__}"):
        call(cls(_modalities(w=True), 2, target="x"), _batch())


def test_values_that_are_there_are_still_checked(model):
    batch = _batch()
    batch["w"][5] = 1.0
    with pytest.raises(ValueError, match=r"Modality 'w' holds 1\.0 at index \(5, 0\).*cannot score"):
        model.posterior(batch)


def test_entries_need_a_likelihood_that_scores_them_one_by_one():
    with pytest.raises(ValueError, match=r"optional='entries'.*'categorical' does not"):
        tj.Modality((3,), "categorical", optional="entries")
    with pytest.raises(ValueError, match="optional must be one of False, True, 'entries'; got 'rows'"):
        tj.Modality((3,), "gaussian", optional="rows")


def test_it_is_saved_with_the_model(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [m.optional for m in loaded.modalities.values()] == [False, True, True]
    assert loaded.spec.modalities["w"].optional is True
    np.testing.assert_array_equal(loaded.posterior(_batch()).mean(), model.posterior(_batch()).mean())


def test_an_export_answers_rows_with_gaps_as_the_model_does(model, tmp_path):
    served = tj.hub.load(str(model.export(tmp_path / "exported", observed=[["x", "w"]])))
    assert served.spec.modalities["w"].optional is True
    for data in (_batch(), {**_batch(), "w": _masked(_batch()["w"])}, {n: _batch()[n] for n in "xw"}):
        found = served.encode(data)["mean"]
        np.testing.assert_allclose(found, model.posterior(data).mean(), rtol=1e-5, atol=1e-6)
    with_none = np.where(np.isnan(_batch()["w"]), None, _batch()["w"]).tolist()
    found = served.encode({**_batch(), "w": with_none})["mean"]
    np.testing.assert_allclose(found, model.posterior(_batch()).mean(), rtol=1e-5, atol=1e-6)
    assert list(served.generate(_batch(), seed=1)) == ["w"]  # what is missing
    assert list(served.generate({name: _batch()[name] for name in "xw"}, seed=1)) == ["w", "v"]
    partly = _batch()
    partly["w"][6, 1] = np.nan
    with pytest.raises(ValueError, match=r"'w' holds nan at index \(6, 1\)"):
        served.encode(partly)


# What is generated.


def test_what_is_missing_is_generated_in_every_row(model):
    found = model.generate(_batch(), seed=1)
    assert list(found) == ["w"]
    assert found["w"].shape == (SIZE, 3)
    assert np.isfinite(found["w"]).all()
    with pytest.raises(ValueError, match="nothing to generate"):
        model.generate(small_batch("xwv", SIZE))
    assert list(model.reconstruct(_batch(), seed=1)) == ["x", "w", "v"]


def test_a_row_without_a_modality_has_what_is_generated_from_the_others(model):
    found = model.generate(_batch(), latent="mean")["w"]
    rest = {name: _batch()[name] for name in "xv"}
    np.testing.assert_allclose(
        found.numpy()[LACKING], model.generate(rest, latent="mean")["w"].numpy()[LACKING], rtol=1e-5
    )
    np.testing.assert_allclose(model.predict(_batch(), verbose=0)["w"], found, rtol=1e-5)
