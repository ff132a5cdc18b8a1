"""Cells that are filled keep the type of their column, and known cells stay what they are, by every way in and out."""

import numpy as np
import pandas as pd
import pytest

import tf_jmvae as tj
from tf_jmvae import cli, tables
from tf_jmvae.tables import merging, writing

PLAIN = {"size": 2.5, "legs": 4, "tame": True, "kind": "cat", "weight": 123456789.5}


@pytest.fixture(scope="module")
def kinds():
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "size": random.normal(size=30),
            "weight": random.normal(size=30),
            "legs": random.poisson(4, 30),
            "tame": random.choice(["no", "yes"], 30),
            "kind": random.choice(["cat", "dog"], 30),
        }
    )
    described = {
        "numbers": {"kind": "numbers", "columns": ["size", "weight"]},
        "legs": "counts",
        "tame": "attributes",
        "kind": "category",
    }
    modalities, _ = tj.data.from_table(table, described)
    return {name: modality.cells for name, modality in modalities.items()}


SAID = {
    "size": np.array([0.123456789, 1.0], np.float32),
    ("size", "spread"): np.array([0.5, 0.25], np.float32),
    "weight": np.array([1.0, 2.0], np.float32),
    "legs": np.array([3.6, 3.6], np.float32),
    "tame": np.array(["yes", "no"], object),
    "kind": np.array(["dog", "dog"], object),
    ("kind", "probability"): np.array([0.75, 0.75]),
}


def filled(kinds, **dtypes):
    table = pd.DataFrame([dict.fromkeys(PLAIN), PLAIN], dtype=object)
    return merging.filled(table.astype(dtypes), kinds, SAID)


@pytest.mark.parametrize("dtype", ["float64", "Float64"])
def test_numbers_stay_numbers(kinds, dtype):
    found = filled(kinds, size=dtype, weight=dtype, legs=dtype)
    assert found["size"].tolist() == [0.123457, 2.5]
    assert found["weight"].tolist() == [1.0, 123456789.5]
    assert found["legs"].tolist() == [4.0, 4.0]
    assert found["size spread"].iloc[0] == 0.5
    assert np.isnan(found["size spread"].iloc[1])


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "float64", "object"])
def test_attributes_are_in_the_type_of_their_column(kinds, dtype):
    found = filled(kinds, tame=dtype)["tame"]
    expected = {"Int64": [1.0, 1.0], "boolean": [True, True], "float64": [1.0, 1.0], "object": [True, True]}
    assert found.tolist() == expected[dtype]


@pytest.mark.parametrize("dtype", ["Int64", "category", "string", "object"])
def test_nullable_and_other_types_are_filled(kinds, dtype):
    if dtype == "Int64":
        assert filled(kinds, legs=dtype)["legs"].tolist() == [4.0, 4.0]
    else:
        assert filled(kinds, kind=dtype)["kind"].tolist() == ["dog", "cat"]


def test_of_texts_the_filled_ones_are_texts_and_parquet_takes_them(kinds, tmp_path):
    texts = pd.DataFrame([dict.fromkeys(PLAIN), {name: str(cell) for name, cell in PLAIN.items()}], dtype=object)
    found = merging.filled(texts, kinds, SAID)
    assert found["size"].tolist() == ["0.123457", "2.5"]
    assert found["legs"].tolist() == ["4", "4"]
    for name in ("filled.parquet", "filled.csv"):
        writing.write(found, tmp_path / name)
    assert pd.read_parquet(tmp_path / "filled.parquet")["weight"].tolist() == ["1", "123456789.5"]
    assert "123456789.5" in (tmp_path / "filled.csv").read_text()


def test_what_was_said_of_an_earlier_gap_stays_beside_it(kinds):
    table = pd.DataFrame([dict.fromkeys(PLAIN), PLAIN], dtype=object).astype({"size": float})
    table["size spread"] = [np.nan, 9.0]
    found = merging.filled(table, kinds, SAID)
    assert list(found).count("size spread") == 1
    assert found["size spread"].tolist()[0] == 0.5


def test_a_column_of_the_models_own_is_not_replaced_by_what_is_said_of_another():
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0] * 8, "a spread": [5.0, 6.0, 9.0] * 8})
    modalities, _ = tj.data.from_table(table, {"m": {"kind": "numbers", "columns": ["a", "a spread"]}})
    said = {key: np.full(2, value) for key, value in (("a", 3.0), ("a spread", 7.0))}
    said |= {(name, "spread"): np.full(2, 0.5) for name in ("a", "a spread")}
    gaps = pd.DataFrame({"a": [np.nan, 1.0], "a spread": [8.0, np.nan]})
    found = merging.filled(gaps, {"m": modalities["m"].cells}, said)
    assert found["a"].tolist() == [3.0, 1.0]
    assert found["a spread"].tolist() == [8.0, 7.0]
    assert found["a spread spread"].tolist()[1] == 0.5


def test_known_digits_and_named_indices_are_written(tmp_path):
    table = pd.DataFrame({"a": [123456789.5, 48.137123]}, index=pd.Index(["x", "y"], name="pet"))
    for name in ("t.csv", "t.parquet"):
        writing.write(table, tmp_path / name)
        found = tj.data.read_table(tmp_path / name)
        assert found["pet"].tolist() == ["x", "y"]
        assert found["a"].astype(float).tolist() == [123456789.5, 48.137123]


def test_pictures_of_ones_own_are_not_overwritten_and_known_names_follow_the_table(tmp_path):
    (tmp_path / "filled").mkdir()
    (tmp_path / "filled" / "photo-1.png").write_text("precious")
    cells = np.empty(2, object)
    cells[:] = [np.zeros((4, 4, 3), np.uint8), "a/b.png"]
    table = writing.moved(pd.DataFrame({"photo": cells}), ["photo"], tmp_path / "in", tmp_path / "out" / "filled.csv")
    assert writing.write(table, tmp_path / "out" / "filled.csv") == 1
    written = pd.read_csv(tmp_path / "out" / "filled.csv")["photo"].tolist()
    assert written == ["filled-files/photo-1.png", "../in/a/b.png"]
    assert (tmp_path / "out" / written[0]).is_file()
    writing.write(pd.DataFrame({"photo": cells}), tmp_path / "filled.csv")
    assert (tmp_path / "filled" / "photo-1.png").read_text() == "precious"


def test_a_scored_table_is_scored_again():
    table = pd.DataFrame({"log_likelihood": [0.0, 0.0, 0.0], "a": [1, 2, 3]})
    found = merging.scored(table, np.array([-1.0, np.nan, -np.inf]))
    assert found["a"].tolist() == [3, 1, 2]
    assert found["log_likelihood"].tolist()[:2] == [-np.inf, -1.0]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_numbers_in_any_unit_are_standardised_alike(scale, offset):
    numbers = np.random.default_rng(0).normal(size=400)
    table = pd.DataFrame({"a": scale * (numbers + offset), "kind": np.where(numbers > 0, "u", "v")})
    modalities, source = tj.data.from_table(table, {"a": "numbers", "kind": "category"})
    model = tj.JMVAEKL(modalities, latent_dim=2)
    model.adapt(source.train)
    values = model.preprocess({"a": modalities["a"].cells.encode(table)})["a"]
    np.testing.assert_allclose(np.std(values), 1.0, atol=0.1)


def test_a_column_that_32_bits_cannot_tell_apart_is_refused_with_advice():
    table = pd.DataFrame({"time": 1.7e9 + np.arange(20.0), "kind": ["u", "v"] * 10})
    with pytest.raises(ValueError, match=r"'time': its numbers differ by less .* Subtract one such as 1\.7e\+09"):
        tj.data.from_table(table, {"time": "numbers", "kind": "category"})


def test_letters_with_accents_are_the_same_however_they_were_typed():
    table = pd.DataFrame({"kind": ["\u00d1and\u00fa", "dog"] * 10, "a": np.arange(20.0)})
    modalities, _ = tj.data.from_table(table, {"kind": "category", "a": "numbers"})
    other = pd.DataFrame({"kind": ["N\u0303andu\u0301"]})
    assert not np.isnan(modalities["kind"].cells.encode(other)).any()


def test_rows_are_named_by_their_number_in_the_whole_table(of_numbers):
    model, table, _, _ = of_numbers
    table = table.astype(object)
    table.loc[table.index[17], "kind"] = "cow"
    with pytest.raises(ValueError, match="row 18: 'cow' is not a class"):
        tables.fill(model, table, batch_size=5, verbose=0)


def test_a_gap_of_which_nothing_is_expected_stays_with_a_warning(kinds):
    said = {**SAID, ("kind", "probability"): np.array([np.nan, 0.75])}
    table = pd.DataFrame([dict.fromkeys(PLAIN), dict.fromkeys(PLAIN)], dtype=object)
    with pytest.warns(UserWarning, match=r"1 row\(s\) keep gaps, first row 1: each of them has a number so far"):
        found = merging.filled(table, kinds, said)
    assert found["kind"].tolist() == [None, "dog"]
    assert found["size"].notna().all()


@pytest.mark.filterwarnings("ignore:.*keep gaps")
def test_rows_with_numbers_beyond_everything_are_scored_first(of_numbers):
    model, table, path, _ = of_numbers
    table = table.iloc[:3].astype(object)
    table.loc[table.index[0], ["kind", "legs"]] = None
    for asked in (model, tj.open_model(path)):
        for far in (1e20, 1e38):
            table.loc[table.index[0], "size"] = far
            assert tables.score(asked, table, verbose=0)[0] == -np.inf
            filled = tables.fill(asked, table, verbose=0).iloc[0]
            assert pd.isna(filled["kind"]) == pd.isna(filled["kind probability"])


def test_cells_that_are_given_to_an_export_may_be_none(of_numbers):
    *_, path, _ = of_numbers
    opened = tj.open_model(path)
    found = opened.fill_cells({"kind": [None, "cat", float("nan")]})
    assert len(found["kind_text"]) == 3
    with pytest.raises(TypeError, match="'kind': expected a list of cells, one for each row; got a single 'cat'"):
        opened.fill_cells({"kind": "cat"})


def test_a_server_that_is_not_there_is_said_in_a_line(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("a\n1\n")
    words = ["--run", "grpc://localhost:1/v1/models/pets", "--output", str(tmp_path / "x.csv")]
    assert cli.main(["fill", str(tmp_path / "t.csv"), *words]) == 1
    error = capsys.readouterr().err
    assert "does not answer" in error
    assert "Traceback" not in error


def test_true_and_false_read_as_objects_stay_truths(kinds):
    found = merging.with_answers(
        pd.Series([None, True, False], dtype=object, name="tame"),
        np.array([True, False, False]),
        np.array(["yes", "no", "no"], object),
        kinds["tame"],
    )
    assert found.tolist() == [True, True, False]
    assert found.dtype == bool


def test_a_truth_that_stays_a_gap_is_no_truth(kinds):
    gap, answers = np.array([True, False, False]), np.array(["no", "yes", None], object)
    for dtype in (object, "boolean"):
        cells = pd.Series([None, True, None], dtype=dtype, name="tame")
        found = merging.with_answers(cells, gap, answers, kinds["tame"])
        assert found[0] is False
        assert found.isna().tolist() == [False, False, True]


def test_a_column_that_the_model_reads_is_not_replaced_by_scores():
    merging.check_scored(["size", "log_likelihood_of_old"])
    with pytest.raises(ValueError, match=r"reads a column 'log_likelihood'.*rename"):
        merging.check_scored(["size", "log_likelihood"])
