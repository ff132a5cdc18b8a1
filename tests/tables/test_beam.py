"""Pipelines of Apache Beam on its local runner: each table as the model fills and scores it alone."""

import numpy as np
import pandas as pd
import pytest

import tf_jmvae as tj
from tf_jmvae import tables
from tf_jmvae.specs import Columns
from tf_jmvae.tables import beam

LOCAL = ("--runner", "DirectRunner")


@pytest.fixture(scope="module")
def folder(of_numbers, tmp_path_factory):
    """Two tables with gaps, one of them in Parquet."""
    _, table, path, _ = of_numbers
    place, random = tmp_path_factory.mktemp("tables"), np.random.default_rng(2)
    for name, start in (("a", 0), ("b", 15)):
        part = table.iloc[start : start + 15].copy()
        lacking = random.random(len(part)) < 0.4
        part["age"] = part["age"].mask(lacking)
        part["kind"] = part["kind"].mask(random.random(len(part)) < 0.4)
        part.insert(0, "name", [f"{name}{number}" for number in range(len(part))])
        part.to_csv(place / f"{name}.csv", index=False)
    part.to_parquet(place / "c.parquet", index=False)
    return place, path


def run(verb, place, path, output, *more):
    words = [verb, str(place / "*.csv"), str(place / "*.parquet"), "--model", str(path), "--output", str(output)]
    return beam.main([*words, *more, *LOCAL])


def asked_by_hand(verb, path, file):
    """What the handler answers all rows of a table at once, in order."""
    records = tj.data.read_table(file).to_dict("records")
    rows = [beam.Row(beam.Place(str(file), number), cells, "") for number, cells in enumerate(records)]
    handler = beam.TableHandler(verb, str(path))
    return list(handler.run_inference(rows, handler.load_model()))


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def test_each_table_is_filled_as_by_itself(folder, tmp_path, capsys):
    place, path = folder
    assert run("fill", place, path, tmp_path) == 0
    assert sorted(capsys.readouterr().out.split()) == [str(tmp_path / name) for name in ("a.csv", "b.csv", "c.parquet")]
    opened = tj.open_model(path)
    for name in ("a.csv", "b.csv", "c.parquet"):
        found, before = read(tmp_path / name), read(place / name)
        alone = tables.fill(opened, place / name, verbose=0)
        assert list(found) == list(alone)
        assert not found[before.columns].isna().any().any()
        assert (found["name"] == before["name"]).all()
        for column in ("age", "age spread", "kind probability"):  # from other samples of z
            np.testing.assert_allclose(found[column].astype(float), alone[column].astype(float), rtol=0.25, atol=0.1)
        said = asked_by_hand("fill", path, place / name)
        for row in np.flatnonzero(before["age"].isna()):
            assert float(found["age"][row]) == pytest.approx(said[row]["age"], rel=1e-4)
            assert float(found["age spread"][row]) == pytest.approx(said[row]["age", "spread"], rel=1e-4)
        for row in np.flatnonzero(before["kind"].isna()):
            assert found["kind"][row] == said[row]["kind"]
        there = before["age"].notna()
        np.testing.assert_allclose(found["age"][there].astype(float), before["age"][there], rtol=1e-5)


def test_a_row_is_answered_alike_in_every_batch(folder):
    place, path = folder
    records = pd.read_csv(place / "a.csv", dtype=str).to_dict("records")
    rows = [beam.Row(beam.Place("a.csv", number), cells, str(place)) for number, cells in enumerate(records)]

    def ages(seed, size):
        handler = beam.TableHandler("fill", str(path), seed=seed)
        model, found = handler.load_model(), []
        for start in range(0, len(rows), size):
            found += handler.run_inference(rows[start : start + size], model)
        return np.array([answer.get("age", np.nan) for answer in found])

    whole = ages(0, len(rows))
    assert np.isnan(whole).tolist() == [isinstance(row.cells["age"], str) for row in rows]
    np.testing.assert_allclose(ages(0, 4), whole, rtol=1e-4)
    assert (ages(5, len(rows)) != whole)[~np.isnan(whole)].all()
    wrong = [*rows[:3], rows[3]._replace(cells={**rows[3].cells, "kind": "cow"})]
    handler = beam.TableHandler("score", str(path))
    with pytest.raises(ValueError, match=r"a\.csv, row 4: .*'cow' is not a class"):
        handler.run_inference(wrong, handler.load_model())
    with pytest.raises(ValueError, match="verb must be one of 'fill', 'score'; got 'fil'"):
        beam.TableHandler("fil", str(path))


def test_each_table_is_scored(folder, tmp_path):
    place, path = folder
    assert run("score", place, path, tmp_path) == 0
    found = pd.read_csv(tmp_path / "a.csv")
    assert found["log_likelihood"].is_monotonic_increasing
    scores = tables.score(tj.open_model(path), place / "a.csv", verbose=0)
    alone = pd.read_csv(place / "a.csv").assign(score=scores).set_index("name")["score"]
    assert np.corrcoef(found["log_likelihood"], alone[found["name"]])[0, 1] > 0.97
    by_hand = np.sort(asked_by_hand("score", path, place / "a.csv"))
    np.testing.assert_allclose(found["log_likelihood"], by_hand, rtol=1e-5)


def test_pictures_are_found_beside_their_table_and_written_beside_the_output(exported, tmp_path):
    _, table, path, _ = exported
    (tmp_path / "in").mkdir()
    for number, file in enumerate(table["photo"].iloc[:4]):
        (tmp_path / "in" / f"{number}.png").write_bytes(file)
    part = table.iloc[:6].assign(photo=[*(f"{number}.png" for number in range(4)), None, None], size=None)
    part.to_csv(tmp_path / "in" / "pets.csv", index=False)
    assert (
        beam.main(["fill", str(tmp_path / "in" / "pets.csv"), "--model", str(path), "--output", str(tmp_path), *LOCAL])
        == 0
    )
    found = pd.read_csv(tmp_path / "pets.csv")
    alone = tables.fill(tj.open_model(path), tmp_path / "in" / "pets.csv", verbose=0)
    assert list(found["photo"].iloc[:4]) == [f"in/{number}.png" for number in range(4)]
    for name, pixels in zip(found["photo"].iloc[4:], alone["photo"].iloc[4:], strict=True):
        np.testing.assert_array_equal(np.asarray(tj.images.open_rgb(tmp_path / name)), pixels)
    np.testing.assert_allclose(found["size"], alone["size"].astype(float), rtol=0.05)


def test_scores_do_not_replace_a_column_that_the_model_reads(tmp_path):
    columns = {"score": Columns("numbers", ("log_likelihood",), (1,))}
    with pytest.raises(ValueError, match="The model reads a column 'log_likelihood', which the scores would replace"):
        beam.answer_tables(None, "score", "served/pets/1", columns, str(tmp_path))


def test_what_cannot_be_done_is_said(folder, tmp_path, capsys):
    place, path = folder
    with pytest.raises(SystemExit):
        beam.main(["fill", str(tmp_path / "no.csv"), "--model", str(path), "--output", str(tmp_path)])
    assert "there is no table called" in capsys.readouterr().err
    (tmp_path / "a.csv").write_text((place / "a.csv").read_text())
    words = [str(place / "a.csv"), str(tmp_path / "a.csv"), "--model", str(path), "--output", str(tmp_path)]
    with pytest.raises(SystemExit):
        beam.main(["fill", *words])
    assert "several tables have one name but for folder and suffix" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        beam.main(["fill", str(place / "a.csv"), "--model", str(path), "--output", str(place)])
    assert "--output is the folder of the tables" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        beam.main(["fill", str(place / "a.csv"), "--model", str(place), "--output", str(tmp_path)])
    assert "--model: Expected the folder of a run" in capsys.readouterr().err
    (tmp_path / "lack.csv").write_text("name\na\n")
    words = ["fill", str(tmp_path / "lack.csv"), "--model", str(path), "--output", str(tmp_path / "out"), *LOCAL]
    with pytest.raises(Exception, match=r"lack\.csv: numbers: the table has no column 'size'"):
        beam.main(words)
