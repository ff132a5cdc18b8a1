"""An exported model reads and gives a table's cells as the live model does: names, texts, numbers, encoded pictures."""

import io

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import tf_jmvae as tj
from tests.small_models import set_seeds
from tf_jmvae import tables


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (10, 10), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    random = np.random.default_rng(0)
    kinds = random.choice(["cat", "dog"], 40)
    table = pd.DataFrame(
        {
            "size": np.where(kinds == "cat", 4.0, 9.0) + random.normal(size=40),
            "kind": kinds,
            "said": [f"a {kind}" for kind in kinds],
            "photo": [picture("red" if kind == "cat" else "blue") for kind in kinds],
        }
    )
    networks = {"encoder": (8,), "decoder": (8,)}
    description = {
        "size": {"kind": "numbers", **networks},
        "kind": {"kind": "category", **networks},
        "said": {"kind": "text", **networks},
        "photo": {"kind": "image", "size": 4, **networks},
    }
    modalities, source = tj.data.from_table(table, description)
    set_seeds(0)
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(source.train_batches(8), epochs=1, verbose=0)
    path = tj.serving.export(model, tmp_path_factory.mktemp("exported") / "pets")
    return model, table, tf.saved_model.load(str(path)).signatures


def test_names_texts_numbers_and_files_give_what_the_live_model_gives(exported):
    model, table, signatures = exported
    rows = table.iloc[:6]
    cells = {
        "size": tf.constant(rows[["size"]].to_numpy(np.float32)),
        "kind_text": tf.constant(rows["kind"].to_numpy(str)),
        "said_text": tf.constant(rows["said"].to_numpy(str)),
        "photo_bytes": tf.constant(rows["photo"].to_numpy(object)),
    }
    served = signatures["reconstruct_as_cells"](**cells)
    live = model.reconstruct(rows, latent="mean")
    written = tables.to_table(model, live)
    np.testing.assert_allclose(served["size"][:, 0], written["size"], rtol=1e-5)
    np.testing.assert_allclose(served["kind"], live["kind"], rtol=1e-5)
    assert [text.decode() for text in served["kind_text"].numpy()] == list(written["kind"])
    assert [text.decode() for text in served["said_text"].numpy()] == list(written["said"])
    for png, pixels in zip(served["photo_bytes"].numpy(), written["photo"], strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)
    one = signatures["generate_said_from_kind_as_cells"](kind_text=cells["kind_text"])
    live = tables.to_table(model, model.generate(rows[["kind"]], targets=["said"], latent="mean"))
    assert [text.decode() for text in one["said_text"].numpy()] == list(live["said"])
    z = signatures["encode_from_size_and_kind_as_cells"](size=cells["size"], kind_text=cells["kind_text"])
    np.testing.assert_allclose(z["mean"], model.posterior(rows[["size", "kind"]]).mean(), rtol=1e-4, atol=1e-6)


def test_every_signature_of_modalities_has_one_of_cells(exported):
    _, _, signatures = exported
    of_cells = {name.removesuffix("_as_cells") for name in signatures if name.endswith("_as_cells")}
    endings = ("_bytes", "_as_png", "_as_uint8", "_as_cells")
    plain = {name for name in signatures if not name.endswith(endings)}
    assert plain - of_cells == {"describe", "latent_noise", "latents_from_prior", "serving_default"}


def test_an_unknown_class_harms_its_own_row_only(exported):
    _, _, signatures = exported
    found = signatures["generate_size_from_kind_as_cells"](kind_text=tf.constant(["cat", "cow", "dog"]))["size"].numpy()
    assert np.isfinite(found[:, 0]).tolist() == [True, False, True]
    alone = signatures["generate_size_from_kind_as_cells"](kind_text=tf.constant(["dog"]))["size"].numpy()
    np.testing.assert_allclose(found[2], alone[0], rtol=1e-5)


def test_the_inference_model_goes_on_with_values(exported, tmp_path):
    model, table, _ = exported
    tj.serving.export(model, tmp_path / "pets")
    opened = tj.open_model(tmp_path / "pets")
    values = np.eye(2, dtype=np.float32)
    live = model.generate({"kind": values}, targets=["size"], latent="mean")["size"]
    np.testing.assert_allclose(
        opened.generate({"kind": values}, targets=["size"], latent="mean")["size"], live, rtol=1e-5
    )
    assert opened.modalities["kind"].columns == model.modalities["kind"].columns
    numbers = model.preprocess({"size": table[["size"]].to_numpy(np.float32)})
    assert set(opened.generate(numbers, latent="mean")) == {"kind", "said", "photo"}


def test_a_name_that_two_tensors_would_have_is_refused():
    table = pd.DataFrame({"a": ["x", "y"] * 5, "b": ["u", "v"] * 5})
    modalities, _ = tj.data.from_table(table, {"a": "category", "a_text": {"kind": "category", "columns": "b"}})
    with pytest.raises(ValueError, match="Texts of 'a' are called a_text"):
        tj.JMVAEKL(modalities, latent_dim=2)
