"""An exported model reads and gives a table's cells as the live model does: names, texts, numbers, encoded pictures."""

import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import tf_jmvae as tj
from tf_jmvae import tables
from tf_jmvae.serving.functions import Settings
from tf_jmvae.serving.local import LiveModel
from tf_jmvae.serving.signatures import endpoints


def test_names_texts_numbers_and_files_give_what_the_live_model_gives(exported):
    model, table, _, signatures = exported
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
    *_, signatures = exported
    of_cells = {name.removesuffix("_as_cells") for name in signatures if name.endswith("_as_cells")}
    endings = ("_bytes", "_as_png", "_as_uint8", "_as_cells")
    plain = {name for name in signatures if not name.endswith(endings)}
    assert of_cells - plain == {"spread", "fill"}
    assert plain - of_cells == {"describe", "latent_noise", "latents_from_prior", "serving_default"}


def test_an_unknown_class_is_a_gap_of_its_own_row(exported):
    *_, signatures = exported
    found = signatures["generate_size_from_kind_as_cells"](kind_text=tf.constant(["cat", "cow", "", "dog"]))["size"]
    alone = signatures["generate_size_from_kind_as_cells"](kind_text=tf.constant(["dog"]))["size"]
    np.testing.assert_allclose(found[3], alone[0], rtol=1e-5)
    of_prior = signatures["decode_as_cells"](z=tf.zeros((1, 2)))["size"]
    np.testing.assert_allclose(found[1:3], [of_prior[0], of_prior[0]], rtol=1e-5)


def test_the_inference_model_goes_on_with_values(exported):
    model, table, path, _ = exported
    opened = tj.open_model(path)
    values = np.eye(2, dtype=np.float32)
    live = model.generate({"kind": values}, targets=["size"], latent="mean")["size"]
    np.testing.assert_allclose(
        opened.generate({"kind": values}, targets=["size"], latent="mean")["size"], live, rtol=1e-5
    )
    assert opened.modalities["kind"].columns == model.modalities["kind"].columns
    given = model.preprocess({"size": table[["size"]].to_numpy(np.float32)}) | {"kind": np.eye(2)[[0] * len(table)]}
    assert set(opened.generate(given, latent="mean")) == {"said", "photo"}


@pytest.mark.parametrize("name", ["exported", "of_numbers"])
def test_an_exported_model_fills_encodes_and_scores_a_table_as_the_live_one(request, name):
    model, table, path, _ = request.getfixturevalue(name)
    lacking = table.astype(object).mask(np.random.default_rng(0).random(table.shape) < 0.3)
    lacking = lacking[lacking.notna().any(axis=1)]
    opened = tj.open_model(path)
    live, filled = (tables.fill(one, lacking, seed=3, batch_size=16, verbose=0) for one in (model, opened))
    assert list(filled) == list(live)
    for column in live:
        if column == "photo":
            pixels = [np.asarray(cell) for cell in filled[column][lacking[column].isna()]]
            np.testing.assert_array_equal(pixels, list(live[column][lacking[column].isna()]))
        elif live[column].dtype == object and isinstance(live[column].iloc[0], str):
            assert list(filled[column]) == list(live[column])
        else:
            np.testing.assert_allclose(filled[column].astype(float), live[column].astype(float), rtol=1e-4, atol=1e-6)
    z, of_export = (tables.encode(one, lacking, verbose=0) for one in (model, opened))
    np.testing.assert_allclose(of_export, z, rtol=1e-4, atol=1e-5)
    scores = tables.score(model, lacking, num_samples=2000, verbose=0)
    of_export = tables.score(opened, lacking, batch_size=16, verbose=0)
    assert np.median(np.abs(of_export - scores)) < 0.5
    assert np.corrcoef(of_export, scores)[0, 1] > 0.97


def test_a_row_that_holds_nothing_gets_the_mean_of_all(of_numbers):
    model, table, path, _ = of_numbers
    nothing = table.iloc[:3].astype(object).assign(**dict.fromkeys(table, None))
    live, filled = (tables.fill(one, nothing, verbose=0) for one in (model, tj.open_model(path)))
    for column in ("size", "size spread", "kind probability"):
        np.testing.assert_allclose(filled[column].astype(float), live[column].astype(float), rtol=1e-3)
    z = np.random.default_rng(0).normal(size=(100_000, 2)).astype(np.float32)
    sizes = model.postprocess({"numbers": model.likelihoods(z)["numbers"].mean()})["numbers"][:, 0]
    np.testing.assert_allclose(live["size"].astype(float), sizes.mean(), atol=4 * sizes.std() / np.sqrt(100))
    opened = tj.open_model(path)
    np.testing.assert_allclose(tables.encode(opened, nothing, verbose=0), 0, atol=1e-6)
    assert np.isnan(tables.score(opened, nothing, verbose=0)).all()


def test_what_an_export_has_fixed_is_refused(of_numbers):
    *_, table, path, _ = of_numbers
    opened = tj.open_model(path)
    with pytest.raises(ValueError, match="num_samples was fixed when the model was exported"):
        tables.fill(opened, table, num_samples=5, verbose=0)
    with pytest.raises(ValueError, match="'cow' is not a class"):
        tables.fill(opened, table.assign(kind="cow"), verbose=0)
    with pytest.raises(ValueError, match="no column 'size'"):
        tables.fill(opened, table.drop(columns="size"), verbose=0)
    with pytest.raises(TypeError, match="Expected a model, or what open_model returns; got str"):
        tables.fill("pets", table, verbose=0)


def test_a_name_that_two_tensors_would_have_is_refused():
    table = pd.DataFrame({"a": ["x", "y"] * 5, "b": ["u", "v"] * 5})
    for ending, what in (("text", "Texts"), ("spread", "Spreads"), ("probability", "Probabilities")):
        described = {"a": "category", f"a_{ending}": {"kind": "category", "columns": "b"}}
        modalities, _ = tj.data.from_table(table, described)
        with pytest.raises(ValueError, match=f"{what} of 'a' are called a_{ending}"):
            tj.JMVAEKL(modalities, latent_dim=2)


@pytest.mark.parametrize("given", [["said"], ["photo"], ["size", "said"]])
def test_subsets_without_signatures_are_answered_with_gaps_for_the_rest(exported, given):
    model, table, path, signatures = exported
    assert f"encode_from_{'_and_'.join(given)}" not in signatures
    opened, rows = tj.open_model(path), table.iloc[:5]
    size = model.preprocess(rows[["size"]])["size"]
    observed = {"size": size, "said": list(rows["said"]), "photo": list(rows["photo"])}
    observed = {name: observed[name] for name in given}
    assert opened.starts_from(given)
    encoded, q = opened.encode(observed), model.posterior(rows[given])
    np.testing.assert_allclose(encoded["mean"], q.mean(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(encoded["standard_deviation"], q.stddev(), rtol=1e-4)
    for latent in ("mean", "sample"):
        options = {"num_samples": 3, "latent": latent, "seed": 5}
        found, expected = (one.generate(observed, **options) for one in (opened, LiveModel(model)))
        assert found.keys() == set(model.modalities) - set(given)
        for name, generated in found.items():
            np.testing.assert_allclose(generated, expected[name], rtol=1e-3, atol=1e-5)
    again = opened.reconstruct(observed)
    for name, generated in LiveModel(model).reconstruct(observed).items():
        np.testing.assert_allclose(again[name], generated, rtol=1e-3, atol=1e-5)


def test_of_more_than_four_modalities_of_a_table_no_subset_has_signatures_unless_asked_for():
    table = pd.DataFrame({name: np.arange(20.0) for name in "abcde"})
    networks = {"encoder": (2,), "decoder": (2,)}
    modalities, _ = tj.data.from_table(table, {name: {"kind": "numbers", **networks} for name in "abcde"})
    model = tj.JMVAEKL(modalities, latent_dim=2, subsets="single")
    assert [name for name in endpoints(model, Settings()) if "_from_" in name] == ["latents_from_prior"]
    assert "encode_from_b" in endpoints(model, Settings(observed=[["b"]]))
    needed = {name: {"kind": "numbers", "optional": False, **networks} for name in "abcde"}
    model = tj.JMVAEKL(tj.data.from_table(table, needed)[0], latent_dim=2, subsets="single")
    assert {"encode_from_b", "encode_from_a_and_b_and_c_and_d"} <= endpoints(model, Settings()).keys()
    assert "fill_as_cells" not in endpoints(model, Settings())


def test_a_row_without_a_picture_that_the_model_needs_is_nan_and_harms_no_other():
    pictures = [tf.io.encode_png(np.full((4, 4, 3), shade, np.uint8)).numpy() for shade in (60, 190)] * 10
    networks = {"encoder": (2,), "decoder": (2,)}
    described = {
        "photo": {"kind": "image", "size": 4, "optional": False, **networks},
        "size": {"kind": "numbers", "optional": False, **networks},
    }
    modalities, source = tj.data.from_table(pd.DataFrame({"photo": pictures, "size": np.arange(20.0)}), described)
    model = tj.JMVAEKL(modalities, latent_dim=2)
    model.adapt(source.train)
    made = endpoints(model, Settings())
    cells = tf.constant([b"", pictures[0], b""])
    mean = made["encode_from_photo_as_cells"].function({"photo_bytes": cells})["mean"].numpy()
    alone = made["encode_from_photo_as_cells"].function({"photo_bytes": cells[1:2]})["mean"].numpy()
    assert np.isnan(mean[[0, 2]]).all()
    np.testing.assert_allclose(mean[1:2], alone, rtol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):  # one that says what came, in place of a black picture
        made["encode_from_photo_bytes"].function({"photo_bytes": cells})
