"""From a CSV file to a filled table by commands alone, and what a description that is wrong is told."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.tables.test_table_models import made_table
from tf_jmvae import cli
from tf_jmvae.columns import reader
from tf_jmvae.tables import description, draft
from tf_jmvae.training.run_folder import load_model


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, its draft with fewer epochs, and a run."""
    place = tmp_path_factory.mktemp("pets")
    made_table(120).to_csv(place / "pets.csv", index=False)
    assert run("init", place / "pets.csv") == 0
    drafted = (place / "pets.toml").read_text()
    (place / "pets.toml").write_text(drafted.replace("early_stopping", "tensorboard = false\nearly_stopping"))
    assert (
        run("train", "--data", place / "pets.toml", "--run-dir", place / "run", "--epochs", 2, "--kl-warm-up", 0) == 0
    )
    return place


def test_a_run_keeps_what_it_learned_of_the_columns(folder):
    config = json.loads((folder / "run" / "config.json").read_text())["config"]
    assert config["data"]["columns"]["kind"]["words"] == ["cat", "dog"]
    assert config["model"]["modalities"]["numbers"]["entry_names"] == ["size", "weight"]
    assert config["data"]["table"] == str(folder / "pets.csv")
    # Again it is finished, and nothing is trained.
    assert (
        run("train", "--data", folder / "pets.toml", "--run-dir", folder / "run", "--epochs", 2, "--kl-warm-up", 0) == 0
    )


def test_fill_writes_a_table_without_gaps(folder, capsys):
    assert run("fill", folder / "pets.csv", "--run", folder / "run", "--output", folder / "filled.csv") == 0
    table, filled = pd.read_csv(folder / "pets.csv"), pd.read_csv(folder / "filled.csv")
    for column in table.columns:
        there = table[column].notna()
        assert filled[column].notna().all() or column == "said"  # the model may expect an empty text
        assert (filled[column][there].astype(str) == table[column][there].astype(str)).mean() > 0.95
    assert filled["kind probability"].notna().sum() == table["kind"].isna().sum()
    assert filled["size spread"].notna().sum() == table["size"].isna().sum()
    assert f"{table['kind'].isna().sum()} of kind" in capsys.readouterr().out


def test_what_was_filled_before_is_not_counted_again(folder, capsys):
    for name, there in (("once.csv", "pets.csv"), ("twice.csv", "once.csv")):
        assert run("fill", folder / there, "--run", folder / "run", "--output", folder / name) == 0
    first, second = capsys.readouterr().out.strip().splitlines()
    gaps = pd.read_csv(folder / "pets.csv")["size"].isna().sum()
    assert f"{gaps} of size" in first
    assert "of size" not in second
    once, twice = (pd.read_csv(folder / name) for name in ("once.csv", "twice.csv"))
    pd.testing.assert_series_equal(once["size spread"], twice["size spread"])


def test_encode_writes_arrays_and_tables(folder):
    for name in ("z.npy", "z.csv", "z.parquet"):
        assert run("encode", folder / "pets.csv", "--run", folder / "run", "--output", folder / name) == 0
    z = np.load(folder / "z.npy")
    assert z.shape[0] == 120
    np.testing.assert_allclose(pd.read_parquet(folder / "z.parquet").to_numpy(), z, rtol=1e-6)
    np.testing.assert_allclose(pd.read_csv(folder / "z.csv").to_numpy(), z, rtol=1e-4, atol=1e-5)


def test_score_puts_the_least_likely_row_first(folder):
    table = pd.read_csv(folder / "pets.csv")
    table.loc[7, ["size", "weight"]] = [90.0, -5000.0]
    table.to_csv(folder / "odd.csv", index=False)
    assert run("score", folder / "odd.csv", "--run", folder / "run", "--output", folder / "scored.csv") == 0
    scored = pd.read_csv(folder / "scored.csv")
    assert scored["number"].iloc[0] == 7
    assert scored["log_likelihood"].is_monotonic_increasing


def test_score_reads_the_table_once(folder, monkeypatch):
    read, original = [], reader._read_csv
    monkeypatch.setattr(reader, "_read_csv", lambda path, *more: read.append(path) or original(path, *more))
    assert run("score", folder / "pets.csv", "--run", folder / "run", "--output", folder / "scored.csv") == 0
    assert len(read) == 1


def test_an_exported_run_fills_as_the_run(folder, capsys):
    model = load_model(folder / "run" / "model.keras")
    export = model.export(folder / "served" / "pets", observed=[["kind"]])
    for name, place in (("of_run", folder / "run"), ("of_export", export)):
        assert run("fill", folder / "pets.csv", "--run", place, "--output", folder / f"{name}.csv") == 0
        assert run("encode", folder / "pets.csv", "--run", place, "--output", folder / f"{name}.npy") == 0
    ours, theirs = (pd.read_csv(folder / f"{name}.csv") for name in ("of_run", "of_export"))
    pd.testing.assert_frame_equal(theirs, ours, rtol=1e-3)
    np.testing.assert_allclose(np.load(folder / "of_export.npy"), np.load(folder / "of_run.npy"), rtol=1e-3, atol=1e-4)
    refused = ("--num-samples", 5, "--output", folder / "x.csv")
    assert run("score", folder / "pets.csv", "--run", export, *refused) == 1
    assert "num_samples was fixed when the model was exported" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["fill", "encode", "score"])
def test_verbs_refuse_what_they_cannot_write_or_read(folder, verb, capsys):
    assert run(verb, folder / "pets.csv", "--run", folder / "run", "--output", folder / "x.txt") == 1
    assert "--output must end with one of .csv" in capsys.readouterr().err
    assert run(verb, folder / "pets.csv", "--run", folder, "--output", folder / "x.csv") == 1
    assert "Expected the folder of a run" in capsys.readouterr().err
    assert run(verb, folder / "no.csv", "--run", folder / "run", "--output", folder / "x.csv") == 1
    assert "no.csv" in capsys.readouterr().err
    assert not (folder / "x.csv").exists()


def test_init_does_not_replace_a_draft(folder, capsys):
    assert run("init", folder / "pets.csv") == 1
    assert "--overwrite" in capsys.readouterr().err


def test_a_draft_says_what_columns_seem_to_be_and_why():
    random = np.random.default_rng(0)
    rows = 200
    numbers = random.normal(size=rows)
    table = pd.DataFrame(
        {
            "id": range(rows),
            "code": [f"X{number}" for number in range(rows)],
            "always": "same",
            "void": None,
            "length": numbers,
            "length in mm": numbers * 1000,
            "wild": np.exp(numbers * 8),
            "rating": random.integers(1, 6, rows),
            "visits": random.poisson(3, rows) + np.where(np.arange(rows) == 0, 30, 0),
            "member": random.choice(["Yes", "no"], rows),
            "class": random.choice(["red", "green"], rows),
            "born": [f"2001-02-{1 + number % 28:02d}" for number in range(rows)],
            "note": [f"a note {number} of it" for number in range(rows)],
            "photo": [f"{number}.jpg" for number in range(rows)],
            "vector": [f"{number}.npy" for number in range(rows)],
        }
    )
    table["shade"] = table["class"].map({"red": "r", "green": "g"})
    found = {guess.column: guess for guess in draft.guesses(table)}
    kinds = {name: guess.kind for name, guess in found.items()}
    assert kinds == {
        "id": None, "code": None, "always": None, "void": None, "length": "numbers", "length in mm": "numbers",
        "wild": "numbers", "rating": "category", "visits": "counts", "member": "attributes", "class": "category",
        "born": None, "note": "text", "photo": "image", "vector": "array", "shade": "category",
    }  # fmt: skip
    said = {name: "; ".join([guess.reason, *guess.remarks]) for name, guess in found.items()}
    words = {
        "id": "identifier", "code": "identifier", "always": "every cell says 'same'", "void": "empty", "born": "dates",
        "length in mm": "a leak: 'length' says the same", "wild": "unscaled", "shade": "a leak: 'class'",
    }  # fmt: skip
    for name, word in words.items():
        assert word in said[name]


def test_every_draft_is_a_description_that_loads(tmp_path):
    table = pd.DataFrame(
        {
            'a "quoted" name\n': np.linspace(0, 1, 40),
            "class": ["x", "y"] * 20,
            "z": ["yes", "no"] * 20,
            "lost and found": ["one two", "two one"] * 20,
            "2024": np.linspace(5, 8, 40) ** 2,
        }
    )
    table.to_csv(tmp_path / "odd.csv", index=False)
    text = draft.draft(table, "odd.csv", draft.guesses(table), {})
    (tmp_path / "odd.toml").write_text(text)
    table.columns = [name.strip() for name in table.columns]
    table.to_csv(tmp_path / "odd.csv", index=False)
    (tmp_path / "odd.toml").write_text(draft.draft(table, "odd.csv", draft.guesses(table), {}))
    config = description.load(tmp_path / "odd.toml")
    assert list(config.model.modalities) == ["numbers", "class_column", "z_column", "lost_found"]
    assert config.training.early_stopping == config.training.epochs // 4
    assert config.model.subset_learning == "follow"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[data]", "[date]", r"'date' is not a part of a description, which has 'data'"),
        ("table = ", "tabel = ", "'tabel' is not a setting of"),
        ('table = "pets.csv"', "table = 3", "name the table with table = 'FILE.csv' under"),
        ('table = "pets.csv"', 'table = "dogs.csv"', "dogs.csv"),
        ('kind = "category"', 'kind = "cathegory"', "Unknown kind of column 'cathegory'"),
        ('columns = "kind"', 'columns = "king"', "kind: the table has no column 'king'"),
        ("validation = 0.1", "validation = 2", "validation must be a fraction"),
        ("validation = 0.1", 'validation = "x"', "validation must be a fraction"),
        (
            'kind = "category"\ncolumns = "said"',
            'kind = "text"\nlength = "long"\ncolumns = "said"',
            "length of column 'said' must be a whole number",
        ),
        ('kind = "attributes"', 'kind = "attributes"\ndropuot = 1', "dropuot"),
        ("latent_dim = 8", "latent_dim = 0", "latent_dim"),
        ("[training]", "[training", "is not valid TOML"),
        ("batch_size = 32", "batch_size = -1", "batch_size"),
    ],
)
def test_a_wrong_description_is_refused(folder, tmp_path, old, new, message, capsys):
    text = (folder / "pets.toml").read_text()
    assert old in text
    (tmp_path / "pets.csv").write_bytes((folder / "pets.csv").read_bytes())
    (tmp_path / "pets.toml").write_text(text.replace(old, new, 1))
    assert run("train", "--data", tmp_path / "pets.toml", "--run-dir", tmp_path / "run") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_draft_of_a_folder_is_refused(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert run("init", ".") == 1
    assert "is a folder; expected a CSV or Parquet file" in capsys.readouterr().err
