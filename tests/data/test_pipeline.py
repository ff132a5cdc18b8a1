"""from_arrays: what an epoch is, that epochs differ, and that any epoch can be had again."""

import numpy as np
import pytest
import tensorflow as tf

from tf_jmvae.data import from_arrays

SIZE = 23
ARRAYS = {"x": np.repeat(np.arange(SIZE)[:, None], 3, axis=1), "w": -np.arange(SIZE)}
GREY = {"x": np.random.default_rng(0).uniform(0.2, 0.8, (SIZE, 6)), "w": np.arange(SIZE)}


def _batches(dataset):
    return list(dataset.as_numpy_iterator())


def _joined(dataset, name):
    return np.concatenate([batch[name] for batch in _batches(dataset)])


def _assert_equal(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_a_shuffled_pass_holds_every_example_once_and_keeps_modalities_together(batch_size):
    for batches in (
        from_arrays(ARRAYS, batch_size=batch_size, shuffle=True, epochs=range(number, number + 1))
        for number in range(4)
    ):
        rows = _joined(batches, "w")
        assert sorted(rows) == sorted(ARRAYS["w"])
        np.testing.assert_array_equal(_joined(batches, "x"), np.repeat(-rows[:, None], 3, axis=1))


def test_without_shuffling_the_order_is_kept():
    dataset = from_arrays(ARRAYS, batch_size=5)
    for _ in range(2):
        np.testing.assert_array_equal(_joined(dataset, "x"), ARRAYS["x"])
        np.testing.assert_array_equal(_joined(dataset, "w"), ARRAYS["w"])


@pytest.mark.parametrize("epochs", [None, range(1), range(2, 5), range(0)])
def test_last_batch_is_smaller_and_the_cardinality_is_the_number_of_batches(epochs):
    dataset = from_arrays(ARRAYS, batch_size=5, epochs=epochs)
    repeats = 1 if epochs is None else len(epochs)
    assert [len(batch["w"]) for batch in _batches(dataset)] == [5, 5, 5, 5, 3] * repeats
    assert dataset.cardinality().numpy() == 5 * repeats


def test_a_batch_may_be_larger_than_the_data():
    assert [len(batch["w"]) for batch in _batches(from_arrays(ARRAYS, batch_size=128))] == [SIZE]


def test_batches_are_float32_with_static_event_shapes():
    dataset = from_arrays({"x": np.ones((4, 2, 3), np.uint8), "w": np.array([[True], [False]] * 2)}, batch_size=3)
    assert {name: (spec.dtype, spec.shape[1:]) for name, spec in dataset.element_spec.items()} == {
        "x": (tf.float32, (2, 3)),
        "w": (tf.float32, (1,)),
    }
    np.testing.assert_array_equal(_joined(dataset, "w"), [[1.0], [0.0], [1.0], [0.0]])


@pytest.mark.parametrize("epochs", [None, range(2)])
def test_another_epoch_has_another_order_and_another_binarisation(epochs):
    def two_epochs(dataset):
        rounds = 1 if epochs else 2
        values = np.concatenate([_joined(dataset, "x") for _ in range(rounds)])
        return np.split(values, 2)

    first, second = two_epochs(from_arrays(ARRAYS, batch_size=5, shuffle=True, epochs=epochs))
    assert (first != second).any()
    first, second = two_epochs(from_arrays(GREY, batch_size=5, binarize=["x"], epochs=epochs))
    assert (first != second).mean() > 0.2


@pytest.mark.parametrize("shuffle", [False, True])
def test_any_pass_can_be_had_again(shuffle):
    options = {"batch_size": 5, "shuffle": shuffle, "binarize": ["x"], "seed": 3}
    whole = _batches(from_arrays(GREY, epochs=range(5), **options))
    _assert_equal(_batches(from_arrays(GREY, epochs=range(2, 5), **options)), whole[10:])
    _assert_equal(_batches(from_arrays(GREY, epochs=range(4, 5), **options)), whole[20:])


def test_given_epochs_are_the_same_at_every_iteration():
    dataset = from_arrays(GREY, batch_size=5, shuffle=True, binarize=["x"], epochs=range(2))
    _assert_equal(_batches(dataset), _batches(dataset))


@pytest.mark.parametrize("epochs", [None, range(3)])
def test_equal_seeds_repeat_and_others_do_not(epochs):
    def made(seed):
        dataset = from_arrays(GREY, batch_size=5, shuffle=True, binarize=["x"], seed=seed, epochs=epochs)
        return [batch for _ in range(2) for batch in _batches(dataset)]

    _assert_equal(made(7), made(7))
    for name in ("x", "w"):
        assert any((a[name] != b[name]).any() for a, b in zip(made(7), made(8), strict=True))


def test_binarisation_draws_ones_with_the_grey_value_as_probability():
    levels = np.array([0.0, 0.05, 0.3, 0.5, 0.9, 1.0])
    epochs, size = 300, 16
    dataset = from_arrays({"x": np.tile(levels, (size, 1))}, batch_size=6, binarize=["x"], epochs=range(epochs))
    drawn = _joined(dataset, "x")
    assert set(np.unique(drawn)) == {0.0, 1.0}
    error = np.sqrt(levels * (1 - levels) / (epochs * size))
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - levels), 4.5 * error + 1e-9)


def test_binarisation_is_independent_over_values_batches_and_modalities():
    size = 2000
    grey = np.full((size, 2), 0.5)
    dataset = from_arrays({"x": grey, "y": grey}, batch_size=size // 2, binarize=["y", "x"], epochs=range(2))
    x, y = _joined(dataset, "x"), _joined(dataset, "y")
    columns = [half[:, column] for value in (x, y) for half in np.split(value, 4) for column in range(2)]
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 5 / np.sqrt(size / 2)


def test_only_the_named_modalities_are_binarised():
    dataset = from_arrays({"x": GREY["x"], "y": GREY["x"]}, batch_size=5, binarize=["x"])
    assert set(np.unique(_joined(dataset, "x"))) == {0.0, 1.0}
    np.testing.assert_array_equal(_joined(dataset, "y"), GREY["x"].astype(np.float32))


CLASSES = np.random.default_rng(1).integers(0, 4, 200)
PAIRS = {"x": np.arange(200), "y": np.where(np.arange(200) % 40, np.arange(200), np.nan), "w": CLASSES}
PAIRED = {"batch_size": 32, "shuffle": True, "redraw": {"y": CLASSES}}


def _pairs(**options):
    """Whose y row i of x has in one epoch, `[N]`."""
    joined = {name: _joined(from_arrays(PAIRS, **PAIRED | options), name) for name in PAIRS}
    np.testing.assert_array_equal(joined["w"], CLASSES[joined["x"].astype(int)])  # w stays with x
    return joined["y"][np.argsort(joined["x"])]


@pytest.mark.parametrize("shuffle", [True, False])
def test_what_is_redrawn_is_a_permutation_of_the_rows_of_each_class_that_hold_it(shuffle):
    for epoch in range(3):
        pairs = _pairs(epochs=range(epoch, epoch + 1), shuffle=shuffle)
        lacking = np.isnan(PAIRS["y"])
        np.testing.assert_array_equal(np.isnan(pairs), lacking)
        for number in range(4):
            holding = (number == CLASSES) & ~lacking
            assert sorted(pairs[holding]) == list(np.flatnonzero(holding))


def test_every_epoch_and_seed_redraws_anew_and_can_be_had_again():
    made = {key: _pairs(epochs=range(key[0], key[0] + 1), seed=key[1]) for key in ((0, 3), (1, 3), (0, 4))}
    for one, other in ((made[0, 3], made[1, 3]), (made[0, 3], made[0, 4]), (made[0, 3], PAIRS["y"])):
        assert np.mean(one == other) < 0.08  # by chance a class of 50 has one row in 50
    later = from_arrays(PAIRS, epochs=range(2), seed=3, **PAIRED)
    np.testing.assert_array_equal(
        _joined(later, "y")[200:], _joined(from_arrays(PAIRS, epochs=range(1, 2), seed=3, **PAIRED), "y")
    )


def test_every_row_of_a_class_is_as_likely():
    epochs, size = 400, 8
    arrays = {"x": np.arange(2 * size), "y": np.arange(2 * size)}
    classes = {"y": np.arange(2 * size) % 2}
    dataset = from_arrays(arrays, batch_size=2 * size, redraw=classes, epochs=range(epochs))
    drawn = _joined(dataset, "y").reshape(epochs, 2 * size)
    shares = np.mean(drawn[..., None] == np.arange(2 * size), axis=0)
    expected = (np.arange(2 * size)[:, None] % 2 == np.arange(2 * size) % 2) / size
    assert np.abs(shares - expected).max() < 5 * np.sqrt(1 / size * (1 - 1 / size) / epochs)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": np.ones((4, 2)), "w": np.ones((3, 2))}, {}, r"one common number of examples.*\{'x': 4, 'w': 3\}"),
        ({}, {}, r"one common number of examples, at least 1; got \{\}"),
        ({"x": np.ones((0, 2))}, {}, r"at least 1; got \{'x': 0\}"),
        ({"x": np.array(["a", "b"])}, {}, r"Modality 'x': expected numbers of shape \[N, \.\.\.\]; got dtype <U1"),
        ({"x": np.array(["a", 1.0], object)}, {}, "Modality 'x': expected numbers .* got dtype object"),
        ({"x": 3.0}, {}, r"Modality 'x': expected numbers of shape \[N, \.\.\.\]; got dtype float64, shape \(\)"),
        (ARRAYS, {"batch_size": 0}, "batch_size must be a whole number of 1 or more; got 0"),
        (ARRAYS, {"batch_size": -5}, "batch_size must be a whole number of 1 or more; got -5"),
        (GREY, {"binarize": ["y"]}, r"binarize names \['y'\], but the arrays are \['x', 'w'\]"),
        (GREY, {"binarize": ["w"]}, r"Modality 'w': binarize expects values in \[0, 1\]; got \[0\.0, 22\.0\]"),
        (GREY, {"redraw": {"y": np.zeros(SIZE, int)}}, r"redraw names \['y'\], but the arrays are \['x', 'w'\]"),
        (GREY, {"redraw": {"x": np.zeros(3, int)}}, r"redraw expects the classes of its 23 rows.*shape \(3,\)"),
        (GREY, {"redraw": {"x": np.zeros(SIZE)}}, "redraw expects .*whole numbers; got dtype float64"),
        ({"x": np.array([-0.5, 1])}, {"binarize": ["x"]}, r"binarize expects values in \[0, 1\]; got \[-0\.5, 1\.0\]"),
    ],
    ids=[
        "lengths differ",
        "no arrays",
        "no examples",
        "strings",
        "objects",
        "scalar",
        "batch size 0",
        "negative batch size",
        "unknown name",
        "above 1",
        "redraw unknown name",
        "redraw too few",
        "redraw no classes",
        "below 0",
    ],
)
def test_what_cannot_be_batched_is_refused(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(arrays, **options)


def test_the_order_depends_on_the_seed_and_not_on_tensorflow_s_global_one():
    orders = []
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        dataset = from_arrays({"x": np.arange(20.0)}, batch_size=20, shuffle=True, seed=5)
        orders.append([next(iter(dataset))["x"].numpy().tolist() for _ in range(2)])
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
