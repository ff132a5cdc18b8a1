"""The tab "Fill in" of a model of a table's columns: live, exported, and against the model's own numbers."""

import asyncio
import base64
import io
import re

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tf_jmvae as tj
from tests.small_models import set_seeds

pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")

import gradio as gr

from tf_jmvae.demo import cells, fill, sample
from tf_jmvae.demo.drawings import PictureError
from tf_jmvae.demo.interface import DemoModel, InputError
from tf_jmvae.demo.page import page
from tf_jmvae.serving.local import LiveModel

NETWORKS = {"encoder": (8,), "decoder": (8,)}
SIZE, WEIGHT, VISITS, KIND, TAME, SAID, PHOTO, SOUND = KEYS = [
    ("numbers", "size"),
    ("numbers", "weight"),
    ("visits", "visits"),
    ("kind", "kind"),
    ("tame", "tame"),
    ("said", "said"),
    ("photo", "photo"),
    ("sound", "sound"),
]


def made_model():
    """Of seven modalities, so that an exported model has no signature of its own for most subsets."""
    random = np.random.default_rng(0)
    kinds = random.choice(["cat", "dog"], 60)
    size = np.where(kinds == "cat", 4.0, 9.0) + random.normal(size=60)
    shades = np.where(kinds == "cat", 60, 190)
    table = pd.DataFrame(
        {
            "size": size,
            "weight": 1000 + 100 * size + random.normal(size=60),
            "visits": random.poisson(3, 60),
            "kind": kinds,
            "tame": random.choice(["yes", "no"], 60),
            "said": [f"a <{one}>" for one in kinds],
            "photo": [np.full((8, 8, 3), shade, np.uint8) for shade in shades],
            "sound": [np.array([[low, 1.0, 2.0]], np.float32) for low in size],
        }
    )
    description = {
        "numbers": {"kind": "numbers", "columns": ["size", "weight"], **NETWORKS},
        "visits": {"kind": "counts", **NETWORKS},
        "kind": {"kind": "category", **NETWORKS},
        "tame": {"kind": "attributes", **NETWORKS},
        "said": {"kind": "text", **NETWORKS},
        "photo": {"kind": "image", "size": 8, **NETWORKS},
        "sound": {"kind": "array", **NETWORKS},
    }
    modalities, source = tj.data.from_table(table, description)
    set_seeds(0)
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(source.train_batches(16), epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def model():
    return made_model()


@pytest.fixture(scope="module", params=["live", "exported"])
def demo(request, model, tmp_path_factory):
    if request.param == "live":
        return DemoModel(LiveModel(model, name="pets"))
    return DemoModel(
        tj.open_model(model.export(tmp_path_factory.mktemp("exported") / "pets", observed=[["kind"]]).parent)
    )


def _in_the_table(model, seed=0, **known):
    """A row with these cells and gaps elsewhere, filled as in a table."""
    return tj.tables.fill(model, pd.DataFrame({c: [known.get(c)] for _, c in KEYS}), seed=seed, verbose=0).iloc[0]


def test_the_rest_is_filled_as_in_a_table_from_some_entries_a_name_and_a_text(demo, model):
    known = {SIZE: "9.5", KIND: "dog", SAID: "a dog", WEIGHT: " ", VISITS: None}
    found = cells.filled(demo, known, seed=3)
    assert list(found) == [WEIGHT, VISITS, TAME, PHOTO, SOUND]
    filled = _in_the_table(model, 3, size=9.5, kind="dog", said="a dog")
    assert found[WEIGHT].mean == pytest.approx(filled["weight"], rel=1e-4)
    assert round(found[VISITS].mean) == filled["visits"]
    for key in (WEIGHT, VISITS):
        assert found[key].spread == pytest.approx(filled[f"{key[1]} spread"], rel=1e-3)
    assert found[TAME][filled["tame"]] == pytest.approx(filled["tame probability"], rel=1e-3)
    assert sum(found[TAME].values()) == pytest.approx(1.0)
    row = {"numbers": pd.DataFrame({"size": [9.5], "weight": [np.nan]}), "kind": ["dog"], "said": ["a dog"]}
    q = model.posterior(row, seed=0)
    pixels = model.pixels("photo", model.likelihoods(q.mean())["photo"].mean())[0].numpy()
    assert np.abs(found[PHOTO][0].astype(int) - pixels).max() <= 1
    assert len(found[PHOTO]) == 9
    p = model.likelihoods(q.mean()[0] + q.stddev()[0] * demo.noise(3, 100), names=["sound"])
    sounds = model.postprocess({"sound": p["sound"].mean()})["sound"]
    np.testing.assert_allclose(found[SOUND], sounds.mean(axis=0), rtol=1e-3, atol=1e-4)


def test_with_nothing_known_it_is_what_the_prior_makes(demo, model):
    found = cells.filled(demo, dict.fromkeys(KEYS))
    assert list(found) == KEYS
    z = np.concatenate([np.zeros((1, 2), np.float32), demo.noise(0, 100)])
    classes = model.likelihoods(z[1:])["kind"].mean().numpy().mean(axis=0)
    assert found[KIND] == pytest.approx(dict(zip(["cat", "dog"], classes, strict=True)), rel=1e-3)
    texts = model.modalities["said"].cells.decode(model.likelihoods(z)["said"].mean().numpy())["said"]
    assert found[SAID].best == texts[0]
    assert found[SAID].samples[texts[1]] == pytest.approx(np.mean(texts[1:] == texts[1]))


def test_an_upload_is_prepared_as_the_table_was(demo, model, tmp_path):
    Image.fromarray(np.full((50, 70, 3), 190, np.uint8)).save(tmp_path / "p.png")
    found = cells.filled(demo, {PHOTO: str(tmp_path / "p.png")})
    filled = _in_the_table(model, photo=np.full((8, 8, 3), 190, np.uint8))
    assert found[KIND][filled["kind"]] == pytest.approx(filled["kind probability"], rel=1e-3)


def test_a_sign_is_the_beginning_of_a_number_and_the_name_of_a_class(demo):
    assert cells.said(demo, {SIZE: "+", VISITS: ".", KIND: "+", SAID: "-", TAME: " "}) == {KIND: "+", SAID: "-"}


def test_an_archive_is_not_unpacked_that_holds_too_much(demo, tmp_path):
    np.savez_compressed(tmp_path / "s.npz", np.zeros((1000, 1000)))
    with pytest.raises(InputError, match=r"s\.npz holds more than 1 x 3 values"):
        cells.filled(demo, {SOUND: str(tmp_path / "s.npz")})


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_an_array_is_read_from_its_file(demo, model, tmp_path, save):
    sound = np.array([[9.0, 1.0, 2.0]], np.float32)
    path = tmp_path / ("s.npy" if save is np.save else "s.npz")
    save(path, sound)
    found = cells.filled(demo, {SOUND: str(path)})
    assert SOUND not in found
    filled = _in_the_table(model, sound=sound)
    assert found[KIND][filled["kind"]] == pytest.approx(filled["kind probability"], rel=1e-3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "s.npy holds 3 values; expected 1 x 3"),
        (np.array([[1, np.nan, 0]]), "s.npy holds 1 x 3 values; expected 1 x 3, all of them finite"),
        (np.array([["a", "b", "c"]]), "s.npy is not a .npy or .npz file of numbers; expected 1 x 3"),
    ],
)
def test_what_is_no_array_of_the_models_is_refused(demo, tmp_path, array, message):
    np.save(tmp_path / "s.npy", array)
    with pytest.raises(InputError, match=re.escape(message)):
        cells.filled(demo, {SOUND: str(tmp_path / "s.npy")})
    (tmp_path / "s.npy").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"s\.npy is no"):
        cells.filled(demo, {SOUND: str(tmp_path / "s.npy")})


def test_an_array_can_be_saved_from_the_page(demo):
    answers = {SOUND: np.array([[1.5, -2.0, 0.25]], np.float32)}
    markup = fill._markup(answers, answers)
    assert "1 x 3 values from -2 to 1.5" in markup
    name, data = re.search(r"<a download='(.*?)' href='data:application/octet-stream;base64,(.*?)'>", markup).groups()
    assert name == "sound.npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(base64.b64decode(data))), answers[SOUND])


def test_everything_known_leaves_nothing_to_fill(demo, tmp_path):
    Image.fromarray(np.full((8, 8, 3), 190, np.uint8)).save(tmp_path / "p.png")
    np.save(tmp_path / "s.npy", np.zeros((1, 3)))
    values = ["9", "1900", "2", "cat", "yes", "a cat", str(tmp_path / "p.png"), str(tmp_path / "s.npy")]
    assert cells.filled(demo, dict(zip(KEYS, values, strict=True))) == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (SIZE, "nine", "size: 'nine' is not a number"),
        (SIZE, "nan", "size: 'nan' is too large a number"),
        (SIZE, "1e99", "size: '1e99' is too large"),
        (VISITS, "2.5", "visits: '2.5' is not a count"),
        (VISITS, "-1", "visits: '-1' is not a count"),
    ],
)
def test_what_is_no_number_is_refused(demo, key, value, message):
    with pytest.raises(InputError, match=message):
        cells.filled(demo, {key: value})
    assert cells.filled(demo, {key: "-"}).keys() == set(KEYS)  # the beginning of one


def test_what_is_no_picture_is_refused(demo, tmp_path):
    (tmp_path / "p.png").write_text("no picture")
    with pytest.raises(PictureError, match="The picture"):
        cells.filled(demo, {PHOTO: str(tmp_path / "p.png")})


def test_where_the_model_cannot_start_it_says_so(model):
    modalities, _ = tj.data.from_table(
        pd.DataFrame({"a": [1.0, 2, 3, 4] * 5, "b": [2.0, 1, 4, 3] * 5, "c": ["u", "v"] * 10}),
        {
            "v": {"kind": "numbers", "columns": ["a", "b"], "optional": True, **NETWORKS},
            "c": {"kind": "category", **NETWORKS},
        },
    )
    whole = DemoModel(LiveModel(tj.JMVAEKL(modalities, latent_dim=2)))
    with pytest.raises(InputError, match="The model cannot start from a, c: Modality 'v' holds nan"):
        cells.filled(whole, {("v", "a"): "1", ("c", "c"): "u"})
    assert list(cells.filled(whole, {("v", "a"): "1", ("v", "b"): "1"})) == [("c", "c")]


def test_unknown_words_are_named_and_markup_is_escaped(demo):
    assert cells.unknown_words(demo, {SAID: "a purple Cat"}) == ["purple"]
    text, _, gallery = fill._shown(demo, cells.filled(demo, {}), KEYS, *[None] * 5, "a purple cat", None, None)
    assert "1 of 8 columns" in text
    assert "did not learn the word purple." in text
    assert len(gallery["value"]) == 9
    usual = {SAID: cells.Text("<b>", {"<i>": 1.0}), ("k", "<a>"): {"<c>": 1.0}}
    assert not {"<b>", "<i>", "<a>", "<c>"} & set(fill._markup(usual, usual).replace("<b>&lt;", "").split("&"))
    assert "&lt;a&gt;" in fill._markup(usual, usual)


def test_the_page_has_a_component_for_each_column(demo, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    async def built():
        return page(demo)

    blocks = asyncio.run(built())
    tabs = [c["props"]["label"] for c in blocks.config["components"] if c["type"] == "tabitem"]
    assert tabs == ["Fill in", "Edit", "Walk", "Sample", "Interpolate"]
    kinds = {block.label: type(block) for block in blocks.blocks.values() if getattr(block, "label", None)}
    expected = dict.fromkeys(("size", "weight", "visits", "said"), gr.Textbox) | {"kind": gr.Dropdown, "tame": gr.Radio}
    expected["sound (.npy or .npz)"] = gr.File
    assert expected.items() <= kinds.items()
    menu = next(b for b in blocks.blocks.values() if isinstance(b, gr.Dropdown) and b.label == "kind")
    assert menu.choices == [("(not known)", ""), ("cat", "cat"), ("dog", "dog")]
    heading = next(b.value for b in blocks.blocks.values() if "<h1>" in str(getattr(b, "value", "")))
    assert "of numbers (2 numbers), visits (1 number), kind (one of 2 classes), tame (1 attribute), said" in heading
    assert "needs a direction" not in str(blocks.config)  # of Generate and Recognise, whose work the first tab does


def test_samples_are_named_by_their_text(demo, model):
    text, shown = sample._answer(demo, "standard", 1, 4)
    drawn = demo.model.sample(4, seed=1)["said"]
    assert [caption for _, caption in shown] == list(model.modalities["said"].cells.decode(drawn)["said"])
    assert text == "4 samples."


def test_a_model_of_no_table_has_no_such_tab():
    networks = {"encoder": tj.networks.mlp([2]), "decoder": tj.networks.mlp([2])}
    plain = tj.JMVAEKL({name: tj.Modality((3,), "gaussian", **networks) for name in "vw"}, 2)
    assert not fill.can(DemoModel(LiveModel(plain)))
