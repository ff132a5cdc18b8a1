"""`open_model`: whatever names a model, and clear errors where nothing does; and what modalities may be called."""

import shutil

import exported
import keras
import numpy as np
import pytest
from serving_stub import ServingStub

import tf_jmvae as tj
from tf_jmvae._utils.files import RunError
from tf_jmvae.serving import Client
from tf_jmvae.serving.hub import HubModel
from tf_jmvae.serving.local import LiveModel

LABEL = {"w": np.eye(3, dtype=np.float32)}


@pytest.fixture(scope="module")
def places(exports, tmp_path_factory):
    """The same model in every form."""
    folder, model = tmp_path_factory.mktemp("places"), exported.make("jmvae_kl")
    (folder / "run").mkdir()
    model.save(folder / "run" / "model.keras")
    model.save(folder / "other.keras")
    version = exports("jmvae_kl")
    archive = shutil.make_archive(str(folder / "jmvae_kl"), "gztar", version.parent.parent, "jmvae_kl")
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("no model")
    (folder / "broken.keras").write_text("no model")
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(folder / "sequential.keras")
    with ServingStub({"jmvae_kl": {1: version}}) as stub:
        yield (
            {
                "model": model,
                "run": folder / "run",
                "keras": folder / "run" / "model.keras",
                "other keras": str(folder / "other.keras"),
                "folder": version.parent,
                "version": str(version),
                "archive": archive,
                "grpc": f"grpc://{stub.grpc}/v1/models/jmvae_kl",
                "http": f"{stub.rest}/v1/models/jmvae_kl",
                "http of a version": f"{stub.rest}/v1/models/jmvae_kl/versions/1",
            },
            folder,
        )


KINDS = {
    "model": (LiveModel, ""),
    "run": (LiveModel, "run"),
    "keras": (LiveModel, "run"),
    "other keras": (LiveModel, "other"),
    "folder": (HubModel, "jmvae_kl"),
    "version": (HubModel, "jmvae_kl"),
    "archive": (HubModel, "jmvae_kl"),
    "grpc": (Client, "jmvae_kl"),
    "http": (Client, "jmvae_kl"),
    "http of a version": (Client, "jmvae_kl"),
}


@pytest.mark.parametrize("place", KINDS)
def test_whatever_names_a_model_opens_it(places, place):
    handles, _ = places
    opened = tj.open_model(handles[place])
    assert (type(opened), opened.spec.name) == KINDS[place]
    assert opened.kind == "JMVAEKL"
    assert opened.modalities == handles["model"].spec.modalities
    expected = handles["model"].generate(LABEL, latent="mean")["x"]
    np.testing.assert_allclose(opened.generate(LABEL, latent="mean")["x"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("handle", "error", "message"),
    [
        ("absent", FileNotFoundError, "Expected the folder of a run, .*absent does not exist"),
        ("empty", FileNotFoundError, "empty holds none"),
        ("text.txt", FileNotFoundError, r"text\.txt is none"),
        ("absent.keras", RunError, r"There is no model .*absent\.keras"),
        ("broken.keras", RunError, r"broken\.keras cannot be loaded"),
        ("sequential.keras", RunError, "holds a Sequential; expected a model of tf_jmvae"),
        ("absent.tar.gz", FileNotFoundError, r"absent\.tar\.gz does not exist"),
    ],
)
def test_what_is_no_model_is_a_clear_error(places, handle, error, message):
    with pytest.raises(error, match=message):
        tj.open_model(places[1] / handle)


def test_an_address_of_no_model_and_of_no_server_say_so(places):
    handles, _ = places
    with pytest.raises(tj.serving.UnknownModelError, match="no model 'large'"):
        _ = tj.open_model(handles["grpc"].replace("jmvae_kl", "large")).spec
    with pytest.raises(tj.serving.UnavailableError, match="does not answer"):
        _ = tj.open_model("grpc://127.0.0.1:1/v1/models/jmvae_kl").spec


def test_iterated_sampling_is_chosen_of_live_models_only(places):
    handles, _ = places
    assert tj.open_model(handles["run"], iterated_sampling=7).spec.num_steps == 7
    for place in ("folder", "grpc"):
        assert tj.open_model(handles[place], iterated_sampling=1).spec.num_steps == 1
        with pytest.raises(
            ValueError, match=r"fixed at 1 steps when .* was exported; name the run or its model\.keras"
        ):
            tj.open_model(handles[place], iterated_sampling=7)


NAMES = {"x": "text_and_image", "w": "from_camera", "v": "x_as_seen"}


@pytest.mark.parametrize("where", ["live", "exported"])
def test_modalities_may_have_words_of_signatures_in_their_names(where, tmp_path):
    values = {NAMES[name]: value for name, value in exported.batch("xwv", 3).items()}
    keras.utils.set_random_seed(3)
    model = tj.JMVAEKL({NAMES[name]: value for name, value in exported.modalities("xwv").items()}, 2)
    handle = model if where == "live" else model.export(tmp_path / "m", observed=[[name] for name in values])
    opened = tj.open_model(handle)
    assert list(opened.modalities) == list(NAMES.values())
    for given in values if where == "exported" else [("text_and_image", "x_as_seen"), ("from_camera",)]:
        observed = {name: values[name] for name in ([given] if isinstance(given, str) else given)}
        expected = model.generate(observed, latent="mean")
        found = opened.generate(observed, latent="mean")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(opened.encode(observed)["mean"], model.posterior(observed).mean(), atol=1e-5)
        again = opened.reconstruct(observed)
        for name, value in model.reconstruct(observed, latent="mean").items():
            np.testing.assert_allclose(again[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "names",
    [("a", "b", "a_and_b"), ("a", "b", "a_from_b"), ("a", "A"), ("x", "x_bytes"), ("x", "x_as_png"), ("x", "seed")],
    ids=str,
)
def test_names_that_could_mean_two_things_are_refused(names):
    modality = exported.modalities("w")["w"]
    with pytest.raises(ValueError, match=r"could be two of them|must differ in more than their case|[Nn]ames?"):
        tj.JMVAEKL(dict.fromkeys(names, modality), 2)


@pytest.mark.parametrize(
    "names", [("text_and_image", "w"), ("from_camera", "w", "x_as_seen"), ("a_and_b", "c")], ids=str
)
def test_names_that_mean_one_thing_are_taken(names):
    modality = exported.modalities("w")["w"]
    assert list(tj.JMVAEKL(dict.fromkeys(names, modality), 2).modalities) == list(names)
