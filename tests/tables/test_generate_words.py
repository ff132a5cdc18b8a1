"""`tf-jmvae generate` of a model of a table's columns: texts and names of classes in, words out."""

import keras
import numpy as np
import pandas as pd
import pytest

import tf_jmvae as tj
from tests.small_models import set_seeds
from tf_jmvae import cli
from tf_jmvae.cli import given


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    random = np.random.default_rng(0)
    kinds = random.choice(["cat", "dog"], 60)
    tame = np.where(kinds == "dog", "yes", "no")
    table = pd.DataFrame({"kind": kinds, "said": [f"a {kind}" for kind in kinds], "tame": tame, "shy": tame[::-1]})
    table["grams"] = np.where(kinds == "cat", 4000, 9000) + random.normal(0, 500, 60)
    table["age"] = random.uniform(1, 9, 60)
    networks = {"encoder": (8,), "decoder": (8,)}
    description = {
        "kind": {"kind": "category", **networks},
        "said": {"kind": "text", **networks},
        "measured": {"kind": "numbers", "columns": ["grams", "age"], **networks},
        "ways": {"kind": "attributes", "columns": ["tame", "shy"], **networks},
    }
    modalities, source = tj.data.from_table(table, description)
    set_seeds(0)
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(source.train_batches(8), epochs=30, verbose=0)
    path = tmp_path_factory.mktemp("words") / "model.keras"
    model.save(path)
    return model, path


def generate(saved, *words):
    return cli.main(["generate", str(saved[1]), *words])


def test_texts_stand_for_values_and_values_are_said_in_words(saved):
    model, opened = saved[0], tj.open_model(saved[0])
    rows = pd.DataFrame({"kind": ["dog", "cat", "dog"], "said": ["a dog", "cat", "a cow"]})
    values = {name: model.modalities[name].cells.encode(rows) for name in rows.columns}
    for texts in ({name: list(rows[name]) for name in rows}, {name: rows[name].to_numpy() for name in rows}):
        for key, found in opened.encode(texts).items():
            np.testing.assert_array_equal(found, opened.encode(values)[key])
    made = opened.generate({"ways": np.eye(2)}, num_samples=3, seed=1)
    words = opened.words(made)
    assert set(words) == {"kind", "said"}
    assert words["said"].shape == words["kind"].shape == (2, 3)
    classes = np.array(["cat", "dog"])[made["kind"].argmax(-1)]
    np.testing.assert_array_equal(words["kind"], classes)
    vocabulary = ["", "[UNK]", *model.modalities["said"].columns.words]
    assert words["said"][1, 2] == " ".join(vocabulary[int(token)] for token in made["said"][1, 2] if token)


def test_an_empty_text_is_a_missing_one(saved):
    opened = tj.open_model(saved[0])
    both = opened.encode({"kind": ["dog", "cat"], "said": ["", "a cat"]})
    np.testing.assert_allclose(both["mean"][0], opened.encode({"kind": ["dog"]})["mean"][0], rtol=1e-4)


def test_texts_that_mean_nothing_are_refused(saved):
    opened = tj.open_model(saved[0])
    with pytest.raises(ValueError, match="'cow' is not a class in the training rows"):
        opened.encode({"kind": ["cow"]})
    with pytest.raises(TypeError, match="'ways': expected numbers"):
        opened.encode({"ways": [["yes", "no"]]})
    with pytest.raises(TypeError, match=r"'said': expected an array, or a list .* of texts; got str"):
        opened.encode({"said": "a cat"})


def test_a_text_gives_classes_and_a_class_gives_texts(saved, capsys):
    model, _ = saved
    assert generate(saved, "--given", "said=A cat!", "--target", "kind", "--latent", "mean") == 0
    p = model.generate({"said": ["a cat"]}, targets=["kind"], latent="mean")["kind"].numpy()[0]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[3:5]] == [["cat", f"{p[0]:.3f}"], ["dog", f"{p[1]:.3f}"]]
    assert p[0] > 0.8

    words = ["--given", "kind=dog", "kind=cat", "--target", "said", "--num-samples", "20"]
    assert generate(saved, *words) == 0
    made = tj.open_model(model).generate({"kind": ["dog", "cat"]}, targets=["said"], num_samples=20, seed=0)
    said = tj.open_model(model).words(made)["said"]
    out = capsys.readouterr().out
    assert out.startswith("said: texts of 20 samples\n")
    for heading, texts in (("kind=dog", said[0]), ("kind=cat", said[1])):
        for text in set(texts):
            assert [*heading.split(), *text.split(), str(list(texts).count(text))] in [
                line.split() for line in out.splitlines()
            ]


def test_what_is_drawn_from_the_prior_is_said_in_words(saved, capsys):
    assert generate(saved, "--num-samples", "6", "--target", "said") == 0
    counts = [int(line.split()[-1]) for line in capsys.readouterr().out.splitlines()[3:] if line]
    assert sum(counts) == 6


def test_rows_of_a_fitted_prior_are_in_the_tables_units(saved, tmp_path, capsys):
    model, _ = saved
    random = np.random.default_rng(0)
    kinds = random.choice(["cat", "dog"], 30)
    rows = pd.DataFrame({"kind": kinds, "said": kinds, "tame": "yes", "shy": "no", "grams": 4000.0, "age": 3.0})
    model.fit_prior({name: one.cells.encode(rows) for name, one in model.modalities.items()}, components=2)
    model.save(tmp_path / "model.keras")
    path = tmp_path / "a.npz"
    words = ["--prior", "fitted", "--num-samples", "5", "--target", "measured", "--output", str(path), "--seed", "3"]
    assert generate((model, tmp_path / "model.keras"), *words) == 0
    drawn = tj.open_model(model).sample(5, prior="fitted", seed=3)
    expected = np.asarray(model.postprocess(drawn)["measured"])
    np.testing.assert_allclose(np.load(path)["measured"], expected[None], rtol=1e-4)
    assert expected[:, 0].min() > 1000  # grams
    with pytest.raises(ValueError, match="leave out prior='fitted'"):
        tj.open_model(model).generate_cells({"kind": ["dog"]}, prior="fitted")


def test_a_one_way_model_reads_and_writes_the_tables_units(tmp_path, capsys):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"grams": random.normal(4000, 900, 60), "age": random.uniform(1, 9, 60)})
    networks = {"encoder": (8,), "decoder": (8,)}
    description = {name: {"kind": "numbers", "columns": [name], **networks} for name in table}
    modalities, source = tj.data.from_table(table, description)
    model = tj.CVAE(modalities, 2, target="age")
    model.compile("adam")
    model.fit(source.train_batches(8), verbose=0)
    model.save(tmp_path / "model.keras")
    words = ["--given", "grams=5000", "--latent", "mean", "--output", str(tmp_path / "a.npz")]
    assert generate((model, tmp_path / "model.keras"), *words) == 0
    given = model.preprocess({"grams": np.array([[5000.0]], np.float32)})
    expected = model.postprocess(model.generate(given, latent="mean"))["age"]
    np.testing.assert_allclose(np.load(tmp_path / "a.npz")["age"][:, 0], expected, rtol=1e-4)
    assert 1 < float(expected[0, 0]) < 9


def test_a_given_text_may_have_a_slash(saved, capsys):
    assert generate(saved, "--given", "said=a cat/dog", "--target", "kind", "--latent", "mean") == 0
    assert "said=a cat/dog" in capsys.readouterr().out


def test_numbers_are_in_the_tables_units(saved, tmp_path, capsys):
    model, _ = saved
    p = {}
    for grams in (4000.0, 9000.0):
        words = ["--given", f"grams={grams:g}", "--target", "kind", "--latent", "mean", "--output", "a.npz"]
        assert generate(saved, *words[:-1], str(tmp_path / "a.npz")) == 0
        observed = model.preprocess({"measured": np.array([[grams, np.nan]], np.float32)})
        expected = model.generate(observed, targets=["kind"], latent="mean")["kind"].numpy()
        p[grams] = np.load(tmp_path / "a.npz")["kind"][:, 0]
        np.testing.assert_allclose(p[grams], expected, atol=1e-5)
    assert p[4000.0][0, 0] > 0.5 > p[9000.0][0, 0]
    capsys.readouterr()

    assert generate(saved, "--given", "kind=dog", "--target", "measured", "--latent", "mean") == 0
    made = model.generate({"kind": ["dog"]}, targets=["measured"], latent="mean")
    expected = np.asarray(model.postprocess(made)["measured"])[0]
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  grams"))
    assert lines.keys() == {"grams"}
    assert float(lines["grams"]) == pytest.approx(expected[0], rel=1e-5)
    assert expected[0] > 6000


def test_attributes_are_said_in_the_tables_words_and_those_not_named_are_missing(saved, capsys):
    model, _ = saved
    assert generate(saved, "--given", "tame=yes", "--target", "kind", "--latent", "mean") == 0
    observed = {"ways": np.array([[1, np.nan]], np.float32)}
    p = model.generate(observed, targets=["kind"], latent="mean")["kind"].numpy()[0]
    assert f"{p[1]:.3f}" in capsys.readouterr().out
    read, size = given.parse(["tame=yes", "tame=no", "tame=0"], model.spec.modalities)
    np.testing.assert_array_equal(given.read(read, size, model.spec.modalities)["ways"][:, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("said=dgo ct", "the model knows no word of 'dgo ct'. Did you mean dog or cat?"),
        ("said=xyzzy", "the model knows no word of 'xyzzy'. It knows words such as a, "),
        ("said=!!", "the model knows no word of '!!'"),
        ("kind=cow", "takes one of cat, dog; got 'cow'"),
        ("tame=maybe", "takes a number, such as 1 or -1, or no or yes; got maybe"),
    ],
)
def test_words_that_the_model_does_not_know_are_named(saved, capsys, word, message):
    assert generate(saved, "--given", word) == 1
    assert message in capsys.readouterr().err


def test_many_classes_are_cut_short_in_a_message():
    spec = tj.specs.ModalitySpec((50,), "categorical", entry_names=tuple(f"c{number}" for number in range(50)))
    with pytest.raises(ValueError, match="c19, and 30 more; got 'x'"):
        given._vector("w", "x", spec)
