"""Data made incomplete for experiments, and batches in which few rows are complete."""

import numpy as np
import pytest
import tensorflow as tf

from tf_jmvae import data
from tf_jmvae.data.batching import Batching
from tf_jmvae.distribute.replicas import Shards

SIZE = 200


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), [80, 60, 40, 20])
    return {
        "x": np.arange(SIZE, dtype=np.uint8)[:, None],
        "w": np.eye(4, dtype=np.float32)[classes],
        "v": random.normal(size=(SIZE, 2)).astype(np.float32),
    }


def _lacking(arrays, name):
    return np.isnan(arrays[name]).reshape(len(arrays[name]), -1)


def test_so_many_rows_lack_a_modality_as_were_asked_for_and_others_are_what_they_were(arrays):
    found = data.without(arrays, {"w": 0.9, "x": 0.25}, seed=3)
    for name, fraction in (("w", 0.9), ("x", 0.25)):
        lacking = _lacking(found, name)
        assert lacking.all(axis=1).sum() == lacking.any(axis=1).sum() == fraction * SIZE
        np.testing.assert_array_equal(found[name][~lacking[:, 0]], arrays[name][~lacking[:, 0]])
    assert found["v"] is arrays["v"]
    assert not np.isnan(arrays["w"]).any()


def test_a_seed_repeats_it_and_each_modality_has_its_own_rows(arrays):
    one, same, other = (data.without(arrays, {"w": 0.5, "v": 0.5}, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one["w"], same["w"])
    assert not np.array_equal(one["w"], other["w"], equal_nan=True)
    both = _lacking(one, "w")[:, 0] & _lacking(one, "v")[:, 0]
    assert 25 < both.sum() < 75  # of 50 expected


def test_no_row_loses_all(arrays):
    pair = {name: arrays[name] for name in "xw"}
    found = data.without(pair, {"w": 0.475, "x": 0.475})
    lacking = [_lacking(found, name)[:, 0] for name in "xw"]
    assert not (lacking[0] & lacking[1]).any()
    assert (~lacking[0] & ~lacking[1]).sum() == 0.05 * SIZE
    with pytest.raises(ValueError, match=r"120 rows cannot lack 'x': 80 hold it, hold something else as well"):
        data.without(pair, {"w": 0.6, "x": 0.6})


def test_as_many_of_each_class_keep_it_where_that_is_asked_for(arrays):
    found = data.without(arrays, {"w": data.Missing(0.8, balanced=True)}, seed=1)
    assert np.nansum(found["w"], axis=0).tolist() == [10, 10, 10, 10]
    other = data.without(arrays, {"w": data.Missing(0.8, balanced=True)}, seed=2)
    assert not np.array_equal(found["w"], other["w"], equal_nan=True)


def test_only_rows_of_some_classes_lack_it_by_a_rule(arrays):
    names = ("cat", "dog", "cow", "pig")
    found = data.without(arrays, {"x": data.Missing(0.3, of=("dog", "pig"))}, class_names=names)
    classes = arrays["w"].argmax(-1)[_lacking(found, "x")[:, 0]]
    assert len(classes) == 60
    assert set(classes) == {1, 3}
    with pytest.raises(ValueError, match="'owl' is none of 'cat', 'dog'"):
        data.without(arrays, {"x": data.Missing(0.3, of=("owl",))}, class_names=names)


def test_mistakes_are_named(arrays):
    with pytest.raises(ValueError, match=r"missing names 'y', but the modalities are 'x', 'w', 'v'"):
        data.without(arrays, {"y": 0.5})
    with pytest.raises(ValueError, match=r"between 0 and 1; got 2"):
        data.Missing(2)
    with pytest.raises(ValueError, match=r"balanced=True balances the classes of w, which the data lack"):
        data.without({"x": arrays["x"], "v": arrays["v"]}, {"x": data.Missing(0.5, balanced=True)})


def test_a_dataset_is_loaded_with_rows_missing_and_its_test_split_is_whole():
    source = data.load("digits", missing={"w": data.Missing(0.9, balanced=True)}, missing_seed=5)
    assert np.isnan(source.train["w"][:, 0]).sum() == round(0.9 * 1437)
    assert not np.isnan(source.test["w"]).any()
    dropped = data.load("digits", missing={"w": data.Missing(0.9, balanced=True)}, missing_seed=5, incomplete="drop")
    kept = ~np.isnan(source.train["w"][:, 0])
    np.testing.assert_array_equal(dropped.train["x"], source.train["x"][kept])
    batches = list(source.train_batches(64, epochs=range(1)))
    assert len(batches) == source.num_batches(64)
    with pytest.raises(ValueError, match="incomplete must be one of 'keep', 'drop'"):
        data.load("digits", incomplete="ignore")


# Batches.


def _rows(arrays, **options):
    """The rows of every batch, by the numbers in x."""
    batches = data.from_arrays(arrays, batch_size=16, **{"shuffle": True, "epochs": range(1), **options})
    return [batch["x"].numpy()[:, 0].astype(int) for batch in batches]


@pytest.fixture(scope="module")
def sparse(arrays):
    """Rows of which the first ten alone are complete."""
    v = arrays["v"].copy()
    v[10:] = np.nan
    return {"x": arrays["x"].astype(np.float32), "v": v}


@pytest.mark.parametrize(("fraction", "complete"), [(0.5, 8), (0.3, 5), (1.0, 15)])
def test_every_batch_has_that_fraction_of_complete_rows_and_an_epoch_every_other_row_once(sparse, fraction, complete):
    batches = _rows(sparse, complete_rows=fraction)
    assert [np.sum(rows < 10) for rows in batches] == [complete] * len(batches)
    fresh = np.concatenate([rows[rows >= 10] for rows in batches])
    assert sorted(fresh) == list(range(10, SIZE))
    assert list(fresh) != sorted(fresh)
    repeated = np.concatenate([rows[rows < 10] for rows in batches])
    counts = np.bincount(repeated, minlength=10)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("options", [{"complete_rows": 0.0}, {"shuffle": False}], ids=str)
def test_rows_come_as_they_are_where_nothing_is_to_be_repeated(sparse, options):
    assert sorted(np.concatenate(_rows(sparse, **options))) == list(range(SIZE))


def test_nothing_is_repeated_where_enough_rows_are_complete(arrays):
    half = {**arrays, "v": np.where(np.arange(SIZE)[:, None] % 2, arrays["v"], np.nan)}
    plain = _rows(arrays)
    assert [list(rows) for rows in _rows(half)] == [list(rows) for rows in plain]


def test_any_epoch_can_be_had_again_and_shards_are_parts_of_it(sparse):
    first, second = (_rows(sparse, epochs=range(n, n + 1)) for n in (0, 1))
    both = _rows(sparse, epochs=range(2))
    assert [list(rows) for rows in both] == [list(rows) for rows in first + second]
    assert not np.array_equal(first[0], second[0])
    shards = _rows(sparse, epochs=range(1), shards=Shards(range(3), 3))
    np.testing.assert_array_equal(np.concatenate(shards), np.concatenate(first))


def test_binarisation_leaves_gaps(sparse):
    grey = {"x": np.full((40, 1), 0.5, np.float32), "v": sparse["v"][:40]}
    grey["x"][::4] = np.nan
    (batch,) = data.from_arrays(grey, batch_size=40, binarize=["x"])
    values = batch["x"].numpy()[:, 0]
    np.testing.assert_array_equal(np.isnan(values), np.arange(40) % 4 == 0)
    assert set(values[~np.isnan(values)]) == {0.0, 1.0}


def test_a_fraction_that_is_none_is_refused(sparse):
    with pytest.raises(ValueError, match=r"complete_rows must be a fraction, from 0 to 1; got 1\.5"):
        _rows(sparse, complete_rows=1.5)


def test_rounds_of_repeated_rows_have_orders_of_their_own():
    complete = np.zeros(1000, bool)
    complete[:3] = True
    batching = Batching.of(complete, 16, 0.5)
    rows = batching.rows(tf.constant(5, tf.int64), tf.constant([1, 2])).numpy()
    orders = [tuple(rows[start : start + 3]) for start in (2, 5)]  # places 42 and 45, beginnings of rounds
    assert all(set(order) == {0, 1, 2} for order in orders)
    many = [tuple(batching.rows(tf.constant(3 * n, tf.int64), tf.constant([1, 2])).numpy()[:3]) for n in range(12)]
    assert len(set(many)) > 1


def test_no_row_loses_all_of_the_modalities_that_are_used(tmp_path):
    half = {"x": 0.5, "w": 0.5}
    with pytest.raises(ValueError, match="rows cannot lack 'x'"):
        data.load("digits", modalities=["x"], missing={"x": 0.5})
    source = data.load("digits", modalities=["w", "x"], missing=half)
    assert list(source.train) == ["w", "x"]
    lacking = [np.isnan(values).reshape(len(values), -1).all(axis=1) for values in source.train.values()]
    assert not np.all(lacking, axis=0).any()
