"""Tables and descriptions with random damage: each is read, or refused with a message, and never a crash."""

import io
import os
import random
import warnings

import numpy as np
import pandas as pd
import pytest

import tf_jmvae as tj
from tf_jmvae.columns.array import Array
from tf_jmvae.tables import description, draft

MUTANTS = int(os.environ.get("RELIABILITY_MUTANTS", 100))  # 5,000 were tried
CSV = 'size,kind,tame,said\n1.5,cat,yes,"a big, cat"\n2.5,dog,no,a dog\n,cat,,a cat\n4,dog,yes,\n'
TOML = """
[data]
table = "pets.csv"
validation = 0.25

[modalities.size]
kind = "numbers"

[modalities.kind]
kind = "category"
encoder = [8]

[modalities.tame]
kind = "attributes"

[modalities.said]
kind = "text"
min_count = 1

[model]
kind = "jmvae-kl"
latent_dim = 2

[training]
epochs = 3
"""
PIECES = [",", "\n", '"', ";", "\0", "é", "-", "1e999", "nan", "NA", "=", "[", "]", "'", "\t", "1", "true", "\r", " "]


def damaged(content, chance):
    text = list(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(text))
        what = chance.randrange(4)
        if what == 0:
            del text[place : place + chance.randint(1, 5)]
        elif what == 1:
            text.insert(place, chance.choice(PIECES))
        elif what == 2:
            text[place] = chance.choice(PIECES)
        else:
            other = chance.randrange(len(text))
            text[place:place] = text[other : other + 8]
        text = text or ["x"]
    return "".join(text)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_damaged_tables(tmp_path):
    chance, accepted, messages = random.Random(0), 0, []
    path = tmp_path / "pets.csv"
    for _ in range(MUTANTS):
        content = damaged(CSV, chance).encode("utf-8" if chance.random() < 0.9 else "utf-16")
        path.write_bytes(content)
        try:
            table = tj.data.read_table(path)
            found = draft.guesses(table)
            draft.draft(table, "pets.csv", found, {})
            kinds = {f"m{number}": {"kind": g.kind, "columns": g.column} for number, g in enumerate(found) if g.kind}
            _, source = tj.data.from_table(table, kinds, validation=0.25)
        except (ValueError, OSError) as error:
            messages.append(str(error))
            continue
        accepted += 1
        for array in source.train.values():
            assert array.dtype == np.uint8 or not np.isinf(array).any()
    assert accepted > 0
    assert all(len(message) > 20 for message in messages)


def test_damaged_descriptions(tmp_path):
    chance, accepted, messages = random.Random(1), 0, []
    pd.read_csv(io.StringIO(CSV)).to_csv(tmp_path / "pets.csv", index=False)
    for _ in range(MUTANTS):
        (tmp_path / "pets.toml").write_text(damaged(TOML, chance), newline="")
        try:
            description.load(tmp_path / "pets.toml")
        except (ValueError, OSError) as error:
            messages.append(str(error))
            continue
        accepted += 1
    assert accepted > 0
    assert all(len(message) > 20 for message in messages)


def _npz(array):
    file = io.BytesIO()
    np.savez_compressed(file, array)
    return file.getvalue()


def _npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("written", [_npy, _npz])
def test_damaged_arrays_are_gaps(tmp_path, written):
    chance, gaps = random.Random(0), 0
    array = np.arange(12.0).reshape(3, 4)
    table = pd.DataFrame({"a": [str(tmp_path / "good.npy"), str(tmp_path / "bad")]})
    np.save(tmp_path / "good.npy", array)
    columns = Array.adapt(table, ["a"])
    for _ in range(MUTANTS):
        content = bytearray(written(array))
        for _ in range(chance.randint(1, 5)):
            place = chance.randrange(len(content))
            content[place : place + chance.randint(0, 20)] = chance.randbytes(chance.randint(0, 4))
        (tmp_path / "bad").write_bytes(content or b"x")
        values = Array(columns).encode(table)
        np.testing.assert_array_equal(values[0], array)
        gaps += bool(np.isnan(values[1]).all())
    assert gaps > MUTANTS / 2
