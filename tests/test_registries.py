"""A model, a likelihood, a dataset and an estimator that are registered here are everywhere that the others are."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tf_jmvae as tj
from tf_jmvae import cli, heads
from tf_jmvae.data.sources import Source
from tf_jmvae.distributions import conditional_product, kl_divergence
from tf_jmvae.evaluation import Estimate
from tf_jmvae.evaluation.planned import Planned
from tf_jmvae.models.components import Encoder
from tf_jmvae.models.directions import directions
from tf_jmvae.registry import DATASETS, ESTIMATORS, LIKELIHOODS, MODELS
from tf_jmvae.training import presets, run
from tf_jmvae.training.config import Config

tfd = tfp.distributions

PRESET = """
source = "a test"
[data]
dataset = "pets"
batch_size = 16
[model]
kind = "experts"
latent_dim = 2
[model.options]
sharpness = 0.5
[model.modalities.scan]
event_shape = [4, 4, 1]
likelihood = "bernoulli"
encoder = [8]
decoder = [8]
[model.modalities.breed]
event_shape = [3]
likelihood = "categorical"
encoder = [8]
decoder = [8]
[model.modalities.speed]
event_shape = [2]
likelihood = "exponential"
encoder = [8]
decoder = [8]
[training]
epochs = 1
"""


def _register():
    @MODELS.register("experts")
    @keras.saving.register_keras_serializable("registries")
    class Experts(tj.MultimodalVAE):
        def __init__(self, modalities, latent_dim, sharpness=1.0, **kwargs):
            super().__init__(modalities, latent_dim, **kwargs)
            self.sharpness = sharpness
            self.encoders = {name: Encoder({name: m}, latent_dim) for name, m in self.modalities.items()}

        def objective(self, batch, seed, training=False):
            q = self.posterior(batch, training=training)
            p = self.likelihoods(q.sample(seed=seed), training=training)
            terms = {f"log_p_{name}": tj.Term(self.sharpness, p[name].log_prob(batch[name])) for name in batch}
            return {"kl_prior": tj.Term(-1.0, kl_divergence(q, self.prior()), to_prior=True), **terms}

        def posterior(self, observed, *, training=False, **_):
            return conditional_product([self.encoders[name](observed, training=training) for name in observed])

        def get_config(self):
            return {**super().get_config(), "sharpness": self.sharpness}

    @heads.register("exponential")
    class Exponential(heads.Head):
        parameter_names = ("log_rate",)
        support = "numbers of 0 or more"

        def distribution(self, log_rate):
            return tfd.Independent(tfd.Exponential(tf.exp(log_rate)), len(self.event_shape))

        def in_support(self, values):
            return values >= 0

    @DATASETS.register("pets")
    def pets():
        random = np.random.default_rng(0)
        breed = random.integers(0, 3, 48)
        arrays = {
            "scan": (random.uniform(size=(48, 4, 4, 1)) > 0.5).astype(np.float32),
            "breed": np.eye(3, dtype=np.float32)[breed],
            "speed": random.exponential(size=(48, 2)).astype(np.float32),
        }
        train, test = ({name: values[part] for name, values in arrays.items()} for part in (np.s_[:32], np.s_[32:]))
        return Source(train, test, class_names=("cat", "dog", "hare"))

    def darkness(model, data, *, seed, verbose):
        return Estimate("darkness of scan", "counting", np.mean(data["scan"], axis=(1, 2, 3)), 1, seed)

    @ESTIMATORS.register("counting")
    def counting(model, **_):
        return [Planned(["scan"], [], darkness, {})]

    return Experts


@pytest.fixture(scope="module")
def experts():
    """The registered model's class; afterwards everything is as it was."""
    registries = (MODELS, LIKELIHOODS, DATASETS, ESTIMATORS)
    before = [dict(registry._entries) for registry in registries]
    of_keras = dict(keras.saving.get_custom_objects())
    yield _register()
    for registry, entries in zip(registries, before, strict=True):
        for name in registry._entries.keys() - entries.keys():
            if name in ("experts", "exponential", "pets", "counting"):
                del registry._entries[name]
    for name in keras.saving.get_custom_objects().keys() - of_keras.keys():
        if name.endswith((">Experts", ">Exponential")):
            del keras.saving.get_custom_objects()[name]


@pytest.fixture(scope="module")
def preset(experts, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "pets.toml"
    path.write_text(PRESET)
    return str(path)


@pytest.fixture(scope="module")
def finished(preset, tmp_path_factory):
    """The folder of a run, and its metrics."""
    folder = tmp_path_factory.mktemp("runs") / "pets"
    config = presets.load(preset).model_copy(update={"run_dir": folder})
    return folder, run.train(config, verbose=0)


def test_a_configuration_names_them_and_a_message_lists_them(preset):
    config = presets.load(preset)
    assert (config.model.kind, config.data.dataset) == ("experts", "pets")
    assert config.model.modalities["speed"].likelihood == "exponential"
    assert Config.model_validate_json(config.model_dump_json()) == config
    for place, known in (("model.kind", "experts"), ("data.dataset", "pets")):
        table, key = place.split(".")
        settings = config.model_dump()
        settings[table][key] = "absent"
        with pytest.raises(ValueError, match=rf"expected one of .*'{known}'.*; got 'absent'"):
            Config.model_validate(settings)


def test_the_help_of_train_offers_them(preset, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--preset", preset, "--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "experts" in shown.partition("--kind")[2].partition("--")[0]
    assert "pets" in shown.partition("--dataset")[2].partition("--")[0]


def test_a_preset_makes_the_model_with_its_options(experts, preset):
    model = tj.from_preset(preset)
    assert type(model) is experts
    assert model.sharpness == 0.5
    assert type(model.modalities["speed"].head) is LIKELIHOODS.get("exponential")
    assert tj.from_preset(preset, options={"sharpness": 2.0}).sharpness == 2


def test_a_run_trains_names_labels_and_draws_them(finished):
    folder, metrics = finished
    assert np.isfinite(metrics["log_p_speed"])
    assert 0 <= metrics["accuracy_breed_from_scan_and_speed"] <= 1
    assert {"generated.png", "model.keras"} <= {path.name for path in folder.iterdir()}


def test_tensorboard_shows_their_directions(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _ = finished
    events = EventAccumulator(str(folder / "tensorboard" / "validation"), size_guidance={"tensors": 0})
    events.Reload()
    model = run.load_model(folder / "model.keras")
    shown = {tag.partition("/")[2] for tag in events.Tags()["tensors"] if tag.startswith(("pictures/", "words/"))}
    assert shown == {f"{target}_from_{given}" for target, (given,) in directions(model)}
    assert {"scan_from_breed", "breed_from_speed", "speed_from_scan"} <= shown


def test_evaluate_estimates_writes_and_prints_all_of_it(finished, capsys):
    folder, _ = finished
    options = ["--num-samples", "2", "--importance-samples", "2", "--examples", "8"]
    assert cli.main(["evaluate", str(folder), *options]) == 0
    rows = json.loads((folder / "evaluation.json").read_text())["rows"]
    (row,) = (row for row in rows if row["estimator"] == "counting")
    expected = DATASETS.get("pets")().test["scan"][:8].mean()
    assert row["mean"] == pytest.approx(expected, rel=1e-5)
    assert {"log p(breed | scan, speed)", "log p(speed)", "log p(scan, breed, speed)"} <= {r["quantity"] for r in rows}
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "darkness of scan" in line)
    assert line.split()[3:5] == ["counting", f"{expected:.3f}"]


def test_the_report_shows_the_model_its_directions_and_the_estimate(finished, capsys):
    folder, _ = finished
    text = _report(folder, capsys)
    assert "A model &#39;experts&#39; of scan" in text
    assert "speed (2, exponential)" in text
    assert "trained on pets" in text
    assert "Images from labels: scan given breed" in text
    assert "Labels from images: breed given scan" in text
    assert "hare" in text
    assert "darkness of scan" in text


def _report(folder, capsys):
    assert cli.main(["report", str(folder)]) == 0
    capsys.readouterr()
    return (folder / "report.html").read_text()


def test_an_exported_model_generates_them_and_checks_values_by_the_likelihood(finished, tmp_path):
    folder, _ = finished
    model = run.load_model(folder / "model.keras")
    loaded = tj.hub.load(model.export(tmp_path / "pets", observed=[["speed"]]))
    test = DATASETS.get("pets")().test
    made = loaded.generate({"speed": test["speed"]}, targets=["scan"], latent="mean")["scan"]
    expected = model.generate({"speed": test["speed"]}, targets=["scan"], latent="mean")["scan"]
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert loaded.modalities["speed"].support == "numbers of 0 or more"
    with pytest.raises(ValueError, match=r"'exponential' cannot score\. Expected numbers of 0 or more"):
        loaded.generate({"speed": -test["speed"]}, targets=["scan"])


def test_the_demo_shows_them(finished):
    pytest.importorskip("gradio", reason="needs Gradio: pip install 'tf-jmvae[demo]'")
    from tf_jmvae.demo import generate, recognise, walk
    from tf_jmvae.demo.interface import DemoModel

    model = DemoModel(tj.open_model(finished[0]))
    assert (model.picture, model.label, model.kind, model.dataset) == ("scan", "breed", "Experts", "pets")
    assert all(tab.can(model) for tab in (generate, recognise, walk))
    assert generate.drawn(model, model.names[1], 0, 1.0, 3)[model.picture].shape == (3, 4, 4, 1)
