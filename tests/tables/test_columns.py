"""Kinds of columns: cells become values and values the same cells again; gaps are NaN; what is wrong is said."""

import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from tf_jmvae._utils.tables import with_spread
from tf_jmvae.columns import kind_of
from tf_jmvae.registry import COLUMNS
from tf_jmvae.specs import Columns, ModalitySpec


def adapted(kind, cells, **options):
    table = pd.DataFrame(cells)
    own = COLUMNS.get(kind).adapt(table, list(table.columns), **options)
    assert Columns(**own.to_json()) == own
    return kind_of(own), table


@pytest.mark.parametrize(
    ("kind", "cells", "values"),
    [
        ("numbers", {"a": ["1.5", "-2", None], "b": [3, np.nan, 5.0]}, [[1.5, 3], [-2, np.nan], [np.nan, 5]]),
        ("counts", {"a": ["0", "12", ""]}, [[0], [12], [np.nan]]),
        ("category", {"a": ["cat", " dog ", None, "cat"]}, [[1, 0], [0, 1], [np.nan, np.nan], [1, 0]]),
        ("category", {"a": [10.0, 9.0, np.nan]}, [[0, 1], [1, 0], [np.nan, np.nan]]),
        ("attributes", {"a": ["yes", "no", ""], "b": [True, None, False]}, [[1, 1], [0, np.nan], [np.nan, 0]]),
        (
            "text",
            {"a": ["a cat, a dog", "A cat!", "a fox", None]},
            [[2, 3, 2, 1], [2, 3, 0, 0], [2, 1, 0, 0], [np.nan] * 4],
        ),
    ],
)
def test_cells_are_these_values(kind, cells, values):
    found, table = adapted(kind, cells)
    encoded = found.encode(table)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("kind", "cells", "again"),
    [
        ("numbers", {"a": [1.5, -2.25], "b": [3, 4]}, {"a": [1.5, -2.25], "b": [3, 4]}),
        ("category", {"a": ["b", "a"]}, {"a": ["b", "a"]}),
        ("category", {"a": [10, 9]}, {"a": ["10", "9"]}),
        ("attributes", {"a": ["T", "F"], "b": ["Yes", "No"]}, {"a": ["T", "F"], "b": ["Yes", "No"]}),
        ("text", {"a": ["the cat", "the dog's hat", "hat, cat"]}, {"a": ["the cat", "the [UNK] hat", "hat cat"]}),
    ],
)
def test_values_are_the_cells_again(kind, cells, again):
    found, table = adapted(kind, cells)
    decoded = found.decode(found.encode(table))
    assert {name: list(column) for name, column in decoded.items()} == again


@pytest.mark.parametrize("kind", ["category", "text"])
def test_a_graph_reads_and_writes_as_the_table_does(kind):
    found, _ = adapted(kind, {"a": ["red fox", "red fox", "blue", "blue"]})
    strings = tf.constant(["blue", "red fox", "", "green"])
    values = tf.function(found.from_strings)(strings).numpy()
    np.testing.assert_array_equal(values[:2], found.encode(pd.DataFrame({"a": ["blue", "red fox"]})))
    assert np.isnan(values[2]).all()
    assert np.isnan(values[3]).all() == (kind == "category")  # a text of unknown words is one, an unknown class is none
    assert [text.decode() for text in tf.function(found.to_strings)(values[:2]).numpy()] == ["blue", "red fox"]


def test_rare_words_and_those_beyond_the_largest_number_are_unknown():
    found, _ = adapted("text", {"a": ["x x x", "y y", "z"]}, min_count=2)
    assert found.columns.words == ("x", "y")
    with pytest.raises(ValueError, match="length of column 'a'"):
        adapted("text", {"a": ["x x x", "y y", "z"]}, length=0)
    found, _ = adapted("text", {"a": ["x x x", "y y", "z"]}, min_count=1, max_words=1)
    assert found.columns.words == ("x",)


def picture(size, colour):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_read_from_files_bytes_and_arrays(tmp_path):
    (tmp_path / "red.png").write_bytes(picture((40, 20), "red"))
    cells = ["red.png", picture((8, 8), "lime"), np.full((8, 8, 3), 7, np.uint8)]
    table = pd.DataFrame({"a": pd.Series(cells, dtype=object)})
    found = kind_of(COLUMNS.get("image").adapt(table, ["a"], size=8))
    values = found.encode(table, tmp_path)
    assert values.dtype == np.uint8
    expected = [(255, 0, 0), (0, 255, 0), (7, 7, 7)]
    np.testing.assert_array_equal(values, np.broadcast_to(np.array(expected)[:, None, None], (3, 8, 8, 3)))


def test_pictures_that_cannot_be_read_are_gaps_and_told_of(tmp_path):
    (tmp_path / "good.png").write_bytes(picture((8, 8), "red"))
    (tmp_path / "broken.png").write_bytes(picture((8, 8), "red")[:40])
    table = pd.DataFrame({"a": ["good.png", "broken.png", "lost.png", None]})
    found = kind_of(COLUMNS.get("image").adapt(table, ["a"], size=8))
    with pytest.warns(UserWarning, match=r"2 of 3 pictures cannot be read.*row 2.*broken.*row 3.*lost.png"):
        values = found.encode(table, tmp_path)
    assert np.isnan(values).all(axis=(1, 2, 3)).tolist() == [False, True, True, True]
    with pytest.raises(ValueError, match=r"none of the 2 pictures can be read .* folder = "):
        found.encode(table.iloc[1:], tmp_path)


def test_arrays_are_read_from_files(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(2, 3))
    np.savez(tmp_path / "b.npz", first=np.ones((2, 3)))
    table = pd.DataFrame({"a": ["a.npy", "b.npz", None]})
    found = kind_of(COLUMNS.get("array").adapt(table, ["a"], tmp_path))
    values = found.encode(table, tmp_path)
    np.testing.assert_array_equal(values[:2], [np.arange(6).reshape(2, 3), np.ones((2, 3))])
    assert np.isnan(values[2]).all()


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("numbers", ["1", "two", "3"], r"Column 'a', row 2: 'two' is not a number.*another kind"),
        ("numbers", ["1", "2024-05-17", "3"], "row 2.*Turn dates into numbers"),
        ("numbers", pd.to_datetime(["2024-05-17", "2024-05-18"]), "is a date.*Turn dates into numbers"),
        ("numbers", ["1,5", "2,5"], r"row 1: '1,5' is not a number \(2 such cells\).*decimal = ','"),
        ("numbers", ["1", "1e300"], "row 2.*too large"),
        ("numbers", ["4", "4", None], "one value in all training rows.*Leave it out"),
        ("counts", ["1", "2.5", "3"], "row 2: '2.5' is not a count.*'numbers'"),
        ("counts", ["1", "-2", "3"], "row 2: '-2' is not a count"),
        ("category", ["x", "x", None], "one value.*Leave it out"),
        ("category", [f"name {number}" for number in range(1001)], "1,001 different values.*1,000.*1,001 come once"),
        ("attributes", ["yes", "perhaps"], "row 2: 'perhaps' is neither yes nor no.*category"),
        ("text", [None, "  "], "no text in any training row"),
        ("text", ["each", "once"], "no word that occurs 2 times.*min_count = 1"),
    ],
)
def test_what_is_not_of_the_kind_is_refused(kind, cells, message):
    def learned_and_read():
        found, table = adapted(kind, {"a": cells})
        found.encode(table)

    with pytest.raises(ValueError, match=message):
        learned_and_read()


def test_a_class_that_training_did_not_have_is_refused():
    found, _ = adapted("category", {"a": ["cat", "dog"]})
    with pytest.raises(ValueError, match=r"row 2: 'cow' is not a class in the training rows\. They have cat, dog"):
        found.encode(pd.DataFrame({"a": ["dog", "cow"]}))


@pytest.mark.parametrize(
    ("kind", "likelihood", "shape", "expected"),
    [
        ("numbers", "gaussian", (2,), "values"),
        ("counts", "counts", (2,), "values"),
        ("array", "gaussian", (4, 4, 3), "values"),
        ("attributes", "bernoulli", (2,), "attributes"),
        ("category", "categorical", (2,), "label"),
        ("image", "gaussian", (4, 4, 3), "image"),
    ],
)
def test_named_numbers_are_no_attributes(kind, likelihood, shape, expected):
    columns = Columns(kind, ("a", "b")[: 1 + (kind in ("numbers", "counts", "attributes"))], shape)
    assert ModalitySpec(shape, likelihood, entry_names=("a", "b"), columns=columns).kind == expected


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (13.0234, 0.8123, "13.02 ± 0.81"),
        (1234.5, 56.2, "1,234 ± 56"),
        (98765.4, 1234.0, "98,800 ± 1,200"),
        (-0.0001, 0.5, "0.00 ± 0.50"),
        (1.5, 0.0, "1.5 ± 0"),
    ],
)
def test_a_number_is_rounded_to_its_spread(value, spread, text):
    assert with_spread(value, spread) == text


def test_a_class_is_the_same_as_a_number_and_as_a_text():
    words = ("0.0", "1.0", "2.0")
    kind = kind_of(Columns("category", ("a",), (3,), words))
    for cells in ([0.0, 2.0, None], pd.Series([0, 2, None], dtype="Int64"), ["0", "2.0", ""], ["0.00", "2", None]):
        values = kind.encode(pd.DataFrame({"a": cells}))
        np.testing.assert_array_equal(values, [[1, 0, 0], [0, 0, 1], [np.nan] * 3])
        assert kind.requested(pd.DataFrame({"a": cells})).tolist() == [b"0.0", b"2.0", b""]
    with pytest.raises(ValueError, match=r"'3\.0' is not a class"):
        kind.encode(pd.DataFrame({"a": ["3.0"]}))


def test_codes_that_look_like_numbers_stay_apart():
    kind = kind_of(Columns("category", ("a",), (3,), ("007", "7", "8")))
    np.testing.assert_array_equal(kind.encode(pd.DataFrame({"a": ["007", "7", "8.0"]})), np.eye(3))
    with pytest.raises(ValueError, match=r"'7\.0' is not a class"):  # it could be either
        kind.encode(pd.DataFrame({"a": ["7.0"]}))


def test_a_column_of_punctuation_has_no_word():
    with pytest.raises(ValueError, match="Column 'a' has no word in any training row, only punctuation"):
        COLUMNS.get("text").adapt(pd.DataFrame({"a": ["...", "!", "?"]}), ["a"])
