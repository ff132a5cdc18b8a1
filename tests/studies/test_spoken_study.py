"""`tf-jmvae reproduce spoken --quick`: what is measured in which direction, and what the page says."""

import contextlib
import io
import json
import re

import keras
import numpy as np
import pytest
import spoken_folder
from eager_studies import eagerly
from mnist_folder import stripes

from tf_jmvae import cli, data
from tf_jmvae.data import digits
from tf_jmvae.evaluation import conditional_coherence
from tf_jmvae.studies.spoken import plan
from tf_jmvae.training.run_folder import load_model

pytestmark = pytest.mark.timeout(600)
QUICK = plan.SCALES["quick"]
DIRECTIONS = {
    "image/sound", "image/w", "sound/image", "sound/w", "w/image", "w/sound",
    "image+sound/w", "image+w/sound", "sound+w/image",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The study's, with recordings of tones and images of stripes, by digit."""
    recordings, runs = tmp_path_factory.mktemp("recordings"), tmp_path_factory.mktemp("studies") / "spoken"
    spoken_folder.write_all(recordings)
    asked = ["reproduce", "spoken", "--quick", "--run-dir", str(runs), "--data-dir", str(recordings), "--seed", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "read", lambda data_dir=None: (stripes(200), stripes(60)))
        patch.setenv("TF_JMVAE_CACHE", str(tmp_path_factory.mktemp("cache")))
        with eagerly(), contextlib.redirect_stdout(io.StringIO()):
            assert cli.main(asked) == 0
        test = data.load("spoken-digits", data_dir=recordings).test
    np.savez(runs / "test.npz", **{name: values[: QUICK.test_size] for name, values in test.items()})
    return runs


@pytest.fixture(scope="module")
def test_rows(folder):
    return dict(np.load(folder / "test.npz"))


@pytest.fixture(scope="module")
def measured(folder):
    return json.loads((folder / "docs" / "results" / "spoken.json").read_text())["measurements"]


def test_every_direction_is_measured(measured):
    assert {name.removeprefix("coherence/") for name in measured if name.startswith("coherence/")} == DIRECTIONS


@pytest.mark.parametrize(("given", "target"), [("image", "sound"), ("sound", "w"), ("sound+w", "image")])
def test_a_coherence_is_that_of_what_the_trained_model_generates(folder, measured, test_rows, given, target):
    model = load_model(folder / "jmvae-kl" / "model.keras")
    classifier = None if target == "w" else keras.saving.load_model(folder / f"classifier-{target}.keras")
    options = {"given": given.split("+"), "target": target, "classifier": classifier}
    values = conditional_coherence(model, test_rows, **options, labels=test_rows["w"].argmax(-1), seed=3).values
    if "sound" in given:
        by_recording = {}
        for sound, value in zip(test_rows["sound"], values, strict=True):
            by_recording.setdefault(sound.tobytes(), []).append(value)
        assert len(by_recording) < len(values)
        values = [np.mean(own) for own in by_recording.values()]
    found = measured[f"coherence/{given}/{target}"]
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-6)
    assert found["standard_error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(len(values)), rel=1e-4)


def test_real_digits_are_judged_by_the_classifier_of_their_modality(folder, measured, test_rows):
    for name in ("image", "sound"):
        classifier = keras.saving.load_model(folder / f"classifier-{name}.keras")
        right = classifier.predict(test_rows[name], verbose=0).argmax(-1) == test_rows["w"].argmax(-1)
        weights = [1 / (test_rows[name] == one).all(axis=(1, 2, 3)).sum() for one in test_rows[name]]
        expected = np.average(right, weights=weights if name == "sound" else None)
        assert measured[f"classifier/{name}"]["mean"] == pytest.approx(expected, abs=1e-6)


def test_the_page_shows_every_direction(folder, measured):
    page = (folder / "docs" / "results-spoken.md").read_text()
    cells = [line.split("|")[1:-1] for line in page.splitlines() if re.match(r"\| (image|sound|label)", line)]
    given = {"image": "image", "sound": "sound", "label": "w"}
    for title, *values in cells:
        name = "+".join(given[part] for part in title.strip().split(" and "))
        for target, value in zip(("image", "sound", "w"), values, strict=True):
            found = measured.get(f"coherence/{name}/{target}")
            assert value.strip() == ("" if found is None else f"{found['mean']:.2%} ± {found['standard_error']:.2%}")
    assert len(cells) == 6
    assert (folder / "docs" / "images" / "spoken-made.png").is_file()
