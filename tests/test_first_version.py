"""Models of every kind that version 0.1.0 wrote, a `.keras` file and a SavedModel of each, answer as they did then.

`first_version/KIND.tar.xz` holds the content of both, and of an .npz with what they were asked and what they said.
"""

import pathlib
import shutil
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_jmvae as tj

FOLDER = pathlib.Path(__file__).parent / "first_version"
KINDS = sorted(path.name.removesuffix(".tar.xz") for path in FOLDER.iterdir())
STEPS = 3  # of iterated sampling, behind every answer
# What was called elbo is what is maximised; they differ where an objective holds more than the ELBO.
RENAMED = {"elbo": "objective"}


@pytest.fixture(scope="module", params=KINDS)
def old(request, tmp_path_factory):
    """The folder of a kind, with `model.keras` and `exported/1`, and what its models were asked and said."""
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(FOLDER / f"{request.param}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    shutil.make_archive(str(folder / "model"), "zip", folder / "model")
    (folder / "model.zip").rename(folder / "model.keras")
    answers = {
        path.relative_to(folder / "answers").as_posix()[:-4]: np.load(path)
        for path in (folder / "answers").rglob("*.npy")
    }
    return folder, answers


@pytest.fixture(scope="module")
def opened(old):
    """The SavedModel of a kind."""
    return tj.open_model(old[0] / "exported" / "1")


def _asked(answers):
    return {key.removeprefix("in/"): value for key, value in answers.items() if key.startswith("in/")}


def _assert_close(found, expected, what):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=what)


def test_there_is_a_file_of_every_kind_of_model():
    assert {"vae", "jmvae", "jmvae_kl", "jmvae_kl_gan", "hierarchical", "cvae", "cmma"} <= set(KINDS)


def test_keras_files_load_and_answer_equally(old):
    folder, answers = old
    model, asked = keras.saving.load_model(folder / "model.keras"), _asked(answers)
    bound = model.objective({name: tf.constant(asked[name]) for name in model.modalities}, tf.constant([1, 2]))
    _assert_close(sum(term.coefficient * term.value for term in bound.values()), answers["objective"], "objective")
    metrics = model.evaluate(asked, verbose=0, return_dict=True)
    compared = 0
    for key, expected in answers.items():
        verb, _, rest = key.partition("/")
        given, _, last = rest.partition("/")
        observed = {name: asked[name] for name in given.split("+") if name in asked}
        if verb == "evaluate":
            found = metrics[RENAMED.get(rest, rest)]
        elif verb == "posterior":
            found = getattr(model.posterior(observed, iterated_sampling=STEPS, seed=5), last)()
        elif verb == "generate":
            latent, target = last.split("/")
            found = model.generate(observed, targets=model.targets, latent=latent, num_steps=STEPS, seed=7)[target]
        elif verb == "rows":
            latent, target = last.split("/")
            seeds = tf.constant([[1, 2], [3, 4], [5, 6]])
            options = {"latent": latent, "num_samples": 2, "output": "sample", "seed": seeds, "num_steps": STEPS}
            found = model.generate(observed, targets=model.targets, **options)[target]
        elif verb == "sample":
            found = model.sample(3, seed=9)[rest]
        else:
            continue
        _assert_close(found, expected, key)
        compared += 1
    assert compared > 10


def test_saved_models_load_and_answer_equally(old, opened):
    answers, model = old[1], opened
    asked = _asked(answers)
    _assert_close(model.log_likelihood(asked, seed=1), answers["hub/log_likelihood"], "log_likelihood")
    for key, expected in answers.items():
        if key.startswith("hub/reconstruct/"):
            _assert_close(model.reconstruct(asked)[key.split("/")[2]], expected, key)
        elif key.startswith("hub/generate/"):
            given, target = key.split("/")[2:]
            _assert_close(model.generate({given: asked[given]}, targets=[target], seed=2)[target], expected, key)


def test_z_of_a_saved_model_follows_from_its_posterior_but_in_a_hierarchy(old, opened):
    model, asked = opened, _asked(old[1])
    if model.kind == "HierarchicalJMVAE":
        with pytest.raises(ValueError, match=r"as it was exported by version 0\.1\.0\. Export it anew"):
            model.latents(asked)
        return
    q = model.encode(asked)
    noise = np.random.default_rng(0).standard_normal(q["mean"].shape)
    _assert_close(model.latents(asked, noise), q["mean"] + q["standard_deviation"] * noise, "latents")


def test_standardized_modalities_of_a_first_file_take_standardised_values_on(tmp_path, request):
    """Then a model took what its user had standardised; now it would standardise once more."""
    with tarfile.open(FOLDER / "standardized.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    shutil.make_archive(str(tmp_path / "model"), "zip", tmp_path / "model")
    model = keras.saving.load_model((tmp_path / "model.zip").rename(tmp_path / "model.keras"))
    assert model.modalities["x"].standardized == "before"
    x = np.load(tmp_path / "answers/in/x.npy")
    np.testing.assert_array_equal(model.read({"x": x})["x"], x)
