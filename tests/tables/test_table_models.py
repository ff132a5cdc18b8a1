"""From a table to a model and back: parts of the rows, tables in every method, filled gaps, latents, scores."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tf_jmvae as tj
from tests.small_models import set_seeds
from tf_jmvae import tables
from tf_jmvae._utils import cells
from tf_jmvae.columns.image import Image as ImageColumn


def made_table(rows=60, seed=0):
    random = np.random.default_rng(seed)
    kind = random.choice(["cat", "dog"], rows)
    size = np.where(kind == "cat", 4.0, 9.0) + random.normal(size=rows)
    table = pd.DataFrame(
        {
            "number": np.arange(rows),
            "size": size,
            "weight": size * 100 + random.normal(size=rows),
            "kind": kind,
            "tame": np.where(random.random(rows) < 0.5, "yes", "no"),
            "said": [f"a {size} {one}" for size, one in zip(random.choice(["big", "small"], rows), kind, strict=True)],
        }
    )
    for column in ("size", "weight", "kind", "tame", "said"):
        table.loc[random.random(rows) < 0.2, column] = None
    return table


DESCRIPTION = {
    "numbers": {"kind": "numbers", "columns": ["size", "weight"], "encoder": (8,), "decoder": (8,)},
    "kind": {"kind": "category", "encoder": (8,), "decoder": (8,)},
    "tame": {"kind": "attributes", "encoder": (8,), "decoder": (8,)},
    "said": {"kind": "text", "encoder": (8,), "decoder": (8,)},
}


@pytest.fixture(scope="module")
def trained():
    table = made_table()
    modalities, source = tj.data.from_table(table, DESCRIPTION)
    set_seeds(0)
    model = tj.JMVAEKL(modalities, latent_dim=3, subsets="single")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(source.train_batches(16), epochs=2, verbose=0)
    return table, source, model


def test_rows_are_held_out_and_words_are_of_the_others():
    table = made_table()
    table["number"] = table["number"].astype(float)
    description = {"number": "numbers", "said": {"kind": "text", "min_count": 1}}
    _, source = tj.data.from_table(table, description, validation=0.25, seed=3)
    train, test = (set(part["number"][:, 0]) for part in (source.train, source.test))
    assert (len(train), len(test)) == (45, 15)
    assert train | test == set(range(60))
    _, again = tj.data.from_table(table, description, validation=0.25, seed=3)
    np.testing.assert_array_equal(source.test["number"], again.test["number"])
    held_out = sorted(test)[0]
    table["said"] = np.where(table["number"] == held_out, "unheard", "said")
    modalities, _ = tj.data.from_table(table, description, validation=0.25, seed=3)
    assert modalities["said"].columns.words == ("said",)


def test_a_table_is_taken_wherever_a_dict_of_arrays_is(trained):
    table, _, model = trained
    table = table.dropna()
    arrays = {name: modality.cells.encode(table) for name, modality in model.modalities.items()}
    in_model = model.preprocess(arrays)
    given = {"targets": ["numbers"], "latent": "mean", "seed": 1}
    pairs = [
        (model.evaluate(table, verbose=0), model.evaluate(arrays, verbose=0)),
        (model.elbo(table, seed=1), model.elbo(in_model, seed=1)),
        (model.posterior(table).mean(), model.posterior(in_model).mean()),
        (model.posterior(table, batch_size=7, verbose=0)["mean"], model.posterior(in_model).mean()),
        (model.generate(table, **given)["numbers"], model.generate(in_model, **given)["numbers"]),
        (model.reconstruct(table, seed=1)["kind"], model.reconstruct(in_model, seed=1)["kind"]),
        (model.predict(table, verbose=0)["kind"], model.predict(arrays, verbose=0)["kind"]),
        (model.test_on_batch(table, None), model.test_on_batch(arrays, None)),
        (
            tj.evaluation.joint_log_likelihood(model, table, num_samples=2, verbose=0).values,
            tj.evaluation.joint_log_likelihood(model, arrays, num_samples=2, verbose=0).values,
        ),
    ]
    for of_table, of_arrays in pairs:
        np.testing.assert_allclose(of_table, of_arrays, rtol=1e-5)


def test_fit_of_a_table_is_fit_of_its_arrays(trained):
    table, _, model = trained
    table = table.dropna(how="all", subset=["size", "weight", "kind", "tame", "said"])
    arrays = {name: modality.cells.encode(table) for name, modality in model.modalities.items()}
    weights = model.get_weights()
    state = [variable.numpy() for variable in model.optimizer.variables]
    losses = []
    for data in (table, arrays):
        model.set_weights(weights)
        for variable, value in zip(model.optimizer.variables, state, strict=True):
            variable.assign(value)
        set_seeds(0)
        losses.append(model.fit(data, shuffle=False, validation_data=data, verbose=0).history["val_elbo"])
    model.set_weights(weights)
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_texts_stand_for_values(trained):
    _, _, model = trained
    found = model.generate({"kind": ["dog", "cat"]}, targets=["numbers", "said"], latent="mean")
    one_hot = model.generate({"kind": np.array([[0.0, 1], [1, 0]])}, targets=["numbers"], latent="mean")
    np.testing.assert_allclose(found["numbers"], one_hot["numbers"], rtol=1e-5)
    written = tables.to_table(model, found)
    assert list(written.columns) == ["size", "weight", "said"]
    raw = model.postprocess({"numbers": one_hot["numbers"]})["numbers"]
    np.testing.assert_allclose(written[["size", "weight"]], raw, rtol=1e-5)
    with pytest.raises(ValueError, match="'cow' is not a class"):
        model.generate({"kind": ["cow"]}, targets=["numbers"])


@pytest.fixture
def uncertain(trained):
    """The trained model with means of numbers that differ much from z to z."""
    _, _, model = trained
    weights = model.decoders["numbers"].get_weights()
    model.decoders["numbers"].set_weights([4 * weight for weight in weights])
    yield
    model.decoders["numbers"].set_weights(weights)


@pytest.mark.usefixtures("uncertain")
def test_filled_cells_are_the_means_and_spreads_of_samples(trained):
    table, _, model = trained
    filled = tables.fill(model, table, num_samples=2000, verbose=0)
    for column in table.columns:  # what was there stays what it was
        there = table[column].notna()
        assert (filled[column][there] == table[column][there]).all()
    assert not filled[table.columns].isna().any().any()
    row = table.index[table["size"].isna() & table["kind"].notna()][0]
    observed = {name: m.cells.encode(table.loc[[row]]) for name, m in model.modalities.items()}
    samples = model.generate(model.preprocess(observed), targets=["numbers"], num_samples=4000, output="sample", seed=9)
    sizes = model.postprocess(samples)["numbers"][0, :, 0]
    error = sizes.std() / np.sqrt(2000)
    assert filled["size"][row] == pytest.approx(sizes.mean(), abs=6 * error)
    assert filled["size spread"][row] == pytest.approx(sizes.std(), rel=0.1)
    row = table.index[table["kind"].isna()][0]
    observed = {name: m.cells.encode(table.loc[[row]]) for name, m in model.modalities.items()}
    means = model.generate(model.preprocess(observed), targets=["kind"], num_samples=4000, seed=9)["kind"][0]
    p = np.asarray(means).mean(axis=0)
    assert filled["kind"][row] == ["cat", "dog"][p.argmax()]
    assert filled["kind probability"][row] == pytest.approx(p.max(), abs=0.05)
    assert filled["kind probability"].isna().tolist() == table["kind"].notna().tolist()


def test_an_answer_does_not_depend_on_the_other_rows(trained):
    table, _, model = trained
    whole = tables.fill(model, table, verbose=0, num_samples=5)
    parts = tables.fill(model, table, verbose=0, num_samples=5, batch_size=7)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-4)
    first = tables.fill(model, table.iloc[:9], verbose=0, num_samples=5)
    pd.testing.assert_frame_equal(whole[first.columns].iloc[:9], first, rtol=1e-4, check_dtype=False)


def test_latents_and_scores_are_those_of_the_model(trained):
    table, _, model = trained
    table = table.copy()
    table.loc[3, ["size", "weight", "kind", "tame", "said"]] = None
    z, scores = tables.encode(model, table, verbose=0), tables.score(model, table, num_samples=4000, verbose=0)
    np.testing.assert_array_equal(z[3], 0)
    assert np.isnan(scores[3])
    held = table.drop(index=3)
    observed = {name: m.cells.encode(held) for name, m in model.modalities.items()}
    expected = model.posterior(model.preprocess(observed)).mean()
    np.testing.assert_allclose(np.delete(z, 3, axis=0), expected, rtol=1e-4, atol=1e-5)
    estimate = tj.evaluation.joint_log_likelihood(model, observed, num_samples=4000, seed=5, verbose=0).values
    np.testing.assert_allclose(np.delete(scores, 3), estimate, atol=0.5)


def test_a_saved_model_still_reads_tables(trained, tmp_path):
    table, _, model = trained
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert {n: m.columns for n, m in loaded.modalities.items()} == {n: m.columns for n, m in model.modalities.items()}
    np.testing.assert_allclose(
        tables.encode(loaded, table, verbose=0), tables.encode(model, table, verbose=0), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "Say which modalities"),
        ({"x": "nubmers"}, "Unknown kind of column 'nubmers'. Expected one of 'array', 'attributes'"),
        ({"x": {"columns": "size"}}, "x: kind is missing"),
        ({"x": "numbers"}, "x: the table has no column 'x'; it has 'number', 'size'"),
        ({"x": {"kind": "numbers", "columns": []}}, "x: columns must name columns, each once; got nothing"),
        ({"x": {"kind": "numbers", "columns": ["size", "size"]}}, "each once"),
        (
            {"x": {"kind": "category", "columns": ["kind", "tame"]}},
            "A modality of kind 'category' has one column; got 2",
        ),
        ({"size": {"kind": "numbers", "wieght": 2}}, "wieght"),
    ],
)
def test_a_wrong_description_is_refused(description, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tj.data.from_table(made_table(), description)


@pytest.mark.parametrize("table", [made_table().iloc[:0], made_table().iloc[:1], {"size": [1]}])
def test_a_table_of_too_few_rows_or_none_is_refused(table):
    with pytest.raises(ValueError, match=r"no rows|at least 2|Expected a pandas DataFrame"):
        tj.data.from_table(table, {"size": "numbers"})


def test_a_table_without_the_models_columns_is_refused(trained):
    _, _, model = trained
    with pytest.raises(ValueError, match=r"The table has the columns \['x'\], but no modality is made from them"):
        model.posterior(pd.DataFrame({"x": [1]}))
    with pytest.raises(ValueError, match="the table has no column 'said'"):
        tables.fill(model, made_table().drop(columns="said"), verbose=0)
    plain = tj.VAE({"x": tj.Modality((2,), "gaussian")}, latent_dim=2)
    with pytest.raises(ValueError, match="'x': not made of a table's columns"):
        tables.fill(plain, made_table(), verbose=0)


def test_many_pictures_are_read_once_and_again_when_one_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    for number in range(3):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    names = [f"{number % 3}.png" for number in range(2100)]
    table = pd.DataFrame({"photo": names, "row": np.arange(2100.0)})
    table.loc[5, "photo"] = None
    description = {"photo": {"kind": "image", "size": 4}, "row": "numbers"}
    reads = []
    read = ImageColumn.encode
    monkeypatch.setattr(ImageColumn, "encode", lambda *arguments: reads.append(1) or read(*arguments))

    def loaded():
        _, source = tj.data.from_table(table, description, folder=tmp_path)
        rows = source.train["row"][:, 0].astype(int)
        expected = np.where((rows == 5) & (kind == np.float16), np.nan, rows % 3 + 10 * changed)
        np.testing.assert_array_equal(source.train["photo"][:, 0, 0, 0], expected)
        assert [type(part["photo"]) for part in (source.train, source.test)] == [np.memmap] * 2
        assert source.train["photo"].dtype == kind
        return len(reads)

    changed, kind = 0, np.float16
    assert [loaded(), loaded()] == [2, 2]  # two parts, once
    for number in range(3):
        Image.new("RGB", (4, 4), (number + 10, 0, 0)).save(tmp_path / f"{number}.png")
    changed = 1
    assert loaded() == 4
    table.loc[5, "photo"], kind = "2.png", np.uint8
    assert loaded() == 6
    table.loc[[2050, 2051], "photo"] = ["gone.png", None]
    table.loc[2051, "row"] = np.nan
    with pytest.warns(UserWarning, match=r"1 of 51 pictures cannot be read.*row 2,051: .*gone\.png"):
        _, source = tj.data.from_table(table, description, folder=tmp_path)
    assert source.report["empty"] == 1
    rows = np.concatenate([part["row"][:, 0] for part in (source.train, source.test)])
    missing = np.concatenate([np.isnan(part["photo"][:, 0, 0, 0]) for part in (source.train, source.test)])
    np.testing.assert_array_equal(rows[missing], [2050])
    assert isinstance(source.train["photo"], np.memmap)


def test_of_a_large_array_no_copy_is_made_to_see_whether_it_holds_texts():
    large = np.broadcast_to(np.uint8(0), (10**6, 64, 64, 3))  # as objects it would take 98 GB
    assert not cells.holds_texts(large)
    assert cells.holds_texts(np.array(["a", "b"]))
    assert cells.holds_texts(pd.Series(["a", None]))
    assert not cells.holds_texts([1.5, None])


def test_pictures_in_arrays_that_differ_in_the_middle_have_copies_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    picture = np.zeros((20, 20, 3), np.uint8)  # NumPy writes the corners of so many entries
    other = picture.copy()
    other[8:12, 8:12] = 200
    for pixels in (picture, other):
        _, source = tj.data.from_table(
            pd.DataFrame({"photo": [pixels] * 2048}), {"photo": {"kind": "image", "size": 20}}
        )
        np.testing.assert_array_equal(source.train["photo"][0], pixels)


def test_a_single_picture_that_cannot_be_read_is_a_gap_wherever_it_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (4, 4), (9, 0, 0)).save(tmp_path / "p.png")
    for size in (2047, 2049):
        table = pd.DataFrame({"photo": ["p.png"] * (size - 1) + ["gone.png"], "row": np.arange(float(size))})
        with pytest.warns(UserWarning, match=rf"row {size:,}: .*gone\.png"):
            _, source = tj.data.from_table(
                table, {"photo": {"kind": "image", "size": 4}, "row": "numbers"}, folder=tmp_path
            )
        assert (
            sum(
                np.isnan(np.asarray(part["photo"], np.float32)[:, 0, 0, 0]).sum()
                for part in (source.train, source.test)
            )
            == 1
        )


def test_of_rows_of_nothing_but_a_broken_picture_the_others_stay_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_JMVAE_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (4, 4), (9, 0, 0)).save(tmp_path / "p.png")
    table = pd.DataFrame({"photo": ["p.png"] * 2999 + ["gone.png"]})
    with pytest.warns(UserWarning, match="cannot be read"):
        _, source = tj.data.from_table(table, {"photo": {"kind": "image", "size": 4}}, folder=tmp_path)
    assert [type(part["photo"]) for part in (source.train, source.test)] == [np.memmap] * 2
    assert len(source.train["photo"]) + len(source.test["photo"]) == 2999
    assert source.report == {"rows": 3000, "empty": 1}


def test_the_first_array_may_be_damaged_and_not_all(tmp_path):
    np.save(tmp_path / "good.npy", np.ones((2, 3)))
    (tmp_path / "bad.npy").write_bytes(b"no array")
    table = pd.DataFrame({"a": ["bad.npy", *["good.npy"] * 9], "b": np.arange(10.0)})
    with pytest.warns(UserWarning, match="1 of 10 arrays cannot be read"):
        modalities, _ = tj.data.from_table(table, {"a": "array", "b": "numbers"}, folder=tmp_path)
    assert modalities["a"].event_shape == (2, 3)
    with pytest.raises(ValueError, match=r"none of the 9 arrays can be read .*folder"):
        tj.data.from_table(table.assign(a="bad.npy"), {"a": "array", "b": "numbers"}, folder=tmp_path)


def test_latents_of_a_hierarchy_have_all_its_layers():
    small = {"encoder": (4,), "decoder": (4,)}
    description = {"size": {"kind": "numbers", **small}, "kind": {"kind": "category", **small}}
    table = made_table().dropna()
    modalities, source = tj.data.from_table(table, description)
    layers = {"layer_encoder": tj.networks.mlp([4]), "layer_prior": tj.networks.mlp([4])}
    model = tj.HierarchicalJMVAE(modalities, latent_dim=3, num_layers=2, **layers)
    model.adapt(source.train)
    found = tables.encode(model, table, verbose=0)
    q = model.posterior({name: table[[name]] for name in description}, seed=0)
    assert model.latent_size == found.shape[1] == 6
    np.testing.assert_allclose(found, q.mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"size": 3}, r"size: expected a kind such as 'numbers', or a dict of it; got 3"),
        ({"size": ["numbers"]}, r"size: expected a kind.*got \['numbers'\]"),
        ({"size": {"kind": "numbers", "columns": 3}}, "size: columns must be the name of a column, or a list.*got 3"),
        ({"size": {"kind": "numbers", "columns": [["size"]]}}, "size: columns must be the name of a column"),
        (["size"], r"Say which modalities the columns form.*got \['size'\]"),
    ],
)
def test_a_description_of_the_wrong_form_is_refused(described, message):
    with pytest.raises(ValueError, match=message):
        tj.data.from_table(made_table(), described)


def test_several_samples_are_not_one_table(trained):
    _, _, model = trained
    made = model.generate({"kind": ["cat", "dog"]}, targets=["numbers"], num_samples=3, seed=1)
    with pytest.raises(ValueError, match=r"numbers: expected values of shape \[N, 2\]; got \[2, 3, 2\]"):
        tables.to_table(model, made)
    assert tables.to_table(model, {"numbers": made["numbers"][:, 0]}).shape == (2, 2)
