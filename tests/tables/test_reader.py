"""Tables from files: what is there is read, and each thing that is wrong has a message that says what to do."""

import numpy as np
import pandas as pd
import pytest

from tf_jmvae.data import read_table


@pytest.fixture
def written(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_cells_are_texts_and_gaps_are_missing(written, delimiter):
    content = 'name,age\n"Ann, Lee",3\n NA ,\nBob, 4.50 \n'
    if delimiter != ",":
        content = content.replace("Ann, Lee", "Ann. Lee").replace(",", delimiter)
    table = read_table(written(content))
    assert list(table.columns) == ["name", "age"]
    assert table["name"].iloc[0] == ("Ann, Lee" if delimiter == "," else "Ann. Lee")
    assert table["age"].iloc[0] == "3"
    assert table["age"].isna().tolist() == [False, True, False]


def test_commas_are_decimal_points_where_that_is_said(written):
    path = written("a;b\n1.234,5;x\n0,5;y,z\n")
    assert read_table(path, decimal=",").to_numpy().tolist() == [["1234.5", "x"], ["0.5", "y,z"]]


def test_other_encodings_and_a_mark_at_the_start(written):
    assert read_table(written("n\nJosé\n".encode("latin-1")), encoding="latin-1")["n"].iloc[0] == "José"
    assert list(read_table(written("\ufeffn,m\n1,2\n")).columns) == ["n", "m"]


def test_parquet(tmp_path):
    table = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None]})
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty. Expected a header"),
        ("a,b\n", {}, "no rows under its header"),
        ("a,b\n1,2,3\n", {}, "line 2: 3 cells, but the header names 2 columns. Quote cells"),
        ("a,b,c\n1,2,3\n1,2\n", {}, "line 3: 2 cells"),
        ("a,b\n1,2\n", {"delimiter": "ab"}, "cannot be read as CSV with 'ab'"),
        ("a,a\n1,2\n", {}, "several columns with the same name: 'a'. Rename"),
        ("a,,c\n1,2,3\n", {}, "column 2 has no name"),
        ("n\nJosé\n".encode("latin-1"), {}, "not in the encoding utf-8.*encoding = '...'"),
        ("a\n1\n", {"encoding": "klingon"}, "no encoding 'klingon'"),
        (b"PK\x03\x04\0\0\0\0", {}, "not a CSV file: it holds zero bytes"),
        ('a,b\n"1,2\n', {}, "cannot be read as CSV.*unexpected end of data"),
    ],
)
def test_what_is_no_table_is_refused(written, content, options, message):
    with pytest.raises(ValueError, match=message):
        read_table(written(content), **options)


def test_files_that_are_not_there_folders_and_damaged_parquet(written, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "no.csv")
    with pytest.raises(ValueError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(ValueError, match="not a Parquet file, or is damaged"):
        read_table(written(b"PAR1 no", "t.parquet"))


@pytest.mark.parametrize("first", ["\n", "\r\n\r\n", "\ufeff", "\ufeff\n", "   \n"])
def test_blank_lines_before_the_header_are_skipped(tmp_path, first):
    path = tmp_path / "blank.csv"
    path.write_text(f"{first}a;b\n1,5;2\n3;4\n", encoding="utf-8", newline="")
    table = read_table(path)
    assert table.to_dict("list") == {"a": ["1,5", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff", "\ufeff\n"])
def test_a_table_of_blank_lines_is_empty(tmp_path, text):
    (tmp_path / "empty.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"empty\.csv is empty"):
        read_table(tmp_path / "empty.csv")


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("917,46", "917.46"), ("1.234,5", "1234.5"), ("1.234.567", "1234567"), ("-,5", "-.5"), ("+3,", "+3."),
        ("1,5e3", "1.5e3"), ("01.01.2020", "01.01.2020"), ("1.2.2", "1.2.2"), ("2.325.1", "2.325.1"), ("1.96", "1.96"),
        (",", ","), ("a,b", "a,b"),
    ],
)  # fmt: skip
def test_with_a_decimal_comma_only_numbers_change(written, cell, read):
    table = read_table(written(f"a;b\n{cell};x\n"), delimiter=";", decimal=",")
    assert table["a"].tolist() == [read]


@pytest.mark.parametrize("decimal", ["xx", "", "5", "-", " "])
def test_a_decimal_is_one_character(written, decimal):
    with pytest.raises(ValueError, match=r"decimal must be one character, such as '\.' or ','"):
        read_table(written("a;b\n1,5;x\n"), decimal=decimal)
