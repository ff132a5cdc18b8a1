"""The page and pictures of a run on a table with gaps: what fills hidden cells, texts, names and numbers in units."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tf_jmvae as tj
from tf_jmvae import tables
from tf_jmvae.callbacks.tensorboard.examples import Direction
from tf_jmvae.models.display import in_words
from tf_jmvae.report import columns, drawings, facts, galleries, page, plots, record
from tf_jmvae.tables import description
from tf_jmvae.training import run
from tf_jmvae.training.run_folder import load_model

DESCRIPTION = """
[data]
table = "pets.csv"
validation = 0.4
batch_size = 32
[modalities.numbers]
kind = "numbers"
columns = ["size", "weight"]
encoder = [8]
decoder = [8]
[modalities.kind]
kind = "category"
encoder = [8]
decoder = [8]
[modalities.traits]
kind = "attributes"
columns = ["tame", "big"]
encoder = [8]
decoder = [8]
[modalities.said]
kind = "text"
encoder = [8]
decoder = [8]
[modalities.photo]
kind = "image"
size = [4, 4]
encoder = [8]
decoder = [8]
[model]
kind = "jmvae-kl"
latent_dim = 2
subsets = "single"
[training]
epochs = 2
kl_warm_up = 0
tensorboard = false
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on 100 rows of which a fifth of the cells are gaps."""
    folder, random = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    kinds = random.choice(["cat", "dog"], 100)
    size = np.where(kinds == "cat", 4.0, 9.0) + random.normal(size=100)
    table = pd.DataFrame(
        {
            "size": size,
            "weight": 1000 + 100 * size,
            "kind": kinds,
            "tame": random.choice(["yes", "no"], 100),
            "big": np.where(size > 6, "yes", "no"),
            "said": [f"a {kind}" for kind in kinds],
            "photo": [f"{kind}.png" for kind in kinds],
        }
    )
    for kind, shade in (("cat", 60), ("dog", 200)):
        Image.new("RGB", (4, 4), (shade, 90, shade)).save(folder / f"{kind}.png")
    table.mask(random.random(table.shape) < 0.2).to_csv(folder / "pets.csv", index=False)
    (folder / "pets.toml").write_text(DESCRIPTION)
    config = description.load(folder / "pets.toml").model_copy(update={"run_dir": folder / "run"})
    metrics = run.train(config, verbose=0)
    return folder / "run", load_model(folder / "run/model.keras"), config.data.load(config.model.modalities), metrics


def test_accuracies_are_of_the_rows_that_have_a_name(finished):
    _, model, source, metrics = finished
    others = ["numbers", "traits", "said", "photo"]
    known = ~np.isnan(source.test["kind"]).any(axis=1)
    read = model.read({name: values[known] for name, values in source.test.items() if name in others})
    p = model.likelihoods(model.posterior(read).mean())["kind"].mean().numpy()
    expected = np.mean(p.argmax(axis=1) == source.test["kind"][known].argmax(axis=1))
    assert metrics["accuracy_kind_from_numbers_and_traits_and_said_and_photo"] == pytest.approx(expected)
    read = model.read({name: values for name, values in source.test.items() if name != "traits"})
    p = model.likelihoods(model.posterior(read).mean())["traits"].mean().numpy()
    truth = source.test["traits"]
    right = np.where(np.isnan(truth), np.nan, (p > 0.5) == (truth == 1))
    some = ~np.isnan(truth).all(axis=1)
    found = metrics["accuracy_traits_from_numbers_and_kind_and_said_and_photo"]
    assert found == pytest.approx(np.nanmean(right[some], axis=1).mean())
    assert "accuracy_numbers" not in " ".join(metrics)


def test_hidden_cells_are_filled_as_a_table_with_these_gaps_is(finished):
    _, model, source, _ = finished
    found = columns.filled(model, source, seed=0)
    by_name = {column.name: column for column in found.columns}
    assert list(by_name) == ["size", "weight", "kind", "tame", "big", "said", "photo"]
    missing = int(np.isnan(source.train["numbers"][:, 0]).sum())
    assert by_name["size"].gaps == f"{missing} of {len(source.train['numbers'])}"
    test = {name: np.asarray(values, np.float32) for name, values in source.test.items()}
    cells = {}
    for name, modality in model.modalities.items():
        own = modality.cells.decode(np.nan_to_num(test[name]))
        for number, column in enumerate(modality.columns.names):
            entries = test[name][:, number] if len(own) > 1 else test[name].reshape(len(test[name]), -1)[:, 0]
            cells[column] = pd.Series(list(own[column]), dtype=object).where(~np.isnan(entries))
    table = pd.DataFrame(cells).astype({"size": float, "weight": float})
    known = table["weight"].notna()
    filled = tables.fill(model, table[known].assign(weight=np.nan), num_samples=columns._SAMPLES, verbose=0)
    error = np.sqrt(np.mean((filled["weight"] - table["weight"][known]) ** 2))
    assert float(by_name["weight"].model) == pytest.approx(error, rel=0.01)
    usual = np.sqrt(np.mean((np.nanmean(source.train["numbers"][:, 1]) - table["weight"][known]) ** 2))
    assert float(by_name["weight"].usual) == pytest.approx(usual, rel=0.01)
    known = table["kind"].notna()
    filled = tables.fill(model, table[known].assign(kind=None), num_samples=columns._SAMPLES, verbose=0)
    assert by_name["kind"].model == facts.percent(np.mean(filled["kind"] == table["kind"][known]))
    assert by_name["photo"].model == ""
    assert {len(cells) for cells in found.examples.values()} == {5}
    said, truth = next(cell for cell in found.examples["weight"] if cell[0])
    assert " ± " in said
    assert float(truth) in np.round(table["weight"].dropna().to_numpy(), 2)
    assert [chart.name for chart in found.charts] == ["size", "weight"]


def test_galleries_have_texts_and_names_of_rows_that_hold_them(finished):
    _, model, source, _ = finished
    made = {gallery.title: gallery for gallery in galleries.galleries(model, source, seed=0)}
    pairs = {"photo given kind", "photo given said", "photo given traits", "kind given photo", "said given photo"}
    assert {title.split(": ")[1] for title in made if " given " in title} == pairs | {"traits given photo"}
    rows = ~np.isnan(source.test["said"][:, 0]) & ~np.isnan(source.test["photo"][:, 0, 0, 0])
    texts = model.modalities["said"].cells.decode(source.test["said"][rows])["said"]
    cards = made["Images from texts: photo given said"].cards
    assert [card.caption for card in cards] == list(texts[:8])
    np.testing.assert_array_equal(cards[0].picture.pixels[:4], source.test["photo"][rows][0])
    for card, real in zip(made["Texts from images: said given photo"].cards, texts, strict=False):
        assert card.bars[0].right == (card.bars[0].name == real)
        assert (card.note == "") == card.bars[0].right
        assert sum(bar.length for bar in card.bars) <= 1 + 1e-6
    usual, *others = made["Images from attributes: photo given traits"].cards
    assert (usual.caption, len(others)) == ("usual", 2)
    assert "nan" not in str([card.caption for gallery in made.values() for card in gallery.cards])


def test_the_latent_map_shows_rows_that_hold_what_it_is_inferred_from(finished):
    _, model, source, _ = finished
    shown = drawings.latent_map(model, source, seed=0)
    assert list(shown.panels) == [("numbers",), ("kind",)]
    rows = ~np.isnan(source.test["numbers"]).all(axis=1) & ~np.isnan(source.test["kind"][:, 0])
    assert f"of {rows.sum()} test examples" in shown.panels["numbers",]


def test_labels_that_are_not_known_or_rare_are_one_class(finished):
    _, model, source, _ = finished
    test = {name: values.copy() for name, values in source.test.items()}
    test["kind"][::2] = np.nan
    classes, _ = drawings._classes(model, source, test, np.zeros((len(test["kind"]), 2)))
    assert [name for name, _ in classes] == ["cat", "dog", "not known"]
    assert sum(own.astype(int) for _, own in classes).tolist() == [1] * len(test["kind"])
    assert classes[2][1][::2].all()


def test_values_are_told_in_their_own_words(finished):
    _, model, _, _ = finished
    names = {name: modality.spec.names() for name, modality in model.modalities.items()}
    raw = {"numbers": np.float32([[5, np.nan]]), "traits": np.float32([[0.4, 0.6]])}
    values = model.preprocess(raw)
    assert in_words(model, "numbers", np.asarray(values["numbers"])[0], names["numbers"], 3) == ["size 5"]
    assert in_words(model, "traits", raw["traits"][0], names["traits"], 3) == ["big"]
    assert in_words(model, "kind", np.float32([0.25, 0.75]), names["kind"], 3) == ["dog (75%)"]
    assert in_words(model, "kind", np.float32([np.nan] * 2), names["kind"], 3) == ["not known"]
    tokens = model.modalities["said"].cells.encode(pd.DataFrame({"said": ["a dog"]}))[0]
    assert in_words(model, "said", tokens, names["said"], 3) == ["a dog"]


def test_pictures_of_a_run_and_of_tensorboard_are_drawn(finished, tmp_path):
    folder, model, source, _ = finished
    with Image.open(folder / "generated.png") as image:
        assert image.size == (3600, 1860)  # six directions, four in a row
    plots.both_directions(model, source, tmp_path / "again.png")
    data = {name: values.numpy() for name, values in model.read(source.test).items()}
    names = {name: modality.spec.names() for name, modality in model.modalities.items()}
    picture, table = Direction(model, "said", ("numbers",), data, names, count=3, seed=0).draw()
    assert picture is None
    known = ~np.isnan(data["numbers"]).all(axis=1) & ~np.isnan(data["said"]).all(axis=1)
    first = source.test["numbers"][known][0]
    written = ", ".join(f"{c} {v:.4g}" for c, v in zip(["size", "weight"], first, strict=True) if v == v)
    assert f"| 1 | {written} | a " in table


def test_the_page_says_it_all(finished):
    folder, _, _, _ = finished
    (folder / "evaluation.json").write_text('{"rows": []}')  # or the page would estimate likelihoods
    text = page.write(folder).read_text()
    assert "trained on pets.csv" in text
    assert 'id="filled"' in text
    assert "numbers (2, gaussian), kind (2, categorical)" in text
    assert "Labels from images</a>" in text


def test_a_model_of_no_table_has_nothing_to_fill():
    plain = tj.VAE({"x": tj.Modality((2,), "gaussian")}, latent_dim=2)
    assert columns.filled(plain, None, seed=0) is None


def test_a_run_that_was_interrupted_knows_its_columns(finished):
    def stop(epoch, logs):
        raise KeyboardInterrupt

    folder = finished[0].parent
    config = description.load(folder / "pets.toml").model_copy(update={"run_dir": folder / "interrupted"})
    with pytest.raises(KeyboardInterrupt):
        run.train(config, extra_callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=stop)], verbose=0)
    model = record.Record(folder / "interrupted").model()
    kinds = {name: modality.spec.kind for name, modality in model.modalities.items()}
    assert kinds == {name: modality.spec.kind for name, modality in finished[1].modalities.items()}
    assert model.modalities["numbers"].columns.names == ("size", "weight")
